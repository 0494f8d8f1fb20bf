"""Which pods, nodes, workloads and clusters are not well, and why. Pods are read from bytes, as members send them."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from fleet.kubernetes.codec.codec import PODS
from fleet.model.objects import Cluster, ClusterHealth, ClusterRole, Condition, PlatformInfo
from fleet.model.problems import Cause, Finding
from fleet.model.workloads import RolloutState
from fleet.reads.problem_rules import GRACE, MEANINGS, judge_cluster, judge_node, judge_pod, judge_workload
from tests.fakes.kubernetes import Object, build_pod
from tests.fakes.records import build_node_record, build_workload_record

SINCE = 1_790_000_000.0
AT = "2026-09-21T14:13:20Z"
LATER = SINCE + GRACE + 1
NOT_READY = {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": AT}
FULL = (
    "0/3 nodes are available: 1 node(s) had untolerated taint(s) {a: b}, 2 Insufficient cpu. no new claims to "
    "deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
)


def waiting(reason: str, message: str = "", **last: Any) -> Object:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": "c", "ready": False, "restartCount": 3, "state": state, "lastState": last}


def ended(reason: str, code: int = 1) -> Object:
    return {"terminated": {"reason": reason, "exitCode": code}}


def pod(status: Object, *, node: str | None = "n1", deleted: str | None = None, **more: Any) -> Object:
    item = build_pod("shop", "p", node=node)
    item["metadata"] |= {"creationTimestamp": AT} | ({"deletionTimestamp": deleted} if deleted else {})
    item["status"] = {"phase": "Running", "conditions": [NOT_READY]} | status
    item["spec"] |= more
    return item


def of(*statuses: Object) -> Object:
    return {"containerStatuses": list(statuses)}


PODS_AND_CAUSES: list[tuple[Object, Cause | None, str, str | None]] = [
    (pod(of({"name": "c", "ready": True, "state": {"running": {}}})), None, "", None),
    (pod({"phase": "Succeeded"} | of({"name": "c", "state": ended("Completed", 0)})), None, "", None),
    (pod(of(waiting("CrashLoopBackOff", "back-off 5m0s"))), Cause.CRASH_LOOP, "CrashLoopBackOff", "back-off 5m0s"),
    (
        pod(of(waiting("CrashLoopBackOff", "back-off", **ended("OOMKilled", 137)))),
        Cause.OUT_OF_MEMORY,
        "CrashLoopBackOff",
        "back-off",
    ),
    (pod(of({"name": "c", "state": ended("OOMKilled", 137)})), Cause.OUT_OF_MEMORY, "OOMKilled", None),
    (
        pod({"phase": "Failed"} | of({"name": "c", "state": ended("OOMKilled", 137)})),
        Cause.OUT_OF_MEMORY,
        "OOMKilled",
        None,
    ),
    (
        pod({"phase": "Pending"} | of(waiting("ImagePullBackOff", 'Back-off pulling image "x"'))),
        Cause.IMAGE_PULL,
        "ImagePullBackOff",
        'Back-off pulling image "x"',
    ),
    (pod({"phase": "Pending"} | of(waiting("ErrImagePull"))), Cause.IMAGE_PULL, "ErrImagePull", None),
    (
        pod(
            {"phase": "Pending", "initContainerStatuses": [waiting("ImagePullBackOff")]},
            initContainers=[{"name": "c", "image": "i"}],
        ),
        Cause.IMAGE_PULL,
        "ImagePullBackOff",
        None,
    ),
    (
        pod({"phase": "Pending"} | of(waiting("CreateContainerConfigError", 'secret "s" not found'))),
        Cause.CONTAINER_CONFIG,
        "CreateContainerConfigError",
        'secret "s" not found',
    ),
    (
        pod(
            {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": FULL}
                    | {"lastTransitionTime": AT}
                ],
            },
            node=None,
        ),
        Cause.UNSCHEDULABLE,
        "Insufficient cpu, node(s) had untolerated taint(s)",
        FULL,
    ),
    (
        pod({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}),
        Cause.EVICTED,
        "Evicted",
        "The node was low on resource: memory.",
    ),
    (pod({"phase": "Failed"} | of({"name": "c", "state": ended("Error")})), Cause.POD_FAILED, "Error", None),
    (pod(of({"name": "c", "ready": False, "state": {"running": {}}})), Cause.POD_NOT_READY, "Running", None),
    (pod({"phase": "Pending"} | of(waiting("ContainerCreating"))), Cause.POD_STARTING, "ContainerCreating", None),
    (pod({"phase": "Running"}, deleted=AT), Cause.POD_TERMINATING, "Terminating", None),
    (
        pod(
            {
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
            },
            node=None,
        ),
        None,
        "",
        None,
    ),
]


def judge(item: Object, now: float, failure: str | None = None) -> Finding | None:
    page = {"kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": [item]}
    (record,) = PODS.decode_list(json.dumps(page).encode(), "c1").records
    return judge_pod(record, now, lambda _: failure)


@pytest.mark.parametrize(("item", "cause", "reason", "message"), PODS_AND_CAUSES)
def test_pods(item: Object, cause: Cause | None, reason: str, message: str | None) -> None:
    found = judge(item, LATER)
    expected = None if cause is None else Finding(cause, reason, message, found.since if found else None)
    assert found == expected
    if found is not None and "conditions" in item["status"]:
        assert found.since == SINCE


@pytest.mark.parametrize("cause", [Cause.POD_NOT_READY, Cause.POD_STARTING, Cause.POD_TERMINATING])
def test_what_is_on_its_way_has_time_to_arrive(cause: Cause) -> None:
    (item,) = (item for item, caused, *_ in PODS_AND_CAUSES if caused is cause)
    assert judge(item, SINCE + GRACE - 1) is None
    assert judge(item, LATER) is not None


def test_a_pod_that_is_deleted_in_time_is_none_whatever_it_says() -> None:
    assert judge(pod(of(waiting("CrashLoopBackOff")), deleted=AT), SINCE) is None


def test_a_slow_start_is_a_failed_mount_where_an_event_says_so() -> None:
    found = judge(pod({"phase": "Pending"} | of(waiting("ContainerCreating"))), LATER, 'configmap "c" not found')
    assert found is not None
    assert (found.cause, found.message) == (Cause.FAILED_MOUNT, 'configmap "c" not found')


def test_nodes() -> None:
    def node(*conditions: Condition) -> list[Finding]:
        return judge_node(replace(build_node_record("c1", "n1"), conditions=conditions))

    ready = Condition("Ready", "True")
    assert node(ready, Condition("MemoryPressure", "False"), Condition("Other", "True")) == []
    lost = Condition("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.", SINCE)
    full = Condition("DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure", SINCE)
    assert node(lost, full) == [
        Finding(Cause.NODE_NOT_READY, "NodeStatusUnknown", "Kubelet stopped posting node status.", SINCE),
        Finding(Cause.NODE_PRESSURE, "DiskPressure", "kubelet has disk pressure", SINCE),
    ]


def test_workloads() -> None:
    web = replace(build_workload_record("c1", "shop", "web"), rollout_message="m", rollout_since=SINCE)
    causes = {state: judge_workload(replace(web, rollout=state)) for state in (*RolloutState, None)}
    assert causes[RolloutState.STALLED] == Finding(Cause.ROLLOUT_STALLED, "ProgressDeadlineExceeded", "m", SINCE)
    assert causes[RolloutState.FAILED] == Finding(Cause.JOB_FAILED, "Failed", "m", SINCE)
    assert [state for state, found in causes.items() if found] == [RolloutState.STALLED, RolloutState.FAILED]


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        (ClusterHealth.READY, None),
        (ClusterHealth.NOT_READY, "NotReady"),
        (ClusterHealth.OFFLINE, "Offline"),
        (ClusterHealth.UNKNOWN, None),
    ],
)
def test_clusters(health: ClusterHealth, reason: str | None) -> None:
    cluster = Cluster(
        name="c1",
        role=ClusterRole.MEMBER,
        health=health,
        message="no answer",
        version=None,
        info=PlatformInfo(),
        age_seconds=5.0,
    )
    found = judge_cluster(cluster, LATER)
    assert found == (reason and Finding(Cause.CLUSTER_UNAVAILABLE, reason, "no answer", LATER - 5.0))


def test_each_cause_is_explained() -> None:
    assert MEANINGS.keys() == set(Cause)
