"""Objects of any kind, as they are asked of a member when a query wants them: frozen values.

Nothing of them is cached. `raw` is the API server's own JSON, not redacted: `load_object` of `fleet.model.manifests`
reads it for showing.
"""

from typing import Any, NamedTuple

from msgspec import Struct

from fleet.model.objects import Moment, Owner, Pairs
from fleet.model.redaction import REDACTED, SPREAD_SECRETS

_HOLDERS = SPREAD_SECRETS | {"OpenMCPCluster"}
_PLAIN = frozenset({"name", "age", "created at", "type", "status", "ready"})


class ResourceKey(NamedTuple):
    """Names one object of any kind in the federation; `namespace` is empty for an object of the whole cluster."""

    cluster: str
    api_version: str
    kind: str
    namespace: str
    name: str


class TableColumn(Struct, frozen=True, gc=False):
    """One cell of the API server's own table. `priority` 0 is what kubectl prints, above 0 what `-o wide` adds."""

    name: str
    type: str
    description: str | None
    priority: int
    value: Any


class KubeObject(Struct, frozen=True, gc=False, kw_only=True):
    """An object of any kind. `created_at` is in Unix seconds, None where the object does not say."""

    cluster: str
    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    created_at: float | None
    labels: Pairs
    owner: Owner | None
    columns: tuple[TableColumn, ...]
    raw: bytes

    @property
    def key(self) -> ResourceKey:
        return ResourceKey(self.cluster, self.api_version, self.kind, self.namespace, self.name)


class Subject(NamedTuple):
    """What events are about. `namespace` is empty for an object of the whole cluster."""

    cluster: str
    namespace: str
    kind: str
    name: str
    uid: str


class Event(Struct, frozen=True, gc=False, kw_only=True):
    """An event of core/v1, which keeps its name when it repeats. Times are in Unix seconds, None where it has none."""

    namespace: str
    name: str
    type: str
    reason: str
    message: str
    count: int
    first_seen: Moment | None
    last_seen: Moment | None
    source: str | None
    regarding: Subject

    @property
    def cluster(self) -> str:
        return self.regarding.cluster

    @property
    def key(self) -> ResourceKey:
        return ResourceKey(self.cluster, "v1", "Event", self.namespace, self.name)


def redact_cell(kind: str, name: str, value: object) -> object:
    """A cell without what the manifest hides: no column of a kind that holds credentials prints its text.

    The API server's own tables of them hold names, types, counts and times; a printer column of a custom kind may be
    made to point at anything.
    """
    if not isinstance(value, str) or kind not in _HOLDERS:
        return value
    hides = name.lower() not in _PLAIN if kind in SPREAD_SECRETS else "kubeconfig" in name.lower() or len(value) > 253
    return REDACTED if hides else value
