"""What subscribers of any kind are told while members come, go, forget and fall ill, and how often those are asked."""

import asyncio
import json
from functools import partial
from typing import Any

from fleet.live.watched_kinds import WatchedKinds
from fleet.model.kube_objects import KubeObject
from graph.errors import Code
from graph.subscriptions.channel import BATCH, PART_BYTES, split
from graph.subscriptions.hub import LiveOptions
from tests.fakes.kubernetes import FakeCluster, Object, build_plain, build_spec, serve_kinds
from tests.fakes.waiting import until
from tests.graph.conftest import SHOPPER
from tests.graph.subscriptions.serving import Live, Socket, open_live

FOLLOW = """subscription Follow($filter: ResourceFilter) {
  resourceEvents(apiVersion: "apps/v1", kind: "ReplicaSet", filter: $filter) {
    type resource { cluster { name } name labels { value } } } }"""
PATH = "/apis/apps/v1/replicasets"


def build_set(name: str, app: str = "a", *, namespace: str = "shop", **spec: Any) -> Object:
    made = build_plain("ReplicaSet", name) | {"apiVersion": "apps/v1", "spec": spec}
    made["metadata"] |= {"namespace": namespace, "labels": {"app": app}}
    return made


def serve(live: Live) -> None:
    for cluster in live.source.clusters.values():
        serve_kinds(cluster)


def watches(cluster: FakeCluster) -> int:
    return cluster.count(PATH, watch=True)


async def told(socket: Socket, count: int = 1) -> list[tuple[str, str]]:
    events = [(await socket.next())["data"]["resourceEvents"] for _ in range(count)]
    return [(event["type"], event["resource"]["name"]) for event in events]


async def test_who_comes_late_is_told_what_there_is_and_nobody_is_asked() -> None:
    async with open_live("c1", "c2", pods=0) as live:
        serve(live)
        live["c1"].put(build_set("a"))
        live["c2"].put(build_set("b"))
        async with live.ready(FOLLOW) as first:
            assert sorted(await told(first, 2)) == [("ADDED", "a"), ("ADDED", "b")]
            await until(lambda: watches(live["c1"]) == 1)
            live["c1"].put(build_set("c"))
            assert await told(first) == [("ADDED", "c")]
            async with live.ready(FOLLOW, filter={"name": {"in": ["a", "c"]}}) as late:
                assert sorted(await told(late, 2)) == [("ADDED", "a"), ("ADDED", "c")]
                live["c1"].put(build_set("a", "changed"))
                assert (await told(first), await told(late)) == ([("MODIFIED", "a")], [("MODIFIED", "a")])
                live["c2"].delete("ReplicaSet", "shop", "b")
                live["c1"].delete("ReplicaSet", "shop", "a")
                assert sorted(await told(first, 2)) == [("DELETED", "a"), ("DELETED", "b")]
                assert await told(late) == [("DELETED", "a")]
            assert (watches(live["c1"]), watches(live["c2"])) == (1, 1)


async def test_an_object_that_stops_to_match_is_deleted() -> None:
    async with open_live("c1", pods=0) as live:
        serve(live)
        live["c1"].put(build_set("a"))
        async with live.ready(FOLLOW, filter={"labelSelector": "app=a", "fieldSelector": "metadata.name=a"}) as socket:
            assert await told(socket) == [("ADDED", "a")]
            live["c1"].put(build_set("b", "a"))
            live["c1"].put(build_set("a", "b"))
            assert await told(socket) == [("DELETED", "a")]
            live["c1"].put(build_set("a", "a"))
            assert await told(socket) == [("ADDED", "a")]


async def test_members_that_join_and_leave() -> None:
    async with open_live("c1", "c2", pods=0) as live, live.ready() as socket:
        serve(live)
        live["c1"].put(build_set("a"))
        live["c2"].put(build_set("b"))
        live.source.say(build_spec("c1"))
        await until(lambda: live.federation.feed.stores("c2") is None)
        await socket.subscribe(FOLLOW)
        assert await told(socket) == [("ADDED", "a")]
        live.source.say(build_spec("c1"), build_spec("c2"))
        assert await told(socket) == [("ADDED", "b")]
        live.source.say(build_spec("c2"))
        assert await told(socket) == [("DELETED", "a")]
        renewed = build_spec("c2", fingerprint="2")
        live.source.say(renewed)
        await until(lambda: live["c2"].opened == 3)
        live["c2"].put(build_set("c"))
        assert await told(socket) == [("ADDED", "c")]


