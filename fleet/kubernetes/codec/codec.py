"""Lists and watch lines of one kind: bytes to models.

Lists are read item by item, so that an object that can't be read is reported and the others are not lost with it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from operator import attrgetter
from typing import Generic, TypeVar

import msgspec

from fleet.kubernetes.codec.depth import read_deep
from fleet.kubernetes.codec.events import build_event
from fleet.kubernetes.codec.nodes import build_namespace, build_node, decode_namespace, decode_node
from fleet.kubernetes.codec.pods import build_pod, decode_pod
from fleet.kubernetes.codec.wire import DecodeError, Named, WireEvent, WireList, WireNamed, WireStatus
from fleet.kubernetes.codec.workloads import build_workload
from fleet.model.kube_objects import Event
from fleet.model.manifests import compress
from fleet.model.objects import Namespace, Node, Pod
from fleet.model.unreadable import UNREADABLE
from fleet.model.workloads import Workload

T = TypeVar("T")

_LIST = msgspec.json.Decoder(WireList)
_EVENT = msgspec.json.Decoder(WireEvent)
_STATUS = msgspec.json.Decoder(WireStatus)
_NAMED = msgspec.json.Decoder(WireNamed)
_NAMELESS = Named()

MAX_MESSAGE = 1_024
"""Characters of a message that are kept of an event: those of events.k8s.io have no more."""


class EventType(Enum):
    """`type` of a watch line. Source: Kubernetes API concepts, "Efficient detection of changes"."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    ERROR = "ERROR"


_HEADS = {
    b'{"type":"%s","object":' % kind.value.encode(): kind
    for kind in (EventType.ADDED, EventType.MODIFIED, EventType.DELETED)
}


@dataclass(frozen=True)
class ListPage(Generic[T]):
    """One page of a list: no `continue_token` on the last. `malformed` names objects that can't be read, and why."""

    records: list[T]
    resource_version: str
    continue_token: str | None
    malformed: tuple[str, ...] = ()


