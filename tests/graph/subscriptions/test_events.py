"""What subscribers of pods, nodes and clusters are told, over both transports."""

import contextlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from graph.subscriptions.hub import LiveOptions
from tests.fakes.kubernetes import build_pod, build_spec
from tests.fakes.waiting import until
from tests.graph.subscriptions.serving import Live, Socket, Stream, open_live

PODS = "subscription Live($f: PodFilter) { podEvents(filter: $f) { type pod { name phase } } }"


async def names(socket: Socket | Stream, count: int, field: str = "podEvents") -> list[tuple[str, str]]:
    """Type and name of so many events."""
    seen = [(await socket.next())["data"][field] for _ in range(count)]
    return [(event["type"], event["pod"]["name"]) for event in seen]


async def nothing_but(live: Live, socket: Socket, cluster: str = "c1") -> None:
    """That nothing was on its way: a pod that is made now is the next that is told of."""
    live[cluster].put(build_pod("shop", "marker", app="web"))
    event = (await socket.next())["data"]["podEvents"]
    assert (event["type"], "marker" in str(event) or "web" in str(event)) == ("ADDED", True), event


async def test_first_what_is_there_then_what_changes() -> None:
    async with open_live("c1", pods=2) as live, live.ready(PODS) as socket:
        assert sorted(await names(socket, 2)) == [("ADDED", "p0"), ("ADDED", "p1")]
        live["c1"].put(build_pod("shop", "new"))
        assert await names(socket, 1) == [("ADDED", "new")]
        changed = build_pod("shop", "new")
        changed["status"]["phase"] = "Failed"
        live["c1"].put(changed)
        event = (await socket.next())["data"]["podEvents"]
        assert event == {"type": "MODIFIED", "pod": {"name": "new", "phase": "FAILED"}}
        live["c1"].delete("Pod", "shop", "new")
        event = (await socket.next())["data"]["podEvents"]
        assert event == {"type": "DELETED", "pod": {"name": "new", "phase": "FAILED"}}


async def test_the_same_over_server_sent_events() -> None:
    async with open_live("c1", pods=2) as live, live.events(PODS) as stream:
        assert stream.answer.content_type == "text/event-stream"
        assert sorted(await names(stream, 2)) == [("ADDED", "p0"), ("ADDED", "p1")]
        live["c1"].put(build_pod("shop", "new"))
        live["c1"].delete("Pod", "shop", "p0")
        assert sorted(await names(stream, 2)) == [("ADDED", "new"), ("DELETED", "p0")]


@pytest.mark.parametrize(
    "selection",
    [
        "pod { name labels { key value } }",
        "aliased: pod { n: name l: labels { v: value } }",
        "...F } } fragment F on PodEvent { pod { ... on Pod { labels { ...L } } } } fragment L on Label { value",
        "... @include(if: true) { pod { labels { value } } } pod { phase @skip(if: true) }",
    ],
)
async def test_only_a_selected_value_makes_an_event(selection: str) -> None:
    closing = "}" if "fragment" in selection else "} }"
    async with (
        open_live("c1", pods=0) as live,
        live.ready(f"subscription {{ podEvents {{ type {selection} {closing}") as socket,
    ):
        live["c1"].put(build_pod("shop", "p", app="a"))
        assert (await socket.next())["data"]["podEvents"]["type"] == "ADDED"
        other = build_pod("shop", "p", app="a")
        other["status"]["podIP"] = "10.0.0.9"
        live["c1"].put(other)
        await nothing_but(live, socket)
        live["c1"].put(build_pod("shop", "p", app="b"))
        assert (await socket.next())["data"]["podEvents"]["type"] == "MODIFIED"


async def test_an_aliased_type_says_what_happened_wherever_it_is_written() -> None:
    query = "subscription { e: podEvents { kind: type ...F pod { name } } } fragment F on PodEvent { again: type }"
    async with open_live("c1", pods=0) as live, live.ready(query) as socket:
        live["c1"].put(build_pod("shop", "p"))
        added = {"kind": "ADDED", "again": "ADDED", "pod": {"name": "p"}}
        assert await socket.take(1, "e") == [added]
        live["c1"].delete("Pod", "shop", "p")
        assert await socket.take(1, "e") == [{**added, "kind": "DELETED", "again": "DELETED"}]