async def test_what_was_last_known_of_a_member_is_told_while_it_can_not_be_asked() -> None:
    async with open_live("c1", "c2", pods=0) as live:
        serve(live)
        live["c1"].put(build_set("a"))
        async with live.ready(FOLLOW) as first:
            assert await told(first) == [("ADDED", "a")]
            await until(lambda: watches(live["c1"]) == 1)
            live["c1"].refusing = True
            live.source.say(build_spec("c1", fingerprint="2"), build_spec("c2"))
            await until(lambda: live["c1"].opened == 2)
            async with live.ready(FOLLOW, filter={"name": {"eq": "a"}}) as late:
                assert await told(late) == [("ADDED", "a")]
                live["c1"].refusing = False
                live["c1"].delete("ReplicaSet", "shop", "a")
                assert (await told(first), await told(late)) == ([("DELETED", "a")], [("DELETED", "a")])


async def test_a_forgotten_version_and_a_lost_line_lose_nothing_and_tell_nothing_twice() -> None:
    async with open_live("c1", pods=0) as live:
        serve(live)
        live["c1"].put(build_set("a"))
        async with live.ready(FOLLOW) as socket:
            assert await told(socket) == [("ADDED", "a")]
            await until(lambda: watches(live["c1"]) == 1)
            live["c1"].expire_watches()
            live["c1"].put(build_set("b"))
            assert await told(socket) == [("ADDED", "b")]
            live["c1"].refusing = True
            live["c1"].cut_watches()
            live["c1"].delete("ReplicaSet", "shop", "a")
            live["c1"].expire()
            live["c1"].refusing = False
            assert await told(socket) == [("DELETED", "a")]


async def test_a_kind_that_goes_and_comes_back() -> None:
    async with open_live("c1", "c2", pods=0) as live:
        serve(live)
        for name in ("c1", "c2"):
            live[name].put(build_set(name))
        async with live.ready(FOLLOW) as socket:
            assert len(await told(socket, 2)) == 2
            served = live["c1"].statuses["/apis"]
            live["c1"].statuses["/apis"] = (200, b'{"kind":"APIGroupDiscoveryList","items":[]}')
            live["c1"].statuses[PATH] = (404, b'{"kind":"Status","code":404,"message":"could not find"}')
            live["c1"].cut_watches()
            assert await told(socket) == [("DELETED", "c1")]
            live["c1"].statuses["/apis"] = served
            del live["c1"].statuses[PATH]
            assert await told(socket) == [("ADDED", "c1")]


async def test_more_than_may_be_kept_ends_it_and_says_what_to_do() -> None:
    async with open_live("c1", "c2", pods=0) as live:
        serve(live)
        federation = live.federation
        federation.kinds = WatchedKinds(federation.feed, federation.catalogs, 0.3, federation.turns, most=20_000)
        live["c1"].put(build_set("small"))
        async with live.ready(FOLLOW) as socket:
            assert await told(socket) == [("ADDED", "small")]
            await until(lambda: watches(live["c1"]) == 1)
            live["c1"].put(build_set("large", note="x" * 30_000))
            message = await socket.receive()
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", Code.BAD_USER_INPUT)
            assert "ask `resources` for pages" in message["payload"][0]["message"]
            await until(lambda: not live.hub.channels)
            assert federation.kinds.held_bytes == 0
        async with live.ready(FOLLOW) as socket:  # a list is held to the same bound
            assert (await socket.receive())["type"] == "error"
        live["c1"].delete("ReplicaSet", "shop", "large")
        async with live.ready(FOLLOW) as socket:
            assert await told(socket) == [("ADDED", "small")]


