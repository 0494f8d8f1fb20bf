"""What a member's API serves: its kinds, their paths and verbs. Source: Kubernetes API concepts, "API Discovery".

Asked in the aggregated form (two calls) where the server has it, else in the plain form (one call a group and version).
A catalog is kept for as long as its connection and is read anew when a kind is not in it, at most every few seconds.
"""

import asyncio
import difflib
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from fleet.kubernetes.codec.wire import Wire
from fleet.kubernetes.impersonation import as_server
from fleet.model.errors import ClusterAnswerInvalid, ClusterForbidden
from fleet.model.unreadable import UNREADABLE
from fleet.ports import Answer, Call, Connection

AGGREGATED = (
    b"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    b"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)
REFRESH_SECONDS = 2.0
"""A catalog younger than this is not read again for a kind that it lacks."""

MAX_AGE_SECONDS = 600.0
MAX_GROUP_VERSIONS = 500
_SUGGESTIONS = 5


class Served(Struct, frozen=True):
    """A kind as one member serves it; `resource` is its plural name in paths."""

    api_version: str
    kind: str
    resource: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def group(self) -> str:
        """Empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def qualified(self) -> str:
        """The resource as `fleet.model.rights` names it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    def path(self, namespace: str = "", name: str | None = None) -> str:
        """The percent-encoded path of its list, or of one object."""
        root = "/apis" if "/" in self.api_version else "/api"
        inside = ("namespaces", namespace) if self.namespaced and namespace else ()
        parts = (*self.api_version.split("/"), *inside, self.resource, *(() if name is None else (name,)))
        return "/".join((root, *(quote(part, safe="") for part in parts)))


@dataclass(frozen=True)
class Catalog:
    """All that a member serves, at one moment of the monotonic clock."""

    kinds: dict[tuple[str, str], Served]
    read_at: float


class Catalogs:
    """The catalogs of all members, each read by one caller at a time, as this server: they are the same for all."""

    def __init__(self) -> None:
        self._entries: WeakKeyDictionary[Connection, _Entry] = WeakKeyDictionary()

    async def find(self, connection: Connection, api_version: str, kind: str, timeout: float) -> Served | None:
        """How the member serves a kind; None where it does not, by a catalog at most REFRESH_SECONDS old.

        `timeout` is in seconds, for each call. Raises ClusterError.
        """
        connection = as_server(connection)
        entry = self._entries.setdefault(connection, _Entry())
        async with entry.lock:
            catalog = entry.catalog
            found = None if catalog is None else catalog.kinds.get((api_version, kind))
            age = float("inf") if catalog is None else time.monotonic() - catalog.read_at
            if age > (REFRESH_SECONDS if found is None else MAX_AGE_SECONDS):
                entry.catalog = catalog = await load_catalog(connection, timeout)
                found = catalog.kinds.get((api_version, kind))
        return found

    async def served(self, connection: Connection, timeout: float) -> Collection[Served]:
        """All that the member serves, as of MAX_AGE_SECONDS ago at most. Raises as `find`."""
        connection = as_server(connection)
        entry = self._entries.setdefault(connection, _Entry())
        async with entry.lock:
            if entry.catalog is None or time.monotonic() - entry.catalog.read_at > MAX_AGE_SECONDS:
                entry.catalog = await load_catalog(connection, timeout)
            return entry.catalog.kinds.values()

    def forget(self, connection: Connection) -> None:
        """Reads the member's catalog again the next time: a path of it was not there."""
        self._entries.pop(as_server(connection), None)

    def near(self, connections: Iterable[Connection], api_version: str, kind: str) -> list[str]:
        """Kinds that may have been meant, as `apps/v1 Deployment`, best first."""
        entries = [entry for connection in connections if (entry := self._entries.get(as_server(connection)))]
        known = {key for entry in entries if entry.catalog is not None for key in entry.catalog.kinds}
        lowered = kind.lower()
        same = sorted(key for key in known if key[1].lower() == lowered)
        close = difflib.get_close_matches(lowered, {key[1].lower() for key in known}, n=_SUGGESTIONS, cutoff=0.7)
        others = sorted((key for key in known if key[1].lower() in close), key=lambda key: close.index(key[1].lower()))
        wanted = dict.fromkeys([*same, *others])
        wanted.pop((api_version, kind), None)
        return [" ".join(key) for key in wanted][:_SUGGESTIONS]


@dataclass
class _Entry:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    catalog: Catalog | None = None


async def load_catalog(connection: Connection, timeout: float) -> Catalog:
    """Asks a member for all that it serves. Groups whose server is out of order are left out. Raises ClusterError."""
    lists = await asyncio.gather(_load_root(connection, "/api", timeout), _load_root(connection, "/apis", timeout))
    return Catalog({(entry.api_version, entry.kind): entry for found in lists for entry in found}, time.monotonic())