async def test_usage_is_read_with_an_event_and_makes_none() -> None:
    query = "subscription { podEvents { type pod { name phase usage { cpuCores } } } }"
    async with open_live("c1", pods=40) as live, live.ready(query) as socket:
        assert len(await names(socket, 40)) == 40
        asked = [call for call in live.store.calls if call.name == "latest_pods"]
        assert len(asked) <= 2  # batches of what is there, never one a pod
        other = build_pod("shop", "p0")
        other["status"]["podIP"] = "10.0.0.9"
        live["c1"].put(other)
        await nothing_but(live, socket)


async def test_what_starts_or_stops_to_match_is_added_or_deleted() -> None:
    matching = {"labelSelector": "app=web", "clusters": ["c1"], "namespaces": ["shop"]}
    async with open_live("c1", "c2", pods=0) as live, live.ready(PODS, f=matching) as socket:
        live["c1"].put(build_pod("shop", "p", app="web"))
        assert await names(socket, 1) == [("ADDED", "p")]
        live["c2"].put(build_pod("shop", "other", app="web"))
        live["c1"].put(build_pod("ops", "other", app="web"))
        live["c1"].put(build_pod("shop", "p", app="db"))
        assert await names(socket, 1) == [("DELETED", "p")]
        live["c1"].put(build_pod("shop", "p", app="web"))
        assert await names(socket, 1) == [("ADDED", "p")]


async def test_what_starts_to_match_by_its_status_or_its_age_is_added() -> None:
    wanted = {"statuses": ["Failed"], "not": {"age": {"lt": "0s"}}}
    async with open_live("c1", pods=1) as live:
        live.federation.feed.age_seconds = 0.05
        async with live.ready(PODS, f=wanted) as socket:
            failed = build_pod("shop", "p0")
            failed["status"]["phase"] = "Failed"
            live["c1"].put(failed)
            assert await names(socket, 1) == [("ADDED", "p0")]
            unborn = build_pod("shop", "unborn")
            unborn["status"]["phase"] = "Failed"
            unborn["metadata"]["creationTimestamp"] = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
            live["c1"].put(unborn)
            assert await names(socket, 1) == [("ADDED", "unborn")]


async def test_a_member_that_was_lost_is_told_of_by_the_difference() -> None:
    async with open_live("c1", "c2", pods=3) as live, live.ready(PODS) as socket:
        await names(socket, 6)
        live["c1"].answering.clear()
        live["c1"].delete("Pod", "shop", "p0")
        live["c1"].put(build_pod("shop", "while-away"))
        live["c1"].expire_watches()
        live["c2"].put(build_pod("shop", "meanwhile"))
        assert await names(socket, 1) == [("ADDED", "meanwhile")]
        live["c1"].answering.set()
        assert sorted(await names(socket, 2)) == [("ADDED", "while-away"), ("DELETED", "p0")]
        await nothing_but(live, socket)


async def test_clusters_that_leave_take_their_pods_with_them_and_others_join() -> None:
    query = "subscription { clusterEvents { type cluster { name } } }"
    async with open_live("c1", "c2", pods=1) as live, live.ready(query) as socket, live.ready(PODS) as pods:
        first = await socket.take(2, "clusterEvents")
        assert {(event["type"], event["cluster"]["name"]) for event in first} == {("ADDED", "c1"), ("ADDED", "c2")}
        await names(pods, 2)
        live.source.say(build_spec("c1"))
        assert await socket.take(1, "clusterEvents") == [{"type": "DELETED", "cluster": {"name": "c2"}}]
        assert await names(pods, 1) == [("DELETED", "p0")]
        live.source.say(build_spec("c1"), build_spec("c2"))
        assert await socket.take(1, "clusterEvents") == [{"type": "ADDED", "cluster": {"name": "c2"}}]
        assert await names(pods, 1) == [("ADDED", "p0")]


async def test_a_new_credential_for_the_same_place_is_no_event() -> None:
    async with open_live("c1", pods=2) as live, live.ready(PODS) as socket:
        await names(socket, 2)
        live.source.say(build_spec("c1", fingerprint="2"))
        await until(lambda: live["c1"].opened == 2)
        live["c1"].put(build_pod("shop", "later"))
        assert await names(socket, 1) == [("ADDED", "later")]