async def test_only_clusters_that_somebody_wants_are_watched() -> None:
    async with open_live("c1", "c2", "c3", pods=0) as live:
        serve(live)
        for name in ("c1", "c2", "c3"):
            live[name].put(build_set(name))
        async with live.ready(FOLLOW, filter={"clusters": ["c2"]}) as second:
            assert await told(second) == [("ADDED", "c2")]
            await until(lambda: watches(live["c2"]) == 1)
            async with live.ready(FOLLOW, filter={"clusters": ["c2", "c3"]}) as both:
                assert sorted(await told(both, 2)) == [("ADDED", "c2"), ("ADDED", "c3")]
                held = live.federation.kinds.held_bytes
            await until(lambda: live.federation.kinds.held_bytes == held // 2)
            live["c3"].put(build_set("unseen"))
            live["c2"].put(build_set("seen"))
            assert await told(second) == [("ADDED", "seen")]
        assert [live[name].count(PATH, watch=True) for name in ("c1", "c2", "c3")] == [0, 1, 1]


async def test_what_is_kept_counts_for_each_who_follows_it() -> None:
    async with open_live("c1", pods=0, options=LiveOptions(max_held_bytes=30_000)) as live:
        serve(live)
        live["c1"].put(build_set("small"))
        async with live.ready(FOLLOW, filter={"name": {"eq": "small"}}) as socket:
            assert await told(socket) == [("ADDED", "small")]
            live["c1"].put(build_set("large", note="x" * 40_000))
            message = await socket.receive()
            assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", Code.COST_EXCEEDED)
        await until(lambda: live.hub.held_bytes == live.federation.kinds.held_bytes == 0)


async def test_where_this_server_may_not_read_all_of_a_kind_it_is_refused() -> None:
    async with open_live("c1", "c2", pods=1) as live:
        serve(live)
        refusal = {"kind": "Status", "code": 403, "message": "replicasets is forbidden: User openmcp cannot list"}
        live["c1"].statuses[PATH] = (403, json.dumps(refusal).encode())
        live["c1"].put(build_plain("Namespace", "shop"))
        await until(partial(live.federation.visible_namespaces, SHOPPER.scope, "c1", "replicasets.apps"))
        live["c1"].put(build_set("a"))
        live["c2"].put(build_set("b"))
        for who, wanted in (
            ("sam", {}),
            ("ann", {"clusters": ["c1"], "namespaces": ["shop"]}),
            ("ann", {"clusters": ["c1"]}),
        ):
            async with live.ready(FOLLOW, who, filter=wanted) as socket:
                message = await socket.receive()
                assert message["type"] == "error", message
                assert message["payload"][0]["extensions"] == {"code": Code.FORBIDDEN, "cluster": "c1"}
                assert "replicasets is forbidden: User openmcp" in message["payload"][0]["message"]
        async with live.ready(FOLLOW) as socket:
            assert await told(socket) == [("ADDED", "b")]


async def test_a_slip_ends_it_though_a_member_can_not_be_asked() -> None:
    async with open_live("c1", "c2", pods=0) as live:
        serve(live)
        live["c2"].statuses["/api"] = live["c2"].statuses["/apis"] = (500, b"")
        async with live.ready(FOLLOW.replace('"ReplicaSet"', '"Replicaset"')) as socket:
            (error,) = (await socket.receive())["payload"]
            assert "did you mean apps/v1 ReplicaSet?" in error["message"]


async def test_nothing_is_left_when_the_last_one_leaves() -> None:
    async with open_live("c1", "c2", pods=0) as live:
        serve(live)
        live["c1"].put(build_set("a"))
        async with live.ready(FOLLOW) as socket:
            await told(socket)
            await until(lambda: min(watches(live["c1"]), watches(live["c2"])) == 1)
        await until(partial(is_over, live))
        assert live.federation.kinds.held_bytes == 0


def is_over(live: Live) -> bool:
    names = [task.get_name() for task in asyncio.all_tasks()]
    return not live.hub.channels and not any("ReplicaSet" in name or PATH in name for name in names)


def test_whole_objects_are_rendered_a_mebibyte_at_a_time() -> None:
    def name(size: int) -> tuple[tuple[str, tuple[str, str]], KubeObject]:
        raw = b" " * size
        of = {"cluster": "c1", "api_version": "v1", "kind": "ConfigMap", "namespace": "shop", "name": "a", "uid": "u"}
        item = KubeObject(**of, resource_version="1", created_at=None, labels=(), owner=None, columns=(), raw=raw)
        return ("c1", ("shop", "a")), item

    large, half, small = name(PART_BYTES + 1), name(PART_BYTES // 2), name(100)
    entries = [small, large, half, half, small, *[small] * (BATCH + 1)]
    parts = [*split(entries)]
    assert [each for part in parts for each in part] == entries
    assert [len(part) for part in parts] == [1, 1, 2, BATCH, 2]
    assert [*split([])] == []


async def test_objects_of_many_mebibytes_are_all_told() -> None:
    asked = FOLLOW.replace("name labels { value }", "name manifest")
    async with open_live("c1", pods=0) as live:
        serve(live)
        for number in range(8):
            live["c1"].put(build_set(f"a{number}", text="x" * 600_000))
        async with live.ready(asked) as first, live.ready(asked) as second:
            for socket in (first, second):
                assert sorted(await told(socket, 8)) == [("ADDED", f"a{number}") for number in range(8)]
