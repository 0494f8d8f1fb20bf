"""What kubectl's READY, STATUS and RESTARTS columns say of a pod.

Source: the API server's own table printer, `printPod` in kubernetes/pkg/printers/internalversion/printers.go. The order
of the rules there is the meaning: a later container, then a deletion, overrides what was found before.
"""

from typing import NamedTuple

from fleet.kubernetes.wire import ContainerStatus, Terminated, WireCondition, WireContainer, WirePod


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


class _Main(NamedTuple):
    """What the containers proper say; `reason` is what was given where none of them says anything."""

    reason: str
    ready: int
    restarts: int


def pod_columns(pod: WirePod) -> PodColumns:
    """Reads the columns from a pod."""
    conditions = pod.status.conditions or []
    init_containers = pod.spec.init_containers or []
    sidecars = {container.name for container in init_containers if is_sidecar(container)}
    progress = _init_progress(pod.status.init_container_statuses or [], sidecars, len(init_containers))
    reason = progress.reason or _pod_reason(pod, conditions)
    ready, restarts = progress.ready, progress.restarts
    if progress.reason is None or _is_true(conditions, "Initialized"):
        main = _main_state(pod.status.container_statuses or [], reason, conditions)
        reason = main.reason
        ready += main.ready
        restarts = progress.sidecar_restarts + main.restarts
    if pod.metadata.deletion_timestamp is not None:
        reason = _deletion_reason(pod, reason)
    return PodColumns(reason, ready, len(pod.spec.containers or []) + len(sidecars), restarts)


def is_sidecar(container: WireContainer) -> bool:
    """Whether an init container keeps running beside the containers proper."""
    return container.restart_policy == "Always"


def _pod_reason(pod: WirePod, conditions: list[WireCondition]) -> str:
    if any(entry.type == "PodScheduled" and entry.reason == "SchedulingGated" for entry in conditions):
        return "SchedulingGated"
    return pod.status.reason or pod.status.phase


def _deletion_reason(pod: WirePod, reason: str) -> str:
    if pod.status.reason == "NodeLost":
        return "Unknown"
    return reason if pod.status.phase in {"Succeeded", "Failed"} else "Terminating"


def _init_progress(statuses: list[ContainerStatus], sidecars: set[str], declared: int) -> _Progress:
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


def _init_reason(container: ContainerStatus, index: int, declared: int) -> str:
    if container.state.terminated is not None:
        return f"Init:{_exit_reason(container.state.terminated)}"
    waiting = container.state.waiting
    if waiting is not None and waiting.reason and waiting.reason != "PodInitializing":
        return f"Init:{waiting.reason}"
    return f"Init:{index}/{declared}"


def _main_state(statuses: list[ContainerStatus], reason: str, conditions: list[WireCondition]) -> _Main:
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
        reason = _completed_reason(ready > 0, error, conditions)
    return _Main(reason, ready, restarts)


def _completed_reason(runs: bool, error: str | None, conditions: list[WireCondition]) -> str:
    if runs and any(entry.type == "Ready" and entry.status == "True" for entry in conditions):
        return "Running"
    if error is not None:
        return error
    return "NotReady" if runs else "Completed"


def _exit_reason(terminated: Terminated) -> str:
    if terminated.reason:
        return terminated.reason
    return f"Signal:{terminated.signal}" if terminated.signal else f"ExitCode:{terminated.exit_code}"


def _is_true(conditions: list[WireCondition], kind: str) -> bool:
    """Whether the first condition of that type is true."""
    return next((entry.status == "True" for entry in conditions if entry.type == kind), False)
