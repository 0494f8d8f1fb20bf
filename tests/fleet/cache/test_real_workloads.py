"""Workloads of a real member, with its controllers at work, say what kubectl prints of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fleet.federation import Federation
from fleet.kubernetes.auth.authorizers import bearer
from fleet.kubernetes.auth.tls import TlsMaterial, build_ssl_context
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.kinds import PODS, WORKLOADS
from fleet.model.objects import ClusterHealth, OnUnavailable, OutcomeState
from fleet.model.queries import Page, PageRequest, PodFilter, WorkloadFilter
from fleet.model.visibility import EVERYTHING
from fleet.model.workloads import RolloutState, Workload
from fleet.ports import Connection, MemberSpec
from fleet.registry import FleetOptions, open_federation
from realfleet.cluster import Cluster
from realfleet.fleet import Fleet
from realfleet.processes import FleetError
from tests.fakes.kubernetes import Object, build_workload
from tests.fakes.waiting import until
from tests.fleet.cache.conftest import OpenLines, RealSource

pytestmark = pytest.mark.real

NAMESPACE = "rollouts"
NOWHERE = {"nodeSelector": {"there": "is-none"}}
COMPLETE, PROGRESSING, STALLED, PAUSED, FAILED = RolloutState
EXPECTED = {
    "Deployment web": COMPLETE,
    "Deployment stuck": STALLED,
    "Deployment waiting": PROGRESSING,
    "Deployment paused": PAUSED,
    "StatefulSet db": COMPLETE,
    "StatefulSet slow": PROGRESSING,
    "DaemonSet agent": COMPLETE,
    "Job once": COMPLETE,
    "Job late": FAILED,
    "Job held": PAUSED,
    "Job by-hand": COMPLETE,
    "CronJob nightly": PAUSED,
    "ReplicaSet alone": None,
}


def build(kind: str, name: str, pods: Object | None = None, **spec: Any) -> Object:
    template: Object = {"containers": [{"name": "c", "image": f"{name}:1"}]} | (pods or {})
    if kind in ("Job", "CronJob"):
        template |= {"restartPolicy": "Never"}
    shaped: Object = {"metadata": {"labels": {"app": name}}, "spec": template}
    item = build_workload(kind, NAMESPACE, name, {"template": shaped} | spec)
    item["metadata"] = {"name": name, "namespace": NAMESPACE}
    del item["status"]
    if kind in ("Job", "CronJob"):
        del item["spec"]["selector"]
    return item


def build_all() -> list[Object]:
    nightly = build("CronJob", "nightly", schedule="0 3 1 1 *", suspend=True)
    template = nightly["spec"].pop("template")
    nightly["spec"]["jobTemplate"] = {"spec": {"template": template}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        build("Deployment", "web", replicas=3),
        build("Deployment", "stuck", NOWHERE, replicas=2, progressDeadlineSeconds=1, minReadySeconds=0),
        build("Deployment", "waiting", NOWHERE, replicas=2),
        build("Deployment", "paused", replicas=2, paused=True),
        build("StatefulSet", "db", replicas=2, serviceName="db"),
        build("StatefulSet", "slow", NOWHERE, replicas=2, serviceName="slow"),
        build("DaemonSet", "agent"),
        build("Job", "once"),
        build("Job", "late", NOWHERE, activeDeadlineSeconds=1),
        build("Job", "held", suspend=True),
        nightly,
        build("ReplicaSet", "alone", replicas=2),
    ]


class Followed:
    """The member with its workloads, and the federation that follows it."""

    def __init__(self, federation: Federation, member: Cluster) -> None:
        self.federation = federation
        self.member = member

    async def workloads(self) -> dict[str, Workload]:
        wanted = WorkloadFilter(clusters=frozenset({self.member.name}), namespaces=frozenset({NAMESPACE}))
        page = await self.federation.list_page(WORKLOADS, EVERYTHING, wanted, (), PageRequest(), OnUnavailable.STRICT)
        return {f"{each.kind} {each.name}": each for each in page.items}

    async def kubectl(self, *arguments: str) -> str:
        """What kubectl prints, to whichever of its outputs."""
        try:
            return await asyncio.to_thread(self.member.kubectl, "-n", NAMESPACE, *arguments)
        except FleetError as error:
            return str(error)

    async def rows(self, kind: str) -> dict[str, list[str]]:
        printed = (await self.kubectl("get", kind, "--no-headers")).splitlines()
        return {name: columns for name, *columns in map(str.split, printed)}


@pytest.fixture
async def followed(real_fleet: Fleet, open_lines: OpenLines) -> AsyncIterator[Followed]:
    member = real_fleet.members[0]
    items = {"apiVersion": "v1", "kind": "List", "items": build_all()}
    async with open_lines(FleetOptions(member_timeout=5.0)) as lines:
        try:
            await asyncio.to_thread(member.kubectl, "apply", "-f", "-", stdin=json.dumps(items))
            followed = Followed(lines.federation, member)
            await followed.kubectl("create", "job", "by-hand", "--from=cronjob/nightly")

            async def is_settled() -> bool:
                found = await followed.workloads()
                return {name: each.rollout for name, each in found.items()} == EXPECTED

            await until(is_settled, what="each workload in its state", every=0.2)
            yield followed
        finally:
            await asyncio.to_thread(member.kubectl, "delete", "namespace", NAMESPACE, "--ignore-not-found")
            await asyncio.to_thread(real_fleet.wait_whole)


async def test_workloads_of_a_real_member_are_as_kubectl_prints_them(followed: Followed) -> None:
    found = await followed.workloads()
    for kind, name in (("deployment", "Deployment"), ("statefulset", "StatefulSet")):
        for each, columns in (await followed.rows(kind)).items():
            mine = found[f"{name} {each}"]
            assert columns[0] == f"{mine.ready}/{mine.desired}", (each, columns)
            assert kind == "statefulset" or columns[1:3] == [str(mine.updated), str(mine.available)], (each, columns)
    agent, (columns,) = found["DaemonSet agent"], (await followed.rows("daemonset")).values()
    counts = [agent.desired, agent.desired, agent.ready, agent.updated, agent.available]
    assert columns[:5] == [str(count) for count in counts]
    for each, columns in (await followed.rows("job")).items():
        mine = found[f"Job {each}"]
        words = {COMPLETE: "Complete", FAILED: "Failed", PAUSED: "Suspended"}
        assert columns[:2] == [words[mine.rollout or PROGRESSING], f"{mine.succeeded}/{mine.desired}"], each
    for name, mine in found.items():
        if mine.kind in ("Job", "CronJob", "ReplicaSet") or mine.rollout is PAUSED:
            continue  # kubectl has no word for it
        printed = await followed.kubectl("rollout", "status", f"{mine.kind.lower()}/{mine.name}", "--watch=false")
        assert mine.rollout_message is not None
        assert mine.rollout_message in printed, name
    since = {mine.kind for mine in found.values() if mine.rollout_since is not None}
    assert since == {"Deployment", "Job"}, "the others have no condition that would say it"
    assert all(mine.rollout_since for mine in found.values() if mine.kind in since)


async def test_pods_of_a_real_member_are_of_their_topmost_workload(followed: Followed) -> None:
    federation = followed.federation
    wanted = PodFilter(clusters=frozenset({followed.member.name}), namespaces=frozenset({NAMESPACE}))
    page = await federation.list_page(PODS, EVERYTHING, wanted, (), PageRequest(), OnUnavailable.STRICT)
    tops = {pod.name: found for pod in page.items if (found := federation.workload_of(EVERYTHING, pod)) is not None}
    assert len(tops) == len(page.items)
    for pod, top in tops.items():
        assert pod.startswith(f"{'by-hand' if top.name == 'nightly' else top.name}-")
        assert top.kind == ("ReplicaSet" if top.name == "alone" else EXPECTED_KINDS[top.name])
    web = (await followed.workloads())["Deployment web"]
    assert [pod.name for pod in federation.pods_in(web)] == sorted(
        pod for pod, top in tops.items() if top.name == "web"
    )
    await followed.kubectl("delete", "deployment", "web", "--cascade=orphan")

    async def is_orphaned() -> bool:
        kinds = {each.kind for each in (await followed.workloads()).values() if each.name.startswith("web")}
        return kinds == {"ReplicaSet"}

    await until(is_orphaned, what="a ReplicaSet of its own", every=0.1)


EXPECTED_KINDS = {name: kind for kind, name in map(str.split, EXPECTED)}


class ViewerSource(RealSource):
    """Reaches members with the token of somebody who may not read everything."""

    async def open_connection(self, spec: MemberSpec) -> Connection:
        member = self._members[spec.name]
        tls = build_ssl_context(TlsMaterial(ca=member.ca_pem))
        return HttpConnection(spec.name, Target(self._urls[spec.name], tls, bearer(member.api.tokens.viewer)))


async def test_a_member_that_refuses_kinds_says_which_and_tells_of_the_others(real_fleet: Fleet) -> None:
    member = real_fleet.members[0]
    source = ViewerSource({member.name: member.url}, {member.name: member})
    async with open_federation(source, FleetOptions(member_timeout=5.0)) as federation:
        await federation.wait_synced(30)

        async def list_all(kind: Any, wanted: Any) -> Page[Any]:
            return await federation.list_page(kind, EVERYTHING, wanted, (), PageRequest(), OnUnavailable.PARTIAL)

        workloads = await list_all(WORKLOADS, WorkloadFilter())
        pods = await list_all(PODS, PodFilter())
        health = federation.get_cluster(EVERYTHING, member.name).health
    (outcome,) = workloads.outcomes
    assert outcome.state is OutcomeState.OK
    for kind in ("statefulsets.apps", "daemonsets.apps", "jobs.batch", "cronjobs.batch"):
        assert f"{kind} is forbidden" in (outcome.message or "")
    assert "deployments.apps" not in (outcome.message or "")
    assert {f"{each.namespace}/{each.name}" for each in workloads.items if each.rollout is COMPLETE} == {
        f"{namespace}/{name}" for (namespace, name), replicas in member.replicas.items() if replicas
    }
    assert len(pods.matched) == sum(member.replicas.values())
    assert health is ClusterHealth.READY
