"""What kubectl's READY, STATUS and RESTARTS columns say of a pod.

Source: the API server's own table printer, `printPod` in kubernetes/pkg/printers/internalversion/printers.go. The order
of the rules there is the meaning: a later container, then a deletion, overrides what was found before.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from fleet.kubernetes.codec.pod_wire import (
    ListedCondition,
    ListedInitStatus,
    ListedStatus,
    ListedTerminated,
    WirePod,
)

_CONDITIONS = msgspec.json.Decoder(list[ListedCondition] | None)
_GATED = "SchedulingGated"
_GATED_BYTES = _GATED.encode()


class _Condition(Protocol):
    """A condition, of whichever decoder."""

    @property
    def type(self) -> str: ...
    @property
    def reason(self) -> str | None: ...


class _Restartable(Protocol):
    @property
    def restart_policy(self) -> str | None: ...


class PodColumns(NamedTuple):
    """STATUS, the two halves of READY, and RESTARTS."""

    status: str
    ready: int
    total: int
    restarts: int


class _Progress(NamedTuple):
    """How far the init containers are; `reason` is None once none of them holds the pod back."""

    reason: str | None
    ready: int
    restarts: int
    sidecar_restarts: int


_NOT_HELD_BACK = _Progress(None, 0, 0, 0)
_NO_SIDECARS: frozenset[str] = frozenset()


def pod_columns(pod: WirePod) -> PodColumns:
    """Reads the columns from a pod. Raises msgspec.DecodeError for conditions that are none, where they matter."""
    containers, init_containers = pod.spec.containers, pod.spec.init_containers
    sidecars: Collection[str] = _NO_SIDECARS
    progress = _NOT_HELD_BACK
    if init_containers:
        sidecars = {container.name for container in init_containers if is_sidecar(container)}
    if pod.status.init_container_statuses:
        progress = _init_progress(pod.status.init_container_statuses, sidecars, len(init_containers or ()))
    reason = progress.reason or _pod_reason(pod)
    ready, restarts = progress.ready, progress.restarts
    if progress.reason is None or _is_true(pod, "Initialized"):
        reason, main_ready, main_restarts = _main_state(pod, reason)
        ready += main_ready
        restarts = progress.sidecar_restarts + main_restarts
    if pod.metadata.deletion_timestamp is not None:
        reason = _deletion_reason(pod, reason)
    return PodColumns(reason, ready, (len(containers) if containers else 0) + len(sidecars), restarts)


def is_sidecar(container: _Restartable) -> bool:
    """Whether an init container keeps running beside the containers proper."""
    return container.restart_policy == "Always"


def is_resize_infeasible(conditions: Iterable[_Condition]) -> bool:
    """Whether a resize was asked for that the node will never make: the first condition of its type says it."""
    return next((entry.reason == "Infeasible" for entry in conditions if entry.type == "PodResizePending"), False)


def conditions_of(pod: WirePod) -> Sequence[ListedCondition]:
    """Few pods' columns depend on them, so they are read where they do."""
    return (_CONDITIONS.decode(pod.status.conditions) or ()) if pod.status.conditions else ()


def _pod_reason(pod: WirePod) -> str:
    conditions = bytes(pod.status.conditions)
    # What is not in the bytes is not in the text, unless something there is escaped.
    if (_GATED_BYTES in conditions or b"\\" in conditions) and any(
        entry.type == "PodScheduled" and entry.reason == _GATED for entry in conditions_of(pod)
    ):
        return _GATED
    return pod.status.reason or pod.status.phase


def _deletion_reason(pod: WirePod, reason: str) -> str:
    if pod.status.reason == "NodeLost":
        return "Unknown"
    return reason if pod.status.phase in {"Succeeded", "Failed"} else "Terminating"


def _init_progress(statuses: list[ListedInitStatus], sidecars: Collection[str], declared: int) -> _Progress:
    ready = restarts = sidecar_restarts = 0
    for index, container in enumerate(statuses):
        restarts += container.restart_count
        if container.name in sidecars:
            sidecar_restarts += container.restart_count
        terminated = container.state.terminated
        if terminated is not None and terminated.exit_code == 0:
            continue
        if container.name in sidecars and container.started:
            ready += container.ready
            continue
        return _Progress(_init_reason(container, index, declared), ready, restarts, sidecar_restarts)
    return _Progress(None, ready, restarts, sidecar_restarts)


def _init_reason(container: ListedInitStatus, index: int, declared: int) -> str:
    if container.state.terminated is not None:
        return f"Init:{_exit_reason(container.state.terminated)}"
    waiting = container.state.waiting
    if waiting is not None and waiting.reason and waiting.reason != "PodInitializing":
        return f"Init:{waiting.reason}"
    return f"Init:{index}/{declared}"


def _main_state(pod: WirePod, reason: str) -> tuple[str, int, int]:
    """What the containers proper say: the reason (the given one where none says any), how many are ready, restarts."""
    statuses: Sequence[ListedStatus] = pod.status.container_statuses or ()
    ready = restarts = 0
    error: str | None = None
    # Last to first, so that the first container has the last word.
    for container in reversed(statuses):
        restarts += container.restart_count
        state = container.state
        if state.waiting is not None and state.waiting.reason:
            reason = state.waiting.reason
        elif state.terminated is not None:
            reason = _exit_reason(state.terminated)
            if state.terminated.exit_code != 0:
                error = reason
        elif container.ready and state.running is not None:
            ready += 1
    if reason == "Completed":
        reason = _completed_reason(ready > 0, error, pod)
    return reason, ready, restarts


def _completed_reason(runs: bool, error: str | None, pod: WirePod) -> str:
    if runs and any(entry.type == "Ready" and entry.status == "True" for entry in conditions_of(pod)):
        return "Running"
    if error is not None:
        return error
    return "NotReady" if runs else "Completed"


def _exit_reason(terminated: ListedTerminated) -> str:
    if terminated.reason:
        return terminated.reason
    return f"Signal:{terminated.signal}" if terminated.signal else f"ExitCode:{terminated.exit_code}"


def _is_true(pod: WirePod, kind: str) -> bool:
    """Whether the first condition of that type is true."""
    return next((entry.status == "True" for entry in conditions_of(pod) if entry.type == kind), False)