class WatchEvent(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """One line of a watch.

    `record` is None for BOOKMARK and ERROR, and for an object that can't be read: then `message` says which and why,
    `name` is its namespace and name where at least those can be read, and the watch may go on. `code` and `message` of
    an ERROR are its Status's (410: list again).
    """

    type: EventType
    record: T | None
    resource_version: str
    code: int | None = None
    message: str | None = None
    name: tuple[str, str] | None = None


@dataclass(frozen=True)
class Codec(Generic[T]):
    """How one kind is found and read: `path` lists and watches it in all namespaces. Raises DecodeError only.

    `version_of` reads the resourceVersion of a record that has it, which saves looking for it in the bytes.
    """

    kind: str
    path: str
    build: Callable[[bytes, str], T]
    version_of: Callable[[T], str] | None = None
    accept: bytes = b"application/json"
    query: Mapping[str, str] = field(default_factory=dict)

    def decode_list(self, body: bytes, cluster: str) -> ListPage[T]:
        """Reads a list's answer. Raises DecodeError where it is not a list of this kind."""
        page = self.read_list(body)
        records, malformed = self.build_records(page.items or (), cluster)
        return ListPage(records, page.metadata.resource_version, page.metadata.continue_token or None, malformed)

    def read_list(self, body: bytes) -> WireList:
        """A list's answer with its objects as they came. Raises DecodeError where it is not a list of this kind."""
        try:
            page = read_deep(_LIST.decode, body)
        except UNREADABLE as error:
            raise DecodeError(f"the answer to {self.path} is not a Kubernetes list: {error}") from error
        if page.kind != f"{self.kind}List" or (page.items is None and not page.metadata.resource_version):
            raise DecodeError(
                f"the answer to {self.path} is not a {self.kind}List but {page.kind[:100] or 'unnamed'!r}"
            )
        return page

    def build_records(self, items: Iterable[msgspec.Raw], cluster: str) -> tuple[list[T], tuple[str, ...]]:
        """Records of a list's objects; which of them can't be read, and why."""
        records: list[T] = []
        malformed: list[str] = []
        for item in items:
            raw = bytes(item)
            try:
                records.append(read_deep(lambda content: self.build(content, cluster), raw))
            except UNREADABLE as error:
                malformed.append(self._problem(_name_of(raw), error))
        return records, tuple(malformed)

    def decode_event(self, line: bytes, cluster: str) -> WatchEvent[T]:
        """Reads a watch line. Raises DecodeError where it is none, or of no known type."""
        # As API servers write it, the object stands between a known beginning and a brace: no second look at it.
        head = line[: line.find(b"{", 1)]
        kind = _HEADS.get(head)
        if kind is not None and line.endswith(b"}"):
            raw = line[len(head) : -1]
            try:
                record = self.build(raw, cluster)
            except UNREADABLE:
                return self._decode_any(line, cluster)  # the long way says what is wrong
            version = _name_of(raw).resource_version if self.version_of is None else self.version_of(record)
            return WatchEvent(kind, record, version)
        return self._decode_any(line, cluster)

    def _decode_any(self, line: bytes, cluster: str) -> WatchEvent[T]:
        try:
            event = read_deep(_EVENT.decode, line)
            kind = EventType(event.type)
            raw = bytes(event.object)
            if kind is EventType.ERROR:
                status = _STATUS.decode(raw)
                return WatchEvent(kind, None, "", status.code, status.message or status.reason)
        except UNREADABLE as error:
            raise DecodeError(f"not a line of a watch on {self.path}: {error}") from error
        if kind is EventType.BOOKMARK:
            return WatchEvent(kind, None, _name_of(raw).resource_version)
        try:
            record = read_deep(lambda content: self.build(content, cluster), raw)
            version = _name_of(raw).resource_version if self.version_of is None else self.version_of(record)
            return WatchEvent(kind, record, version)
        except UNREADABLE as error:
            named = _name_of(raw)
            name = (named.namespace, named.name) if named.name else None
            return WatchEvent(kind, None, named.resource_version, message=self._problem(named, error), name=name)

    def _problem(self, named: Named, error: Exception) -> str:
        name = f"{named.namespace}/{named.name}".strip("/") or "without a name"
        return f"{self.kind} {name[:300]} can't be read: {error}"


def _name_of(raw: bytes) -> Named:
    try:
        return read_deep(_NAMED.decode, raw).metadata
    except UNREADABLE:  # the error of the object is made elsewhere; this only names it
        return _NAMELESS


def _whole(raw: bytes, kind: str, present: str) -> bytes:
    """Items of a list lack their kind; with it a manifest reads the same however the object came."""
    return raw if present else b'{"kind":"%s","apiVersion":"v1",%s' % (kind.encode(), raw[1:])


def _build_pod(raw: bytes, cluster: str) -> Pod:
    pod = decode_pod(raw)
    return build_pod(pod, cluster, compress(_whole(raw, "Pod", pod.kind)))


def _build_node(raw: bytes, cluster: str) -> Node:
    node = decode_node(raw)
    return build_node(node, cluster, compress(_whole(raw, "Node", node.kind)))


def _build_namespace(raw: bytes, cluster: str) -> Namespace:
    return build_namespace(decode_namespace(raw), cluster)


def _build_kept_event(raw: bytes, cluster: str) -> Event:
    event = build_event(raw, cluster)
    if len(event.message) <= MAX_MESSAGE:
        return event
    return msgspec.structs.replace(event, message=f"{event.message[:MAX_MESSAGE]}... [cut]")


PODS: Codec[Pod] = Codec("Pod", "/api/v1/pods", _build_pod, attrgetter("resource_version"))
NODES: Codec[Node] = Codec("Node", "/api/v1/nodes", _build_node, attrgetter("resource_version"))
NAMESPACES: Codec[Namespace] = Codec(
    "Namespace", "/api/v1/namespaces", _build_namespace, attrgetter("resource_version")
)
EVENTS: Codec[Event] = Codec("Event", "/api/v1/events", _build_kept_event)


def _workloads(kind: str, api_version: str) -> Codec[Workload]:
    def build(raw: bytes, cluster: str) -> Workload:
        return build_workload(raw, cluster, kind, api_version)

    return Codec(kind, f"/apis/{api_version}/{kind.lower()}s", build, attrgetter("resource_version"))


WORKLOADS = {
    (kind, api_version): _workloads(kind, api_version)
    for kind, api_version in (
        ("Deployment", "apps/v1"),
        ("StatefulSet", "apps/v1"),
        ("DaemonSet", "apps/v1"),
        ("Job", "batch/v1"),
        ("CronJob", "batch/v1"),
    )
}
"""The kinds of workloads that are followed, by kind and API version."""
