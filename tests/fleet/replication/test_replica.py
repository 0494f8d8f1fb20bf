"""Replicas of one process over the same clusters: one watches each, all answer, and whoever goes is replaced."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
from msgspec.structs import replace
from nats.js.errors import NotFoundError

from fleet.federation import Federation
from fleet.model.kinds import PODS
from fleet.model.objects import OnUnavailable, OutcomeState
from fleet.model.queries import PageRequest, PodFilter
from fleet.model.visibility import EVERYTHING
from fleet.ports import Credential
from fleet.registry import FleetOptions, open_federation
from fleet.replication.options import NatsOptions
from fleet.replication.replica import Replica, open_replica
from realfleet.nats import NatsServer
from tests.fakes.kubernetes import FakeCluster, FakeSource, build_pod, build_spec
from tests.fakes.waiting import until
from tests.fleet.conftest import build_cluster
from tests.required import both_versions
from tests.server.test_check_state import ACCOUNTS

FLEET = FleetOptions(member_timeout=2.0, heartbeat_seconds=0.2, fresh_seconds=2.0)
LISTS = ("/api/v1/pods", "/api/v1/nodes", "/api/v1/namespaces")


class Running:
    """One replica: what it answers, and which of the clusters it watches."""

    def __init__(self, name: str, replica: Replica, federation: Federation, source: FakeSource) -> None:
        self.name, self.replica, self.federation, self.source = name, replica, federation, source

    def written(self) -> set[str]:
        return {name for name in self.source.clusters if self.replica.is_written(name)}

    async def pods(self) -> dict[str, set[str]]:
        """The names of the pods of each cluster that is OK."""
        page = await self.federation.list_page(
            PODS, EVERYTHING, PodFilter(), (), PageRequest(1_000), OnUnavailable.PARTIAL
        )
        found: dict[str, set[str]] = {
            outcome.cluster: set() for outcome in page.outcomes if outcome.state is OutcomeState.OK
        }
        for pod in page.items:
            found.get(pod.cluster, set()).add(pod.name)
        return found

    async def shows(self, *clusters: FakeCluster) -> bool:
        """Whether it answers with what is in the clusters now."""
        pods = await self.pods()
        return pods == {cluster.name: {name for _, name in cluster.objects["Pod"]} for cluster in clusters}


@asynccontextmanager
async def open_running(
    nats: NatsServer, name: str, *clusters: FakeCluster, writes: bool = True, user: str | None = None
) -> AsyncIterator[Running]:
    password = nats.user(user).password if user else None
    options = NatsOptions(
        servers=(nats.url,), replica=name, lease_seconds=3.0, writes=writes, username=user, password=password
    )
    source = FakeSource(*clusters)
    async with open_replica(options) as replica, open_federation(source, FLEET, replica.fill) as federation:
        yield Running(name, replica, federation, source)


def lists(*clusters: FakeCluster) -> int:
    """How often they were asked for a list of what is listed first."""
    return sum(cluster.calls.count(("GET", path)) for cluster in clusters for path in LISTS)


@both_versions
async def test_one_replica_watches_and_all_answer(nats_server: NatsServer) -> None:
    clusters = [build_cluster(name, 6) for name in ("one", "two", "three")]
    async with open_running(nats_server, "a", *clusters) as a:
        await until(lambda: a.shows(*clusters), what="the writer answers")
        asked = lists(*clusters)
        async with open_running(nats_server, "b", *clusters, writes=False) as b:
            await until(lambda: b.shows(*clusters), what="the follower answers")
            assert lists(*clusters) == asked
            assert (a.written(), b.written()) == ({"one", "two", "three"}, set())
            clusters[0].put(build_pod("shop", "new"))
            await until(lambda: b.shows(*clusters), what="the follower shows the change")
            clusters[0].delete("Pod", "shop", "new")
            await until(lambda: b.shows(*clusters), what="the follower shows the deletion")
            assert {figures.writes for figures in b.replica.figures()} == {False}


async def test_members_of_who_goes_are_watched_by_who_stays(nats_server: NatsServer) -> None:
    clusters = [build_cluster(f"member{number}", 3) for number in range(6)]
    async with AsyncExitStack() as leaving, open_running(nats_server, "a", *clusters) as a:
        b = await leaving.enter_async_context(open_running(nats_server, "b", *clusters))
        await until(lambda: len(a.written()) + len(b.written()) == len(clusters) and b.written())
        await until(lambda: a.shows(*clusters))
        assert not a.written() & b.written()
        assert a.written() | b.written() == {cluster.name for cluster in clusters}
        theirs = b.written()
        await leaving.aclose()
        await until(lambda: a.written() == {cluster.name for cluster in clusters}, what="one watches all")
        for cluster in clusters:
            cluster.put(build_pod("ops", "late"))
        await until(lambda: a.shows(*clusters), what="it shows what is new in those that were another's")
        assert theirs


async def test_a_member_that_leaves_takes_its_stream_along_and_may_come_back(nats_server: NatsServer) -> None:
    clusters = [build_cluster(name, 3) for name in ("one", "two")]
    async with open_running(nats_server, "a", *clusters) as a, open_running(nats_server, "b", *clusters) as b:
        await until(lambda: a.shows(*clusters))
        await until(lambda: b.shows(*clusters))
        for running in (a, b):
            running.source.say(build_spec("one"))
        await until(lambda: has_no_stream(a, "openmcp-two"), what="its stream is gone")
        clusters[1].delete("Pod", "shop", "p0")
        for running in (a, b):
            running.source.say(build_spec("one"), build_spec("two"))
        for running in (a, b):
            await until(partial(running.shows, *clusters), what=f"{running.name} has it again")


async def has_no_stream(running: Running, stream: str) -> bool:
    try:
        await running.replica.nats.js.stream_info(stream)
    except NotFoundError:
        return True
    return False


async def test_another_credential_costs_no_state(nats_server: NatsServer) -> None:
    cluster = build_cluster("one", 3)
    async with open_running(nats_server, "a", cluster) as a, open_running(nats_server, "b", cluster) as b:
        await until(lambda: a.shows(cluster))
        await until(lambda: b.shows(cluster))
        for running in (a, b):
            running.source.say(build_spec("one", fingerprint="2"))
        cluster.put(build_pod("shop", "later"))
        await until(lambda: a.shows(cluster))
        await until(lambda: b.shows(cluster))
        await until(lambda: len(a.written() | b.written()) == 1, what="one watches it again")


async def test_a_member_at_another_place_shows_nothing_of_the_former_one(nats_server: NatsServer) -> None:
    former, other = build_cluster("one", 3), build_cluster("one", 0)
    other.put(build_pod("shop", "elsewhere"))
    async with open_running(nats_server, "a", former) as a, open_running(nats_server, "b", former) as b:
        await until(lambda: a.shows(former))
        await until(lambda: b.shows(former))
        for running in (a, b):
            running.source.clusters["one"] = other
            running.source.say(replace(build_spec("one"), credential=Credential("2", "https://elsewhere")))
        for running in (a, b):
            await until(partial(running.shows, other), what=f"{running.name} shows the other")
        await until(lambda: len(a.written() | b.written()) == 1, what="one watches it")
        other.put(build_pod("shop", "later"))
        for running in (a, b):
            await until(partial(running.shows, other), what=f"{running.name} goes on")


async def test_nats_restarted_empty_is_filled_again_without_a_list(nats_server: NatsServer) -> None:
    clusters = [build_cluster(name, 3) for name in ("one", "two", "three")]
    async with open_running(nats_server, "a", *clusters) as a, open_running(nats_server, "b", *clusters) as b:
        await until(lambda: a.shows(*clusters))
        await until(lambda: b.shows(*clusters))
        written, asked = (a.written(), b.written()), lists(*clusters)
        await asyncio.to_thread(nats_server.restart, empty=True)
        clusters[0].put(build_pod("shop", "meanwhile"))
        await until(lambda: a.shows(*clusters))
        await until(lambda: b.shows(*clusters))
        assert lists(*clusters) == asked
        assert (a.written(), b.written()) == written


@both_versions
async def test_an_account_that_may_not_write_only_follows_and_says_so_once(
    start_nats_server: Callable[..., NatsServer], caplog: pytest.LogCaptureFixture
) -> None:
    server = await asyncio.to_thread(lambda: start_nats_server(**ACCOUNTS))
    cluster = build_cluster("one", 3)
    async with open_running(server, "b", cluster, user="follower") as b:
        await until(lambda: "only follows" in caplog.text)
        async with open_running(server, "a", cluster, user="writer") as a:
            await until(lambda: b.shows(cluster), what="the follower shows what the writer publishes")
            cluster.put(build_pod("shop", "later"))
            await until(lambda: b.shows(cluster))
            assert (a.written(), b.written()) == ({"one"}, set())
    assert caplog.text.count("only follows") == 1
