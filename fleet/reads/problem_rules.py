"""The rules by which objects are not well. Each names its source; what none of them names is well.

`now` is in Unix seconds. What is only on its way is given a time to arrive, `GRACE`.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from fleet.model.objects import Cluster, ClusterHealth, Node, Pod, PodPhase, Unwell
from fleet.model.problems import Cause, Finding, Severity
from fleet.model.workloads import RolloutState, Workload

GRACE = 60.0
"""Seconds that a pod may take to start, to get ready, or to go once its own time is over."""


class Meaning(NamedTuple):
    """What people are told of a cause."""

    severity: Severity
    title: str


_CRITICAL, _WARNING = Severity
MEANINGS: Mapping[Cause, Meaning] = {
    Cause.CLUSTER_UNAVAILABLE: Meaning(_CRITICAL, "Clusters do not answer, or are not ready"),
    Cause.NODE_NOT_READY: Meaning(_CRITICAL, "Nodes are not ready"),
    Cause.OUT_OF_MEMORY: Meaning(_CRITICAL, "Containers are killed for want of memory"),
    Cause.CRASH_LOOP: Meaning(_CRITICAL, "Containers crash again and again"),
    Cause.IMAGE_PULL: Meaning(_CRITICAL, "Images can't be pulled"),
    Cause.CONTAINER_CONFIG: Meaning(_CRITICAL, "Containers can't be created as they are configured"),
    Cause.FAILED_MOUNT: Meaning(_CRITICAL, "Volumes can't be mounted"),
    Cause.UNSCHEDULABLE: Meaning(_CRITICAL, "Pods fit on no node"),
    Cause.ROLLOUT_STALLED: Meaning(_CRITICAL, "Rollouts got no further within their deadline"),
    Cause.JOB_FAILED: Meaning(_WARNING, "Jobs failed"),
    Cause.NODE_PRESSURE: Meaning(_WARNING, "Nodes run short of something"),
    Cause.EVICTED: Meaning(_WARNING, "Pods were evicted from their nodes"),
    Cause.POD_FAILED: Meaning(_WARNING, "Pods failed"),
    Cause.POD_NOT_READY: Meaning(_WARNING, "Pods run and are not ready"),
    Cause.POD_STARTING: Meaning(_WARNING, "Pods take long to start"),
    Cause.POD_TERMINATING: Meaning(_WARNING, "Pods do not go though they are deleted"),
}

_IMAGE = frozenset(  # kubernetes/pkg/kubelet/images/types.go
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_CONFIG = frozenset(  # kubernetes/pkg/kubelet/kuberuntime/kuberuntime_container.go, container/sync_result.go
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "PreCreateHookError",
        "PreStartHookError",
        "PostStartHookError",
        "RunContainerError",
        "CreatePodSandboxError",
    }
)
MOUNT_EVENTS = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume"})  # kubernetes/pkg/kubelet/events


def judge_pod(pod: Pod, now: float, find_mount_failure: Callable[[Pod], str | None]) -> Finding | None:
    """Why a pod is not well; `find_mount_failure` is asked of one that is slow to start."""
    unwell = pod.unwell
    if unwell is None:
        return None
    status = pod.status.removeprefix("Init:")
    cause = _find_cause(pod, unwell, status)
    if cause is not None:
        return Finding(cause, _why_unschedulable(unwell) if cause is Cause.UNSCHEDULABLE else status, *_told(unwell))
    since = pod.created_at if unwell.since is None else unwell.since
    if unwell.deleted_at is not None:  # metadata.deletionTimestamp: when its grace period is over
        overdue = now > unwell.deleted_at + GRACE
        return Finding(Cause.POD_TERMINATING, "Terminating", unwell.message, unwell.deleted_at) if overdue else None
    if now < since + GRACE or status == "SchedulingGated":
        return None
    if pod.phase is not PodPhase.PENDING:
        return Finding(Cause.POD_NOT_READY, status, unwell.message, since)
    if (message := find_mount_failure(pod)) is not None:
        return Finding(Cause.FAILED_MOUNT, status, message, since)
    return Finding(Cause.POD_STARTING, status, unwell.message, since)


def _find_cause(pod: Pod, unwell: Unwell, status: str) -> Cause | None:
    """What needs no time to be known."""
    if unwell.deleted_at is not None:
        return None
    if pod.phase is PodPhase.FAILED:
        if status == "Evicted":  # kubernetes/pkg/kubelet/eviction/eviction_manager.go, Reason
            return Cause.EVICTED
        return Cause.OUT_OF_MEMORY if unwell.out_of_memory else Cause.POD_FAILED
    if status in _IMAGE:
        return Cause.IMAGE_PULL
    if status in _CONFIG:
        return Cause.CONTAINER_CONFIG
    if unwell.out_of_memory and status in ("CrashLoopBackOff", "OOMKilled"):  # container runtimes' reason of the exit
        return Cause.OUT_OF_MEMORY
    if status == "CrashLoopBackOff":  # kubernetes/pkg/kubelet/container/sync_result.go, ErrCrashLoopBackOff
        return Cause.CRASH_LOOP
    if pod.node_name is None and unwell.reason == "Unschedulable":  # core/v1 PodReasonUnschedulable
        return Cause.UNSCHEDULABLE
    return None


def _told(unwell: Unwell) -> tuple[str | None, float | None]:
    return unwell.message, unwell.since


def _why_unschedulable(unwell: Unwell) -> str:
    """What the scheduler says, without numbers: `Insufficient cpu, node(s) had untolerated taint`.

    Source: kubernetes/pkg/scheduler/framework/types.go, `FitError.Error`: "0/3 nodes are available: 3 Insufficient cpu"
    """
    _, available, reasons = (unwell.message or "").partition("nodes are available: ")
    if not available:
        return "Unschedulable"
    stated = reasons.partition(". ")[0].rstrip(".").split(", ")
    return ", ".join(sorted({re.sub(r"^\d+ |\{[^}]*\}", "", each).strip() for each in stated}))[:200]


def judge_node(node: Node) -> list[Finding]:
    """A node may be short of several things. Source: core/v1 NodeConditionType."""
    findings = []
    for condition in node.conditions:
        told = (condition.message, condition.last_transition_at)
        if condition.type == "Ready":
            if condition.status != "True":
                findings.append(Finding(Cause.NODE_NOT_READY, condition.reason or "NotReady", *told))
        elif condition.status == "True" and condition.type in _PRESSURES:
            findings.append(Finding(Cause.NODE_PRESSURE, condition.type, *told))
    return findings


_PRESSURES = frozenset({"MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"})


def judge_workload(workload: Workload) -> Finding | None:
    """What `kubectl rollout status` gives up on, and Jobs with the condition Failed (batch/v1 JobFailed)."""
    told = (workload.rollout_message, workload.rollout_since)
    if workload.rollout is RolloutState.STALLED:
        return Finding(Cause.ROLLOUT_STALLED, "ProgressDeadlineExceeded", *told)
    if workload.rollout is RolloutState.FAILED:
        return Finding(Cause.JOB_FAILED, "Failed", *told)
    return None


def judge_cluster(cluster: Cluster, now: float) -> Finding | None:
    """As this server finds its health (`fleet.members.health`)."""
    if (reason := _UNAVAILABLE.get(cluster.health)) is None:
        return None
    since = None if cluster.age_seconds is None else now - cluster.age_seconds
    return Finding(Cause.CLUSTER_UNAVAILABLE, reason, cluster.message, since)


_UNAVAILABLE = {ClusterHealth.OFFLINE: "Offline", ClusterHealth.NOT_READY: "NotReady"}