async def test_the_health_of_a_cluster_is_told_as_it_changes() -> None:
    query = "subscription { clusterEvents { type cluster { health } } }"
    async with open_live("c1", pods=0) as live, live.ready(query) as socket:
        assert (await socket.take(1, "clusterEvents"))[0]["cluster"] == {"health": "READY"}
        live["c1"].refusing = True
        live["c1"].cut_watches()
        assert await socket.take(1, "clusterEvents") == [{"type": "MODIFIED", "cluster": {"health": "OFFLINE"}}]
        live["c1"].refusing = False
        assert await socket.take(1, "clusterEvents") == [{"type": "MODIFIED", "cluster": {"health": "READY"}}]


async def test_nodes_are_followed_too() -> None:
    query = 'subscription { nodeEvents(filter: {name: {eq: "n1"}}) { type node { name unschedulable } } }'
    async with open_live("c1", pods=0) as live, live.ready(query) as socket:
        assert (await socket.take(1, "nodeEvents"))[0]["node"] == {"name": "n1", "unschedulable": False}
        node: Any = dict(live["c1"].objects["Node"]["", "n1"])
        live["c1"].put({**node, "spec": {"unschedulable": True}})
        assert (await socket.take(1, "nodeEvents"))[0]["node"]["unschedulable"] is True


async def test_a_subscriber_sees_what_his_scope_reaches() -> None:
    async with open_live("c1", "c2", pods=4) as live, live.ready(PODS, who="sam") as socket:
        assert sorted(await names(socket, 2)) == [("ADDED", "p0"), ("ADDED", "p2")]
        live["c1"].put(build_pod("ops", "hidden"))
        live["c2"].put(build_pod("shop", "hidden"))
        live["c1"].put(build_pod("shop", "seen"))
        assert await names(socket, 1) == [("ADDED", "seen")]
        await nothing_but(live, socket)


async def test_subscribers_of_one_question_share_one_channel() -> None:
    async with (
        open_live("c1", pods=2) as live,
        live.ready(PODS) as one,
        live.ready(PODS) as two,
        live.events(PODS) as three,
    ):
        for subscriber in (one, two, three):
            assert sorted(await names(subscriber, 2)) == [("ADDED", "p0"), ("ADDED", "p1")]
        assert (live.hub.operations, live.hub.channels) == (3, 1)
        async with live.ready(PODS, who="sam") as other:
            assert await names(other, 1) == [("ADDED", "p0")]
            assert live.hub.channels == 2


async def test_nothing_is_left_of_subscribers_who_went() -> None:
    async with open_live("c1", pods=2) as live:
        async with live.ready(PODS) as socket, live.events(PODS) as stream:
            await names(socket, 2)
            await names(stream, 2)
            await socket.send({"type": "complete", "id": "1"})
            await until(lambda: live.hub.operations == 1)
        await until(lambda: (live.hub.operations, live.hub.channels, len(live.hub.sessions)) == (0, 0, 0))


async def test_what_all_channels_hold_is_bounded_and_given_back() -> None:
    manifests = "subscription { podEvents { pod { name manifest } } }"
    async with open_live("c1", pods=50, options=LiveOptions(max_held_bytes=60_000)) as live, live.ready(PODS) as socket:
        await names(socket, 50)
        held = live.hub.held_bytes
        assert 0 < held < 30_000
        await socket.subscribe(manifests, "2")
        while (message := await socket.receive())["type"] == "next":
            pass
        assert (message["id"], message["payload"][0]["extensions"]) == ("2", {"code": "COST_EXCEEDED"})
        assert live.hub.held_bytes == held
        live["c1"].put(build_pod("shop", "still-told"))
        assert await names(socket, 1) == [("ADDED", "still-told")]
        await socket.send({"type": "complete", "id": "1"})
        await until(lambda: live.hub.held_bytes == 0)


async def test_many_who_come_at_once_are_each_told_all_there_is_and_what_comes() -> None:
    async with open_live("c1", pods=300) as live, live.ready(PODS) as first, contextlib.AsyncExitStack() as stack:
        await names(first, 300)
        sockets = [await stack.enter_async_context(live.ready()) for _ in range(10)]
        for socket in sockets:
            for name in map(str, range(20)):
                await socket.subscribe(PODS, name)
        live["c1"].put(build_pod("shop", "told"))
        assert await names(first, 1) == [("ADDED", "told")]
        for socket in sockets:
            told = Counter[str]()
            while len(told) < 20 or min(told.values()) < 301:
                message = await socket.receive()
                told[message["id"]] += 1
            assert set(told.values()) == {301}