async def _load_root(connection: Connection, path: str, timeout: float) -> list[Served]:
    answer = await connection.request(Call("GET", path, headers=[(b"Accept", AGGREGATED)], timeout=timeout))
    if answer.status == 403:
        raise ClusterForbidden(connection.cluster, f"{connection.cluster} does not let this server read {path}")
    if answer.status == 404:
        return await _load_plain(connection, ["v1"], timeout) if path == "/api" else []
    if answer.status != 200:
        raise ClusterAnswerInvalid(connection.cluster, f"{connection.cluster} answers {answer.status} to {path}")
    try:
        kind = _KINDED.decode(answer.body).kind
        if kind == "APIGroupDiscoveryList":
            return list(_read_aggregated(_AGGREGATED.decode(answer.body)))
        versions = _read_versions(kind, answer)
    except UNREADABLE as error:
        raise _malformed(connection.cluster, path, error) from error
    return await _load_plain(connection, versions[:MAX_GROUP_VERSIONS], timeout)


async def _load_plain(connection: Connection, versions: list[str], timeout: float) -> list[Served]:
    found = await asyncio.gather(*(_load_version(connection, version, timeout) for version in versions))
    return [served for entries in found for served in entries]


async def _load_version(connection: Connection, version: str, timeout: float) -> list[Served]:
    path = f"/{'apis' if '/' in version else 'api'}/{quote(version, safe='/')}"
    answer = await connection.request(Call("GET", path, headers=[(b"Accept", b"application/json")], timeout=timeout))
    if answer.status != 200:
        return []  # an aggregated API whose server is out of order takes only its own kinds away
    try:
        listed = _PLAIN.decode(answer.body)
    except UNREADABLE as error:
        raise _malformed(connection.cluster, path, error) from error
    return [
        Served(version, entry.kind, entry.name, entry.namespaced, frozenset(entry.verbs or ()))
        for entry in listed.resources or ()
        if "/" not in entry.name
    ]


def _read_versions(kind: str, answer: Answer) -> list[str]:
    if kind == "APIVersions":
        return _VERSIONS.decode(answer.body).versions or []
    groups = _GROUPS.decode(answer.body).groups or []
    return [version.group_version for group in groups for version in group.versions or ()]


def _read_aggregated(groups: "_Aggregated") -> Iterator[Served]:
    for group in groups.items or ():
        for version in group.versions or ():
            api_version = f"{group.metadata.name}/{version.version}" if group.metadata.name else version.version
            for entry in version.resources or ():
                kind = entry.response_kind.kind if entry.response_kind is not None else ""
                if kind:
                    namespaced = entry.scope == "Namespaced"
                    yield Served(api_version, kind, entry.resource, namespaced, frozenset(entry.verbs or ()))


def _malformed(cluster: str, path: str, error: Exception) -> ClusterAnswerInvalid:
    return ClusterAnswerInvalid(cluster, f"cluster {cluster}: its answer to {path} can't be read: {error}")


class _Kinded(Wire, frozen=True):
    kind: str = ""


class _Versions(Wire, frozen=True):
    versions: list[str] | None = None


class _GroupVersion(Wire, frozen=True):
    group_version: str


class _Group(Wire, frozen=True):
    versions: list[_GroupVersion] | None = None


class _Groups(Wire, frozen=True):
    groups: list[_Group] | None = None


class _PlainResource(Wire, frozen=True):
    name: str
    kind: str
    namespaced: bool = False
    verbs: list[str] | None = None


class _PlainList(Wire, frozen=True):
    resources: list[_PlainResource] | None = None


class _ResponseKind(Wire, frozen=True):
    kind: str = ""


class _AggregatedResource(Wire, frozen=True):
    resource: str
    scope: str = ""
    response_kind: _ResponseKind | None = None
    verbs: list[str] | None = None


class _AggregatedVersion(Wire, frozen=True):
    version: str
    resources: list[_AggregatedResource] | None = None


class _GroupName(Wire, frozen=True):
    name: str = ""


class _AggregatedGroup(Wire, frozen=True):
    metadata: _GroupName = _GroupName()
    versions: list[_AggregatedVersion] | None = None


class _Aggregated(Wire, frozen=True):
    items: list[_AggregatedGroup] | None = None


_KINDED = msgspec.json.Decoder(_Kinded)
_VERSIONS = msgspec.json.Decoder(_Versions)
_GROUPS = msgspec.json.Decoder(_Groups)
_PLAIN = msgspec.json.Decoder(_PlainList)
_AGGREGATED = msgspec.json.Decoder(_Aggregated)
