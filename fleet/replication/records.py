"""Records as they travel from a member's writer to all that follow it.

A body is a byte that names its form, and MessagePack. A version reads and writes its own form and the one before. A
field that is added to a record has a default, and is no new form: who knows less leaves it out. Another form is for
what can't be read so: another meaning, another order, or another sample that manifests are compressed with.

Nothing secret is in a body: its manifest hides what answers hide.
"""

import logging
from collections.abc import Callable, Mapping
from sys import intern
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from fleet.aio.complaints import Complaints
from fleet.kubernetes.codec.convert import interned, shared_owner, shared_pairs
from fleet.model.kinds import ResourceName
from fleet.model.kube_objects import Event
from fleet.model.objects import NO_RESOURCES, Namespace, Node, Resources
from fleet.model.redaction import EnvValues
from fleet.model.unreadable import UNREADABLE
from fleet.model.workloads import Workload
from fleet.replication.manifests import share_manifest
from fleet.replication.pod_records import decode_pod, encode_pod
from fleet.replication.subjects import Unpublishable

NEWEST = 1
"""The form of this version; where the one before is another, `_write` and `_READERS` know both."""
MOST_BODY = 1_000_000
"""Bytes of a body: a NATS server takes messages of 1 MiB, headers included, unless it is told otherwise."""

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)
_COMPLAINTS = Complaints()
_ENCODER = msgspec.msgpack.Encoder()
_JSON = b"{"
"""What begins a record that is JSON, as MessagePack has no number of more than 64 bits; no record of its begins so."""


class _Decoder(Generic[_T]):
    def __init__(self, of: type[_T]) -> None:
        self._packed = msgspec.msgpack.Decoder(of)
        self._text = msgspec.json.Decoder(of)

    def decode(self, body: memoryview) -> _T:
        return self._text.decode(body) if body[:1] == _JSON else self._packed.decode(body)


_NODE = _Decoder(Node)
_NAMESPACE = _Decoder(Namespace)
_EVENT = _Decoder(Event)
_WORKLOAD = _Decoder(Workload)


class RecordUnreadable(ValueError):
    """A body that this version can't read; the message says why, and what would mend it."""


def encode(
    kind: ResourceName,
    record: Any,
    *,
    manifests: bool,
    env: EnvValues = EnvValues.SHOWN,
    most: int = MOST_BODY,
    form: int | None = None,
) -> bytes:
    """A record's body. `env` is what answers hide of environments, and `form` what all read who follow.

    Without `manifests`, or where `most` bytes would not hold it, a manifest is reduced to what details are made of.
    Raises Unpublishable.
    """
    head = bytes((form or NEWEST,))
    manifest = share_manifest(record.manifest, env, whole=manifests) if kind in _MANIFESTS else b""
    body = head + _write(kind, record, manifest)
    if len(body) > most and kind in _MANIFESTS and manifests:
        if _COMPLAINTS.is_due((record.cluster, kind), None):
            _LOG.warning(
                "%s %s/%s of %s takes %d bytes, and the shared state %d of one object: shared without its manifest",
                *(kind, record.namespace, record.name, record.cluster, len(body), most),
            )
        body = head + _write(kind, record, share_manifest(record.manifest, env, whole=False))
    if len(body) > most:
        raise Unpublishable(f"{kind} {record.name[:100]} takes {len(body)} bytes, and the shared state {most} of one")
    return body


def _write(kind: ResourceName, record: Any, manifest: bytes) -> bytes:
    if kind == "pods":
        try:
            return encode_pod(record, manifest)
        except OverflowError as error:
            raise Unpublishable(f"{kind} {record.name[:100]} has a counter of more than 64 bits") from error
    if kind == "nodes":
        record = replace(record, manifest=manifest)
    elif kind == "workloads":  # what its pods come to, who follows it sums up
        record = replace(record, pod_count=0, restarts=0, requests=NO_RESOURCES, limits=NO_RESOURCES)
    try:
        return _ENCODER.encode(record)
    except OverflowError:
        return msgspec.json.encode(record)


def decode(kind: ResourceName, body: bytes, cluster: str) -> Any:
    """The record that `encode` was given, but for what it hid. Raises RecordUnreadable."""
    rest = read_form(body)
    try:
        return _READERS[kind](rest, cluster)
    except UNREADABLE as error:
        raise RecordUnreadable(f"not a record of {kind}: {error}") from error


def read_form(body: bytes) -> memoryview:
    """What follows the form, if that is one of those which this version reads. Raises RecordUnreadable."""
    form = body[0] if body else 0
    if not max(1, NEWEST - 1) <= form <= NEWEST:
        mends = "upgrade this replica" if form > NEWEST else "delete the member's stream: its writer fills it again"
        raise RecordUnreadable(f"a record of form {form}, and this version reads {NEWEST} and the one before: {mends}")
    return memoryview(body)[1:]


def _read_node(body: memoryview, cluster: str) -> Node:
    node = _NODE.decode(body)
    return replace(
        node,
        cluster=intern(cluster),
        name=intern(node.name),
        status=intern(node.status),
        roles=tuple(map(intern, node.roles)),
        taints=tuple([replace(each, key=intern(each.key), effect=intern(each.effect)) for each in node.taints]),
        addresses=tuple([replace(each, type=intern(each.type)) for each in node.addresses]),
        kubelet_version=intern(node.kubelet_version),
        os_image=interned(node.os_image),
        architecture=interned(node.architecture),
        region=interned(node.region),
        zone=interned(node.zone),
        labels=shared_pairs(node.labels),
        conditions=tuple(
            [
                replace(
                    each,
                    type=intern(each.type),
                    status=intern(each.status),
                    reason=interned(each.reason),
                    message=interned(each.message),
                )
                for each in node.conditions
            ]
        ),
        capacity=_shared_names(node.capacity),
        allocatable=_shared_names(node.allocatable),
    )


def _shared_names(amounts: Resources) -> Resources:
    return replace(amounts, extended=tuple([(intern(name), amount) for name, amount in amounts.extended]))


def _read_namespace(body: memoryview, cluster: str) -> Namespace:
    namespace = _NAMESPACE.decode(body)
    return replace(
        namespace,
        cluster=intern(cluster),
        name=intern(namespace.name),
        phase=intern(namespace.phase),
        labels=shared_pairs(namespace.labels),
    )


def _read_event(body: memoryview, cluster: str) -> Event:
    event = _EVENT.decode(body)
    regarding = event.regarding
    return replace(
        event,
        namespace=intern(event.namespace),
        type=intern(event.type),
        reason=intern(event.reason),
        source=interned(event.source),
        regarding=regarding._replace(
            cluster=cluster, namespace=intern(regarding.namespace), kind=intern(regarding.kind)
        ),
    )


def _read_workload(body: memoryview, cluster: str) -> Workload:
    workload = _WORKLOAD.decode(body)
    return replace(
        workload,
        cluster=intern(cluster),
        namespace=intern(workload.namespace),
        kind=intern(workload.kind),
        api_version=intern(workload.api_version),
        labels=shared_pairs(workload.labels),
        owner=None if workload.owner is None else shared_owner(workload.owner),
        images=tuple(map(intern, workload.images)),
        schedule=interned(workload.schedule),
    )


_MANIFESTS = frozenset({"pods", "nodes"})
_READERS: Mapping[ResourceName, Callable[[memoryview, str], Any]] = {
    "pods": decode_pod,
    "nodes": _read_node,
    "namespaces": _read_namespace,
    "events": _read_event,
    "workloads": _read_workload,
}
