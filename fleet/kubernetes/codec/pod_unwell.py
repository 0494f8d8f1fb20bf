"""Pods that are not well: a second look at what the record of the others need not hold."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from fleet.kubernetes.codec.convert import interned, parse_time
from fleet.kubernetes.codec.depth import read_deep
from fleet.kubernetes.codec.pod_status import PodColumns
from fleet.kubernetes.codec.pod_wire import WirePod
from fleet.kubernetes.codec.wire import ContainerStatus, Wire, WireCondition
from fleet.model.manifests import load_raw_manifest
from fleet.model.objects import Unwell
from fleet.model.unreadable import UNREADABLE

_OUT_OF_MEMORY = "OOMKilled"


class _Status(Wire, frozen=True):
    message: str | None = None
    conditions: list[WireCondition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None


class _Metadata(Wire, frozen=True):
    deletion_timestamp: datetime | None = None


class _Pod(Wire, frozen=True):
    metadata: _Metadata
    status: _Status = _Status()


_DECODER = msgspec.json.Decoder(_Pod)
_UNTOLD = Unwell(since=None, reason=None, message=None, deleted_at=None, out_of_memory=False)


def is_well(pod: WirePod, columns: PodColumns) -> bool:
    """Whether a pod runs with all its containers ready, or has ended well, and nobody deletes it."""
    phase = pod.status.phase
    return pod.metadata.deletion_timestamp is None and (
        phase == "Succeeded" or (phase == "Running" and columns.ready == columns.total)
    )


def find_unwell(manifest: bytes) -> Unwell:
    """Reads it from the compressed manifest; nothing is known of what is not as the Kubernetes API promises."""
    try:
        pod = read_deep(_DECODER.decode, load_raw_manifest(manifest))
    except UNREADABLE:  # the record is right without, and details say what is wrong
        return _UNTOLD
    deleted, status = pod.metadata.deletion_timestamp, pod.status
    conditions = {each.type: each for each in status.conditions or () if each.status != "True"}
    condition = conditions.get("PodScheduled") or conditions.get("Ready")
    containers = list(_containers(status))
    waits = (each.state.waiting for each in containers)
    waiting = next((wait.message for wait in waits if wait is not None and wait.message), None)
    return Unwell(
        since=None if condition is None else parse_time(condition.last_transition_time),
        reason=None if condition is None else interned(condition.reason),
        message=interned(status.message or waiting or (None if condition is None else condition.message)),
        deleted_at=None if deleted is None else deleted.timestamp(),
        out_of_memory=any(
            ended is not None and ended.reason == _OUT_OF_MEMORY
            for each in containers
            for ended in (each.state.terminated, each.last_state.terminated)
        ),
    )


def _containers(status: _Status) -> Iterator[ContainerStatus]:
    yield from status.init_container_statuses or ()
    yield from status.container_statuses or ()
