"""The cache against real API servers: equal to their own lists, whatever the lines and the servers do."""

import asyncio
import time
from typing import Any

import pytest

from fleet.federation import Federation
from fleet.model.kinds import PODS
from fleet.model.objects import OnUnavailable, OutcomeState, Pod
from fleet.model.queries import Page, PageRequest, PodFilter
from fleet.model.visibility import EVERYTHING
from fleet.registry import FleetOptions
from realfleet.cluster import Cluster
from realfleet.fleet import Fleet
from tests.fakes.waiting import until
from tests.fleet.cache.churn import Churn, open_churn
from tests.fleet.cache.conftest import Lines, OpenLines

pytestmark = pytest.mark.real

OPTIONS = FleetOptions(member_timeout=2.0, heartbeat_seconds=0.5, fresh_seconds=0.75)


async def list_pods(federation: Federation, mode: OnUnavailable = OnUnavailable.PARTIAL) -> Page[Pod]:
    return await federation.list_page(PODS, EVERYTHING, PodFilter(), (), PageRequest(10_000), mode)


def state_of(page: Page[Pod], cluster: str) -> OutcomeState:
    return next(outcome.state for outcome in page.outcomes if outcome.cluster == cluster)


async def is_equal(federation: Federation, member: Cluster) -> bool:
    """Whether the cache has what the API server lists, each pod in its version; asked while nothing changes them."""
    real = await asyncio.to_thread(member.list_pods)
    page = await list_pods(federation)
    held = {(pod.namespace, pod.name): pod.resource_version for pod in page.matched if pod.cluster == member.name}
    listed = {(i["metadata"]["namespace"], i["metadata"]["name"]): i["metadata"]["resourceVersion"] for i in real}
    return state_of(page, member.name) is OutcomeState.OK and held == listed


async def until_equal(federation: Federation, member: Cluster) -> None:
    await until(lambda: is_equal(federation, member), what="an equal cache", every=0.1)


async def more_changes(churn: Churn, count: int = 40) -> None:
    wanted = churn.changes + count
    await until(lambda: churn.changes >= wanted, what=f"{count} more changes")


async def trouble(what: str, lines: Lines, member: Cluster) -> None:
    """Does one thing to a member or the line to it that ends its watches."""
    faults = lines.faults[member.name]
    match what:
        case "dropped watch":
            faults.reset()
        case "dead line":
            faults.black_hole = True
            await until(lambda: lines.federation.get_cluster(EVERYTHING, member.name).message)
            faults.black_hole = False
        case "expired version":
            # Version 1 is older than anything an API server remembers; the watch that starts from it is answered 410.
            reflector: Any = lines.federation._roster.get(EVERYTHING, member.name).health.followed["pods"]
            reflector._version = "1"
            faults.reset()
        case "restarted server":
            await asyncio.to_thread(member.restart)


@pytest.mark.parametrize("what", ["nothing", "dropped watch", "dead line", "expired version", "restarted server"])
async def test_the_cache_equals_the_servers_list_after(what: str, real_fleet: Fleet, open_lines: OpenLines) -> None:
    member = real_fleet.cluster("cluster1")
    async with open_lines(OPTIONS) as lines:
        churning = open_churn(member)
        churn = await asyncio.to_thread(churning.__enter__)
        try:
            await more_changes(churn)
            await trouble(what, lines, member)
            await more_changes(churn)
            await asyncio.to_thread(churn.end)
            await until_equal(lines.federation, member)
        finally:
            await asyncio.to_thread(churning.__exit__, None, None, None)
        await until_equal(lines.federation, member)
    await asyncio.to_thread(real_fleet.wait_whole)


async def test_a_slow_line_is_followed_all_the_same(real_fleet: Fleet, open_lines: OpenLines) -> None:
    member = real_fleet.cluster("cluster1")
    async with open_lines(OPTIONS) as lines:
        lines.faults["cluster1"].latency = 0.1
        lines.faults["cluster1"].reset()
        await until_equal(lines.federation, member)


async def test_a_member_that_hangs_costs_a_deadline_then_nothing_and_mends(
    real_fleet: Fleet, open_lines: OpenLines
) -> None:
    member = real_fleet.cluster("cluster2")
    async with open_lines(OPTIONS) as lines:
        federation = lines.federation
        member.pause()
        try:
            await until(lambda: (federation.get_cluster(EVERYTHING, "cluster2").age_seconds or 0) > 0.75)
            started = time.monotonic()
            page = await list_pods(federation)
            assert time.monotonic() - started < 2 * OPTIONS.member_timeout  # one deadline
            assert state_of(page, "cluster2") is OutcomeState.TIMEOUT
            assert state_of(page, "cluster1") is OutcomeState.OK
            assert {pod.cluster for pod in page.matched} == {"cluster1"}
            await until(lambda: "cut off" in (federation.get_cluster(EVERYTHING, "cluster2").message or ""))
            started = time.monotonic()
            page = await list_pods(federation)
            assert time.monotonic() - started < OPTIONS.member_timeout  # none
            assert state_of(page, "cluster2") is OutcomeState.UNREACHABLE
        finally:
            await asyncio.to_thread(member.resume)
        await until_equal(federation, member)
