"""Members that come, go, change, fall ill and mend."""

import asyncio

import pytest

from fleet.cache.rows import StoreKey
from fleet.model.errors import ClusterUnreachable
from fleet.model.kinds import PODS
from fleet.model.objects import ClusterHealth, OnUnavailable, OutcomeState
from fleet.model.queries import PageRequest, PodFilter
from fleet.model.told import detail_of
from fleet.model.visibility import EVERYTHING
from fleet.ports import MemberSpec
from fleet.registry import open_federation
from tests.fakes.kubernetes import FakeCluster, FakeSource, build_pod, build_spec
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.conftest import OPTIONS, Fleet, OpenFleet, build_cluster


async def outcome_of(fleet: Fleet, name: str) -> OutcomeState:
    page = await fleet.federation.list_page(PODS, EVERYTHING, PodFilter(), (), PageRequest(), OnUnavailable.PARTIAL)
    return next(outcome.state for outcome in page.outcomes if outcome.cluster == name)


async def test_a_healthy_member_says_what_it_is(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        await fleet.until_state("c1", lambda cluster: cluster.version == "v1.36.3")
        state = fleet.state("c1")
        assert (state.health, state.message) == (ClusterHealth.READY, None)
        assert state.age_seconds is not None


async def test_leaving_closes_every_pool_and_ends_every_task() -> None:
    clusters = [build_cluster("c1", 1), build_cluster("c2", 1)]
    before = asyncio.all_tasks()
    async with open_federation(FakeSource(*clusters), OPTIONS) as federation:
        await federation.wait_synced(5)
    assert [(cluster.opened, cluster.closed) for cluster in clusters] == [(1, 1), (1, 1)]
    assert not {task for task in asyncio.all_tasks() - before if "fleet" in str(task.get_coro())}


async def test_first_lists_are_read_one_in_each_turn_of_the_loop() -> None:
    clusters = [build_cluster(f"c{number}", 1) for number in range(5)]
    for cluster in clusters:
        cluster.answering.clear()
    turn, read = 0, dict[str, int]()

    def note(name: str, key: StoreKey | None) -> None:
        if key is not None:
            read[name] = turn

    async with open_federation(FakeSource(*clusters), OPTIONS) as federation:
        federation.feed.listen("pods", note)
        await until(lambda: all(cluster.count("/readyz") for cluster in clusters))
        for cluster in clusters:
            cluster.answering.set()
        async with asyncio.timeout(PATIENCE):
            while len(read) < len(clusters):
                turn += 1
                await asyncio.sleep(0)

    assert len(set(read.values())) == len(clusters)


async def test_members_come_and_go_and_others_keep_their_connection(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1", "c2") as fleet:
        kept = fleet.federation.get_connection(EVERYTHING, "c1")
        fleet.source.clusters["c3"] = build_cluster("c3", 1)
        fleet.source.say(build_spec("c1"), build_spec("c3"))
        await until(lambda: [cluster.name for cluster in fleet.federation.list_clusters(EVERYTHING)] == ["c1", "c3"])
        assert await outcome_of(fleet, "c3") is OutcomeState.OK
        assert fleet.federation.get_connection(EVERYTHING, "c1") is kept
        assert (fleet["c2"].opened, fleet["c2"].closed) == (1, 1)


async def test_a_new_credential_opens_a_new_connection(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        fleet.source.say(build_spec("c1", fingerprint="2"))
        await until(lambda: (fleet["c1"].opened, fleet["c1"].closed) == (2, 1))
        assert await outcome_of(fleet, "c1") is OutcomeState.OK


async def test_a_new_credential_that_fails_leaves_the_last_known_state(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1", pods=2) as fleet:
        fleet["c1"].refusing = True
        fleet.source.say(build_spec("c1", fingerprint="2"))
        await until(lambda: fleet["c1"].closed == 1)
        page = await fleet.federation.list_page(PODS, EVERYTHING, PodFilter(), (), PageRequest(), OnUnavailable.STALE)
        assert (len(page.items), page.outcomes[0].state) == (2, OutcomeState.STALE)


async def test_a_cluster_is_there_while_it_gets_a_new_credential(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1", pods=2) as fleet:
        fleet["c1"].closing.clear()
        fleet.source.say(build_spec("c1", fingerprint="2"))
        await until(lambda: fleet["c1"].closed == 1)
        page = await fleet.federation.list_page(PODS, EVERYTHING, PodFilter(), (), PageRequest(), OnUnavailable.STALE)
        assert (len(page.items), page.outcomes[0].state) == (2, OutcomeState.STALE)
        fleet["c1"].closing.set()
        assert await outcome_of(fleet, "c1") is OutcomeState.OK


async def test_the_platforms_verdict_needs_no_new_connection(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        fleet.source.say(build_spec("c1", offline="cluster is not reachable"))
        await fleet.until_state("c1", lambda cluster: cluster.health is ClusterHealth.OFFLINE)
        assert "cluster is not reachable" in (fleet.state("c1").message or "")
        assert await outcome_of(fleet, "c1") is OutcomeState.UNREACHABLE
        fleet.source.say(build_spec("c1"))
        await fleet.until_state("c1", lambda cluster: cluster.health is ClusterHealth.READY)
        assert fleet["c1"].opened == 1


async def test_a_spec_with_a_problem_is_an_ill_member_with_its_reason(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        broken = MemberSpec("c2", build_spec("c2").role, None, problem="its Secret holds no token: add one")
        fleet.source.say(build_spec("c1"), broken)
        await until(lambda: len(fleet.federation.list_clusters(EVERYTHING)) == 2)
        assert detail_of(fleet.state("c2").message) == "its Secret holds no token: add one"
        assert await outcome_of(fleet, "c2") is OutcomeState.UNREACHABLE
        with pytest.raises(ClusterUnreachable) as refused:
            fleet.federation.get_connection(EVERYTHING, "c2")
        assert "add one" in detail_of(refused.value)


async def test_a_gone_member_is_cut_off_and_then_costs_nothing(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        fleet["c1"].refusing = True
        await fleet.until_state("c1", lambda cluster: "cut off" in (cluster.message or ""))
        calls = len(fleet["c1"].calls)
        started = asyncio.get_running_loop().time()
        for _ in range(50):
            assert await outcome_of(fleet, "c1") is OutcomeState.UNREACHABLE
        assert asyncio.get_running_loop().time() - started < OPTIONS.member_timeout
        assert len(fleet["c1"].calls) - calls <= 5
        with pytest.raises(ClusterUnreachable, match="cut off"):
            fleet.federation.get_connection(EVERYTHING, "c1")


async def test_while_cut_off_only_the_heartbeat_asks_and_it_mends_by_itself(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        fleet["c1"].refusing = True
        await fleet.until_state("c1", lambda cluster: "cut off" in (cluster.message or ""))
        asked = len(fleet["c1"].calls)
        await until(lambda: len(fleet["c1"].calls) >= asked + 3)
        assert {path for path, _ in fleet["c1"].calls[asked:]} == {"/readyz"}
        fleet["c1"].put(build_pod("shop", "meanwhile"))
        fleet["c1"].refusing = False
        await fleet.until_state("c1", lambda cluster: cluster.health is ClusterHealth.READY)
        page = await fleet.federation.list_page(PODS, EVERYTHING, PodFilter(), (), PageRequest(), OnUnavailable.STRICT)
        assert "meanwhile" in {pod.name for pod in page.items}
        assert fleet["c1"].count("/api/v1/pods") == 1


async def test_questions_at_once_share_one_probe(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        fleet["c1"].answering.clear()
        await fleet.until_state("c1", lambda cluster: (cluster.age_seconds or 0) > OPTIONS.fresh_seconds)
        asked = fleet["c1"].count("/readyz")
        states = await asyncio.gather(*(outcome_of(fleet, "c1") for _ in range(20)))
        assert set(states) <= {OutcomeState.TIMEOUT, OutcomeState.UNREACHABLE}
        assert fleet["c1"].count("/readyz") - asked <= 2
        fleet["c1"].answering.set()


async def test_a_hung_member_is_whole_again_after_it_goes_on(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        fleet["c1"].answering.clear()
        await fleet.until_state("c1", lambda cluster: cluster.health is ClusterHealth.OFFLINE)
        fleet["c1"].delete("Pod", "shop", "p0")
        fleet["c1"].answering.set()
        await fleet.until_state("c1", lambda cluster: cluster.health is ClusterHealth.READY)
        page = await fleet.federation.list_page(PODS, EVERYTHING, PodFilter(), (), PageRequest(), OnUnavailable.STRICT)
        assert "p0" not in {pod.name for pod in page.items}


async def test_a_member_that_is_not_ready_says_what_fails_and_still_answers(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        body = b"[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststarthook/x failed: reason withheld\nno\n"
        fleet["c1"].statuses["/readyz"] = (500, body)
        await fleet.until_state("c1", lambda cluster: cluster.health is ClusterHealth.NOT_READY)
        assert fleet.state("c1").message == "not ready: etcd, poststarthook/x failed"
        assert await outcome_of(fleet, "c1") is OutcomeState.OK


async def test_a_refused_credential_is_named_at_once_and_does_not_open_the_breaker(open_fleet: OpenFleet) -> None:
    async with open_fleet("c1") as fleet:
        fleet["c1"].statuses["/readyz"] = (401, b"")
        await fleet.until_state("c1", lambda cluster: cluster.health is ClusterHealth.NOT_READY)
        assert "renew the token" in (fleet.state("c1").message or "")
        assert await outcome_of(fleet, "c1") is OutcomeState.UNAUTHORIZED
        assert fleet.federation.get_connection(EVERYTHING, "c1") is not None


async def test_a_member_that_forbids_the_list_is_forbidden_without_a_wait(open_fleet: OpenFleet) -> None:
    cluster = build_cluster("c1", 1)
    cluster.statuses["/api/v1/pods"] = (403, b'{"message": "pods is forbidden"}')
    async with open_federation(FakeSource(cluster), OPTIONS) as federation:
        await federation.wait_synced(5)
        fleet = Fleet(FakeSource(cluster), federation)
        assert await outcome_of(fleet, "c1") is OutcomeState.FORBIDDEN
        assert "pods is forbidden" in (fleet.state("c1").message or "")


async def test_a_source_that_is_silent_is_an_error_and_not_an_empty_fleet() -> None:
    class Silent(FakeSource):
        async def snapshots(self):  # type: ignore[no-untyped-def]
            await asyncio.Event().wait()
            yield {}

    async with open_federation(Silent(), OPTIONS) as federation:
        await federation.wait_synced(0.05)
        assert not federation.is_known
        with pytest.raises(Exception, match="not known yet which clusters exist"):
            await federation.list_page(PODS, EVERYTHING, PodFilter(), (), PageRequest(), OnUnavailable.PARTIAL)


async def test_a_first_list_that_takes_long_is_waited_for(open_fleet: OpenFleet) -> None:
    cluster = FakeCluster("c1")
    cluster.put(build_pod("shop", "p"))
    cluster.answering.clear()
    async with open_federation(FakeSource(cluster), OPTIONS) as federation:
        asyncio.get_running_loop().call_later(OPTIONS.member_timeout / 2, cluster.answering.set)
        page = await federation.list_page(PODS, EVERYTHING, PodFilter(), (), PageRequest(), OnUnavailable.STRICT)
        assert [pod.name for pod in page.items] == ["p"]
