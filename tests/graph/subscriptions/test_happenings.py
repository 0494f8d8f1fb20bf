"""What subscribers of the fleet's events are told, in which order, and what is told of what is not."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Any

from msgspec.structs import replace

from graph.cost.weights import WAITING
from graph.errors import Code
from graph.subscriptions.hub import LiveOptions
from tests.fakes.kubernetes import build_spec
from tests.fakes.waiting import until
from tests.fleet.cache.test_event_ring import build as build_record
from tests.graph.conftest import OPTIONS
from tests.graph.roots.test_events import START, build_event
from tests.graph.subscriptions.serving import Live, Socket, Stream, open_live

EVENTS = """subscription Happening($f: EventFilter) {
  events(filter: $f) { cluster { name } namespace reason count regarding { name } } }"""
NOW = datetime.fromtimestamp(START, UTC).isoformat()


async def reasons(socket: Socket | Stream, count: int) -> list[str]:
    return [(await socket.next())["data"]["events"]["reason"] for _ in range(count)]


async def following(live: Live, channels: int = 1) -> None:
    """Until that many questions are followed, and the events of all clusters are."""
    await until(lambda: live.hub.channels == channels)
    for cluster in live.source.clusters.values():
        await until(partial(cluster.count, "/api/v1/events", watch=True))


async def test_each_event_is_told_as_it_happens_and_as_it_repeats() -> None:
    async with open_live("c1", "c2", pods=0) as live, live.ready(EVENTS) as socket:
        await following(live)
        live["c1"].put(build_event("a", 1))
        live["c2"].put(build_event("b", 2))
        assert sorted(await reasons(socket, 2)) == ["a", "b"]
        live["c1"].put(build_event("a", 3, count=2))
        event = (await socket.next())["data"]["events"]
        assert event == {
            "cluster": {"name": "c1"},
            "namespace": "shop",
            "reason": "a",
            "count": 2,
            "regarding": {"name": "of-a"},
        }


async def test_only_what_is_wanted_and_within_reach_is_told() -> None:
    warnings: dict[str, Any] = {"types": ["Warning"]}
    async with (
        open_live("c1", "c2", pods=0) as live,
        live.ready(EVENTS, f=warnings) as all_warnings,
        live.events(EVENTS, "sam") as mine,
    ):
        await following(live, 2)
        live["c1"].put(build_event("normal", 1))
        live["c2"].put(build_event("far", 2, warning=True))
        live["c1"].put(build_event("elsewhere", 3, warning=True, namespace="ops"))
        live["c1"].put(build_event("here", 4, warning=True))
        assert sorted(await reasons(all_warnings, 3)) == ["elsewhere", "far", "here"]
        assert await reasons(mine, 2) == ["normal", "here"]


async def test_with_since_what_happened_comes_first() -> None:
    async with open_live("c1", "c2", pods=0) as live:
        for cluster, name, at in (("c1", "old", -5), ("c1", "a", 1), ("c2", "b", 2), ("c1", "c", 3)):
            live[cluster].put(build_event(name, at))
        stores = live.federation.feed.stores("c1")
        assert stores is not None
        await until(lambda: len(stores.events) == 3)
        async with live.ready(EVENTS, f={"since": NOW}) as socket, live.ready(EVENTS) as fresh:
            assert sorted(await reasons(socket, 3)) == ["a", "b", "c"]
            await following(live, 2)
            live["c2"].put(build_event("d", 4))
            assert (await reasons(socket, 1), await reasons(fresh, 1)) == (["d"], ["d"])


async def test_a_late_subscriber_is_told_all_since_and_nothing_twice() -> None:
    async with open_live("c1", pods=0) as live, live.ready(EVENTS, f={"since": NOW}) as first:
        await following(live)
        for number in range(20):
            live["c1"].put(build_event(f"e{number}", number))
        async with live.ready(EVENTS, f={"since": NOW}) as late:
            live["c1"].put(build_event("last", 50))
            wanted = sorted([*(f"e{number}" for number in range(20)), "last"])
            assert sorted(await reasons(first, 21)) == wanted
            assert sorted(await reasons(late, 21)) == wanted
            assert live.hub.channels == 1
            live["c1"].put(build_event("marker", 60))
            assert (await reasons(first, 1), await reasons(late, 1)) == (["marker"], ["marker"])


async def test_what_is_too_much_is_thrown_away_and_told() -> None:
    async with open_live("c1", pods=0, fleet=replace(OPTIONS, events_kept=5_000)) as live:
        for number in range(WAITING + 30):
            live["c1"].put(build_event(f"e{number}", number))
        stores = live.federation.feed.stores("c1")
        assert stores is not None
        await until(lambda: len(stores.events) == WAITING + 30)
        async with live.ready(EVENTS, f={"since": NOW}) as socket:
            first = await socket.next()
            assert (first["data"]["events"]["reason"], first["extensions"]) == ("e30", {"dropped": 30})
            assert await reasons(socket, WAITING - 1) == [f"e{number}" for number in range(31, WAITING + 30)]


async def test_what_is_out_of_reach_pushes_nothing_out() -> None:
    fleet = replace(OPTIONS, events_kept=20_000)
    async with open_live("c1", pods=0, fleet=fleet) as live, live.ready(EVENTS, "sam") as socket:
        await following(live)
        stores = live.federation.feed.stores("c1")
        assert stores is not None
        stores.events.put(build_record("mine", 1))
        for number in range(11_000):
            stores.events.put(build_record(f"e{number}", 2, namespace="ops"))
        first = await socket.next()
        assert (first["data"]["events"]["regarding"]["name"], first.get("extensions")) == ("p", None)


async def test_what_is_held_is_bounded_and_given_back() -> None:
    async with (
        open_live("c1", pods=0, options=LiveOptions(max_held_bytes=20_000)) as live,
        live.ready(EVENTS) as socket,
    ):
        await following(live)
        for number in range(20):
            live["c1"].put(build_event(f"e{number}", number))
        assert len(await reasons(socket, 20)) == 20
        held = live.hub.held_bytes
        assert 0 < held < 20_000
        live["c1"].put(build_event("e0", 30, count=2))
        assert await reasons(socket, 1) == ["e0"]
        assert abs(live.hub.held_bytes - held) < 10
        for number in range(200):
            live["c1"].put(build_event(f"many{number}", 40 + number))
        while (message := await socket.receive())["type"] == "next":
            pass
        assert message["payload"][0]["extensions"]["code"] == Code.COST_EXCEEDED
        await until(lambda: not live.hub.channels)
        assert live.hub.held_bytes == 0


async def test_a_lost_watch_loses_no_event() -> None:
    async with open_live("c1", pods=0) as live, live.ready(EVENTS) as socket:
        await following(live)
        live["c1"].put(build_event("a", 1))
        assert await reasons(socket, 1) == ["a"]
        live["c1"].refusing = True
        live["c1"].cut_watches()
        live["c1"].put(build_event("b", 2))
        live["c1"].expire()
        live["c1"].refusing = False
        assert await reasons(socket, 1) == ["b"]


async def test_a_cluster_that_joins_tells_what_happens_from_then_on() -> None:
    async with open_live("c1", "c2", pods=0) as live, live.ready(EVENTS) as socket:
        await following(live)
        live.source.say(build_spec("c1"))
        await until(lambda: live.federation.feed.stores("c2") is None)
        live["c2"].put(build_event("before", 1))
        watches = live["c2"].count("/api/v1/events", watch=True)
        live.source.say(build_spec("c1"), build_spec("c2"))
        await until(lambda: live["c2"].count("/api/v1/events", watch=True) > watches)
        live["c2"].put(build_event("after", 2))
        assert await reasons(socket, 1) == ["after"]


async def test_the_channel_ends_with_its_last_subscriber() -> None:
    async with open_live("c1", pods=0) as live:
        async with live.ready(EVENTS):
            await following(live)
        await until(lambda: live.hub.channels == 0)
        await until(lambda: not live.federation.feed._listeners["events"])
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "channel of events"]
