"""A pod's record as it travels. Nearly all changes are of pods, so what one takes is counted in microseconds.

Fields stand in order and without names: a new one goes to the end, with a default. What the pods of a workload have in
common is one part, which is read once for all pods where it is the same bytes.
"""

from collections.abc import Hashable
from operator import attrgetter
from sys import intern
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import astuple, replace

from fleet.kubernetes.codec.convert import IMAGES, DecodeCache, interned, shared_owner, shared_pairs
from fleet.kubernetes.codec.pod_resources import PodAmounts
from fleet.model.objects import MissingAmount, Moment, Owner, Pairs, Pod, PodPhase, Resources, Unwell

_MOST_KNOWN = 16_384
_ENCODER = msgspec.msgpack.Encoder()
_WRITTEN: dict[Hashable, bytes] = {}
_order = attrgetter("value")


class _Wire(Struct, array_like=True, frozen=True, gc=False):
    """The base of what has its fields in order."""


class _Resources(_Wire, frozen=True):
    cpu_cores: float | None
    memory_bytes: int | None
    ephemeral_storage_bytes: int | None
    pods: int | None
    extended: tuple[tuple[str, int], ...]


class _Amounts(_Wire, frozen=True):
    requests: _Resources
    limits: _Resources
    missing: frozenset[MissingAmount]


class _Alike(_Wire, frozen=True):
    """What a workload's pods have in common, but for their labels, which some workloads give each pod of its own.

    `amounts` are JSON, which holds a quantity of more than 64 bits.
    """

    owner: Owner | None
    images: tuple[str, ...]
    amounts: bytes
    qos_class: str | None
    service_account: str
    restart_policy: str
    scheduler_name: str


class _Pod(_Wire, frozen=True):
    namespace: str
    name: str
    uid: str
    resource_version: str
    phase: PodPhase
    status: str
    ready_containers: int
    total_containers: int
    restarts: int
    created_at: Moment
    node_name: str | None
    pod_ip: str | None
    host_ip: str | None
    labels: Raw
    alike: Raw
    unwell: Unwell | None
    manifest: bytes


_plain_fields = attrgetter(*_Pod.__struct_fields__[:14])
_alike_fields = attrgetter(*_Alike.__struct_fields__[3:])
_POD = msgspec.msgpack.Decoder(_Pod)
_ALIKE_DECODER = msgspec.msgpack.Decoder(_Alike)
_AMOUNTS_DECODER = msgspec.json.Decoder(_Amounts)
_LABELS_DECODER = msgspec.msgpack.Decoder(Pairs)


def encode_pod(pod: Pod, manifest: bytes) -> bytes:
    """The record with this manifest in the place of its own. Raises OverflowError for counters of more than 64 bits."""
    alike = (pod.owner, pod.images, _write_amounts(pod), *_alike_fields(pod))
    return _ENCODER.encode((*_plain_fields(pod), alike, pod.unwell, manifest))


def decode_pod(body: bytes | memoryview, cluster: str) -> Pod:
    """The record, sharing what the codec's records share. Raises msgspec.DecodeError, ValueError."""
    wire = _POD.decode(body)
    alike, unwell = _ALIKE.decode(wire.alike), wire.unwell
    if unwell is not None:
        unwell = replace(unwell, reason=interned(unwell.reason), message=interned(unwell.message))
    return Pod(
        cluster=intern(cluster),
        namespace=intern(wire.namespace),
        name=wire.name,
        uid=wire.uid,
        resource_version=wire.resource_version,
        phase=wire.phase,
        status=intern(wire.status),
        ready_containers=wire.ready_containers,
        total_containers=wire.total_containers,
        restarts=wire.restarts,
        created_at=wire.created_at,
        node_name=interned(wire.node_name),
        pod_ip=wire.pod_ip,
        host_ip=interned(wire.host_ip),
        qos_class=alike.qos_class,
        service_account=alike.service_account,
        restart_policy=alike.restart_policy,
        scheduler_name=alike.scheduler_name,
        labels=_LABELS.decode(wire.labels),
        owner=alike.owner,
        requests=alike.amounts.requests,
        limits=alike.amounts.limits,
        manifest=wire.manifest,
        images=alike.images,
        missing=alike.amounts.missing,
        unwell=unwell,
    )


def _write_amounts(pod: Pod) -> bytes:
    amounts = pod.requests, pod.limits, pod.missing
    written = _WRITTEN.get(amounts)
    if written is None:
        if len(_WRITTEN) >= _MOST_KNOWN:
            _WRITTEN.clear()
        missing = sorted(pod.missing, key=_order)  # equal amounts are equal bytes, whoever writes them
        written = _WRITTEN[amounts] = msgspec.json.encode((astuple(pod.requests), astuple(pod.limits), missing))
    return written


def _read_amounts(written: bytes) -> PodAmounts:
    wire = _AMOUNTS_DECODER.decode(written)
    return PodAmounts(_build_resources(wire.requests), _build_resources(wire.limits), wire.missing)


def _build_resources(wire: _Resources) -> Resources:
    extended = tuple([(intern(name), amount) for name, amount in wire.extended])
    return Resources(wire.cpu_cores, wire.memory_bytes, wire.ephemeral_storage_bytes, wire.pods, extended)


class _Shared(NamedTuple):
    """As `_Alike`, of what is shared by all that have it."""

    owner: Owner | None
    images: tuple[str, ...]
    amounts: PodAmounts
    qos_class: str | None
    service_account: str
    restart_policy: str
    scheduler_name: str


def _read_alike(written: bytes) -> _Shared:
    wire = _ALIKE_DECODER.decode(written)
    return _Shared(
        None if wire.owner is None else shared_owner(wire.owner),
        IMAGES.intern(wire.images),
        _AMOUNTS.decode(wire.amounts),
        interned(wire.qos_class),
        intern(wire.service_account),
        intern(wire.restart_policy),
        intern(wire.scheduler_name),
    )


_ALIKE: DecodeCache[_Shared] = DecodeCache(_read_alike)
_AMOUNTS: DecodeCache[PodAmounts] = DecodeCache(_read_amounts)
_LABELS: DecodeCache[Pairs] = DecodeCache(lambda written: shared_pairs(_LABELS_DECODER.decode(written)))
