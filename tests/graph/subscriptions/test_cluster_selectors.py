"""What subscribers of clusters by label are told while labels change: clusters join the stream, and leave it."""

from typing import Any

from fleet.live.changes import ObjectView
from fleet.model import kinds
from fleet.model.queries import PodFilter
from fleet.model.selectors import parse_label_selector
from fleet.model.visibility import EVERYTHING
from tests.fakes.kubernetes import build_pod, build_spec
from tests.fakes.waiting import until
from tests.graph.roots.test_events import START, build_event
from tests.graph.subscriptions.serving import Live, Socket, open_live
from tests.graph.subscriptions.test_happenings import EVENTS, following, reasons
from tests.graph.subscriptions.test_kinds import FOLLOW, build_set, serve, told, watches

PODS = "subscription Live($f: PodFilter) { podEvents(filter: $f) { type pod { cluster { name } name } } }"
NODES = "subscription Live($f: NodeFilter) { nodeEvents(filter: $f) { type node { cluster { name } name } } }"
PROD: dict[str, Any] = {"clusterSelector": "env=prod"}


async def take(socket: Socket, count: int, field: str = "pod") -> list[str]:
    """Type, cluster and name of so many events, in order of the alphabet."""
    events = [(await socket.next())["data"][f"{field}Events"] for _ in range(count)]
    return sorted(f"{event['type']} {event[field]['cluster']['name']}/{event[field]['name']}" for event in events)


async def label(live: Live, cluster: str, **labels: str) -> None:
    live.source.label(cluster, **labels)
    wanted = tuple(sorted(labels.items()))
    await until(lambda: live.federation.get_cluster(EVERYTHING, cluster).labels == wanted)


async def test_a_cluster_that_gains_the_label_joins_and_one_that_loses_it_leaves() -> None:
    async with open_live("c1", "c2", pods=1) as live:
        await label(live, "c1", env="prod")
        async with live.ready(PODS, f=PROD) as socket, live.ready(NODES, f=PROD) as nodes:
            assert await take(socket, 1) == ["ADDED c1/p0"]
            assert await take(nodes, 2, "node") == ["ADDED c1/n1", "ADDED c1/n2"]
            await label(live, "c2", env="prod", region="eu")
            assert await take(socket, 1) == ["ADDED c2/p0"]
            assert await take(nodes, 2, "node") == ["ADDED c2/n1", "ADDED c2/n2"]
            live["c2"].put(build_pod("shop", "new"))
            assert await take(socket, 1) == ["ADDED c2/new"]
            await label(live, "c2", env="prod", region="us")
            await label(live, "c1", env="test")
            assert await take(socket, 1) == ["DELETED c1/p0"]
            live["c1"].put(build_pod("shop", "unseen"))
            live["c2"].delete("Pod", "shop", "new")
            assert await take(socket, 1) == ["DELETED c2/new"]


async def test_clusters_join_by_the_labels_that_they_come_with() -> None:
    async with open_live("c1", "c2", pods=1) as live, live.ready(PODS, f={"not": PROD}) as socket:
        assert await take(socket, 2) == ["ADDED c1/p0", "ADDED c2/p0"]
        await label(live, "c2", env="prod")
        assert await take(socket, 1) == ["DELETED c2/p0"]
        live.source.say(build_spec("c2"))
        assert await take(socket, 2) == ["ADDED c2/p0", "DELETED c1/p0"]


async def test_a_selector_that_no_cluster_matches_waits_for_one() -> None:
    async with open_live("c1", "c2", pods=1) as live, live.ready(PODS, f=PROD) as socket:
        await until(lambda: live.hub.channels == 1)
        await label(live, "c1", env="prod")
        assert await take(socket, 1) == ["ADDED c1/p0"]


async def test_labels_that_change_before_a_channel_listens_count() -> None:
    async with open_live("c1", pods=1) as live:
        wanted, renewed = PodFilter(cluster_labels=parse_label_selector("env=prod")), list[str]()
        view = ObjectView(live.federation.feed, kinds.PODS, wanted, EVERYTHING)
        await label(live, "c1", env="prod")
        end = view.listen(view.topic, lambda cluster, _: renewed.append(cluster))
        assert view.get("c1", ("shop", "p0")) is not None
        end()
        await label(live, "c1", env="test")
        assert renewed == []


async def test_any_kind_is_watched_in_the_clusters_selected_alone() -> None:
    async with open_live("c1", "c2", pods=0) as live:
        serve(live)
        live["c1"].put(build_set("a"))
        live["c2"].put(build_set("b"))
        await label(live, "c1", env="prod")
        async with live.ready(FOLLOW, filter=PROD) as socket:
            assert await told(socket) == [("ADDED", "a")]
            assert (watches(live["c1"]), watches(live["c2"])) == (1, 0)
            await label(live, "c2", env="prod")
            assert await told(socket) == [("ADDED", "b")]
            held = live.federation.kinds.held_bytes
            await label(live, "c1")
            assert await told(socket) == [("DELETED", "a")]
            assert live.federation.kinds.held_bytes == held // 2  # what nobody follows is not kept


async def test_events_are_told_of_the_clusters_selected_alone() -> None:
    async with open_live("c1", "c2", pods=0) as live:
        await label(live, "c1", env="prod")
        since = {"since": "2020-01-01T00:00:00Z"}
        async with live.ready(EVENTS, f=PROD) as now, live.ready(EVENTS, f=PROD | since) as all_of_them:
            await following(live, 2)
            live["c2"].put(build_event("before", START))
            live["c1"].put(build_event("a", START))
            assert await reasons(now, 1) == await reasons(all_of_them, 1) == ["a"]
            await label(live, "c2", env="prod")
            assert await reasons(all_of_them, 1) == ["before"]
            live["c2"].put(build_event("b", START))
            assert await reasons(now, 1) == await reasons(all_of_them, 1) == ["b"]
            await label(live, "c1", env="test")
            live["c1"].put(build_event("unseen", START))
            live["c2"].put(build_event("c", START))
            assert await reasons(now, 1) == await reasons(all_of_them, 1) == ["c"]


async def test_a_cluster_is_told_of_with_its_labels() -> None:
    query = "subscription { clusterEvents { type cluster { name labels { key value } } } }"
    async with open_live("c1", pods=0) as live, live.ready(query) as socket:
        assert (await socket.next())["data"]["clusterEvents"]["cluster"] == {"name": "c1", "labels": []}
        await label(live, "c1", env="prod")
        event = (await socket.next())["data"]["clusterEvents"]
        assert event == {"type": "MODIFIED", "cluster": {"name": "c1", "labels": [{"key": "env", "value": "prod"}]}}
