"""What goes wrong on a real member is found by its cause. What no kubelet is there to do is written into statuses."""

import asyncio
import json
from typing import Any

import pytest

from fleet.federation import Federation
from fleet.model.problems import Cause, Problem
from fleet.model.visibility import EVERYTHING
from fleet.registry import FleetOptions
from realfleet.cluster import Cluster
from realfleet.fleet import Fleet
from tests.fakes.kubernetes import Object
from tests.fakes.waiting import until
from tests.fleet.cache.conftest import OpenLines
from tests.fleet.cache.test_real_workloads import NOWHERE, build

pytestmark = pytest.mark.real

NAMESPACE = "rollouts"
NOW = "2026-01-31T09:30:00Z"
NOT_READY = {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": NOW}
KILLED = {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": NOW, "startedAt": NOW}}


def waiting(reason: str, **last: Any) -> Object:
    state = {"waiting": {"reason": reason, "message": f"{reason}: told by the kubelet"}}
    container = {"name": "c", "image": "i", "imageID": "", "ready": False, "restartCount": 7, "state": state}
    return {"conditions": [NOT_READY], "containerStatuses": [container | {"lastState": last}]}


STATUSES: dict[str, tuple[Cause, Object]] = {
    "crash": (Cause.CRASH_LOOP, {"phase": "Running"} | waiting("CrashLoopBackOff")),
    "hungry": (Cause.OUT_OF_MEMORY, {"phase": "Running"} | waiting("CrashLoopBackOff", **KILLED)),
    "pull": (Cause.IMAGE_PULL, {"phase": "Pending"} | waiting("ImagePullBackOff")),
    "config": (Cause.CONTAINER_CONFIG, {"phase": "Pending"} | waiting("CreateContainerConfigError")),
    "evicted": (Cause.EVICTED, {"phase": "Failed", "reason": "Evicted", "message": "low on resource: memory"}),
    "broken": (Cause.POD_FAILED, {"phase": "Failed", "reason": "DeadlineExceeded"}),
    "slow": (Cause.POD_NOT_READY, {"phase": "Running"} | waiting("") | {"containerStatuses": []}),
}
OF_CONTROLLERS = {Cause.UNSCHEDULABLE, Cause.ROLLOUT_STALLED, Cause.JOB_FAILED}


def build_pod(name: str) -> Object:
    """On a node that nobody plays, so that a status stays as it is written."""
    spec = {"nodeName": "nobody", "containers": [{"name": "c", "image": f"{name}:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def break_things(member: Cluster) -> None:
    items: list[Object] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        build("Deployment", "stuck", NOWHERE, replicas=2, progressDeadlineSeconds=1, minReadySeconds=0),
        build("Job", "late", NOWHERE, activeDeadlineSeconds=1),
        *map(build_pod, STATUSES),
    ]
    listed = {"apiVersion": "v1", "kind": "List", "items": items}
    member.kubectl("apply", "-f", "-", stdin=json.dumps(listed))
    for name, (_, status) in STATUSES.items():
        patch = json.dumps({"status": status})
        member.kubectl("-n", NAMESPACE, "patch", "pod", name, "--subresource=status", "--type=merge", "-p", patch)


def clear_up(member: Cluster) -> None:
    member.kubectl("-n", NAMESPACE, "delete", "deployment,job", "--all")
    member.kubectl("-n", NAMESPACE, "delete", "pod", "--all", "--force", "--grace-period=0")  # no kubelet lets them go
    member.kubectl("delete", "namespace", NAMESPACE)


async def problems_of(federation: Federation) -> dict[Cause, Problem]:
    return {problem.cause: problem for problem in (await federation.find_problems(EVERYTHING)).found}


async def test_problems_of_a_real_member(real_fleet: Fleet, open_lines: OpenLines) -> None:
    member = real_fleet.members[0]
    expected = {cause for cause, _ in STATUSES.values()} | OF_CONTROLLERS
    async with open_lines(FleetOptions(member_timeout=5.0)) as lines:
        try:
            await asyncio.to_thread(break_things, member)

            async def are_found() -> bool:
                return (await problems_of(lines.federation)).keys() == expected

            await until(are_found, what="a problem of each cause", every=0.2)
            found = await problems_of(lines.federation)
        finally:
            await asyncio.to_thread(clear_up, member)

        async def are_gone() -> bool:
            return not await problems_of(lines.federation)

        await until(are_gone, what="no problem", every=0.2)
        await asyncio.to_thread(real_fleet.wait_whole)
    names = {cause: [each.name for each in problem.examples] for cause, problem in found.items()}
    assert {cause: names[cause] for cause, _ in STATUSES.values()} == {
        cause: [name] for name, (cause, _) in STATUSES.items()
    }
    assert (names[Cause.ROLLOUT_STALLED], names[Cause.JOB_FAILED]) == (["stuck"], ["late"])
    unschedulable = found[Cause.UNSCHEDULABLE]
    assert all(each.name.startswith("stuck-") for each in unschedulable.examples)
    assert unschedulable.reason == "node(s) didn't match Pod's node affinity/selector"
    assert found[Cause.CRASH_LOOP].examples[0].message == "CrashLoopBackOff: told by the kubelet"
    assert {*problem_places(found.values())} == {(member.name,)}


def problem_places(problems: Any) -> list[tuple[str, ...]]:
    return [problem.clusters for problem in problems]


async def test_a_real_member_that_hangs_is_a_problem(real_fleet: Fleet, open_lines: OpenLines) -> None:
    member = real_fleet.members[1]
    async with open_lines(FleetOptions(member_timeout=1.0)) as lines:
        with member.paused():

            async def is_found() -> bool:
                return Cause.CLUSTER_UNAVAILABLE in await problems_of(lines.federation)

            await until(is_found, what="a cluster that does not answer", every=0.2)
            found = await problems_of(lines.federation)
    assert found[Cause.CLUSTER_UNAVAILABLE].clusters == (member.name,)
    assert found[Cause.CLUSTER_UNAVAILABLE].since is not None
