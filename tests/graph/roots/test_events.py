"""The events of all clusters: which, in which order, page by page, and what is told of those that are not there."""

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from auth.principal import Principal
from fleet.model.objects import OutcomeState
from fleet.model.visibility import Role, Scope
from tests.fakes.kubernetes import Object, build_plain, status_body
from tests.fakes.waiting import until
from tests.graph.conftest import ADMIN, OPTIONS, SHOPPER, Graph, OpenGraph

START = 1_790_000_000
PATH = "/api/v1/events"
LIST = """query List($f: EventFilter, $first: Int, $after: String) {
  events(filter: $f, first: $first, after: $after) {
    totalCount items { cluster { name } namespace reason count lastSeen regarding { kind name } }
    pageInfo { hasNextPage hasPreviousPage endCursor } retention { cluster kept dropped completeSince }
    clusters { name state message } } }"""


def build_event(
    name: str, at: int, *, namespace: str = "shop", kind: str = "Pod", warning: bool = False, **more: Any
) -> Object:
    time = datetime.fromtimestamp(START + at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = build_plain("Event", name) | {
        "involvedObject": {"kind": kind, "namespace": namespace if kind == "Pod" else "", "name": f"of-{name}"},
        "reason": name,
        "message": f"{name} happened",
        "type": "Warning" if warning else "Normal",
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
    event["metadata"]["namespace"] = namespace
    return event | more


async def put(graph: Graph, cluster: str, *events: Object) -> None:
    """Until they are known."""
    for event in events:
        graph[cluster].put(event)
    stores = graph.federation.feed.stores(cluster)
    assert stores is not None
    place = (event["metadata"]["namespace"], event["metadata"]["name"])
    last = datetime.fromisoformat(event["lastTimestamp"]).timestamp()
    await until(lambda: (known := stores.events.get(place)) is not None and known.last_seen == last)


def reasons(page: Any) -> list[str]:
    return [item["reason"] for item in page["items"]]


async def test_the_newest_of_all_clusters_come_first(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2") as graph:
        await put(graph, "c1", build_event("a", 1), build_event("c", 3))
        await put(graph, "c2", build_event("b", 2), build_event("d", 4))
        page = (await graph.ask(LIST))["events"]
        assert (reasons(page), page["totalCount"]) == (["d", "c", "b", "a"], 4)
        assert [item["cluster"]["name"] for item in page["items"]] == ["c2", "c1", "c2", "c1"]
        await put(graph, "c1", build_event("a", 9, count=7))
        again = (await graph.ask(LIST))["events"]
        assert reasons(again) == ["a", "d", "c", "b"]
        assert again["items"][0]["count"] == 7


async def test_a_cursor_holds_while_newer_events_come(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2") as graph:
        for number in range(5):
            await put(graph, ("c1", "c2")[number % 2], build_event(f"e{number}", number))
        first = (await graph.ask(LIST, {"first": 2}))["events"]
        assert (reasons(first), first["pageInfo"]["hasNextPage"]) == (["e4", "e3"], True)
        await put(graph, "c1", build_event("new", 50), build_event("e4", 51))
        rest = (await graph.ask(LIST, {"first": 5, "after": first["pageInfo"]["endCursor"]}))["events"]
        assert reasons(rest) == ["e2", "e1", "e0"]
        assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)
        for wrong in ("nonsense", "W10", "x" * 5_000):
            assert (await graph.fail(LIST, {"after": wrong}))["code"] == "BAD_USER_INPUT"


async def test_every_part_of_the_filter_holds(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2") as graph:
        await put(graph, "c1", build_event("a", 1), build_event("b", 2, warning=True, namespace="ops"))
        await put(graph, "c2", build_event("c", 3, kind="Node", namespace="default"), build_event("d", 4))
        at = datetime.fromtimestamp(START + 2, UTC).isoformat()
        rows: list[tuple[dict[str, Any], list[str]]] = [
            ({"clusters": ["c1"]}, ["b", "a"]),
            ({"namespaces": ["shop"]}, ["d", "a"]),
            ({"types": ["Warning"]}, ["b"]),
            ({"reasons": ["a", "c", "none"]}, ["c", "a"]),
            ({"regarding": {"kind": "Node"}}, ["c"]),
            ({"regarding": {"kind": "Pod", "name": {"in": ["of-d", "of-c"]}}}, ["d"]),
            ({"since": at}, ["d", "c", "b"]),
            ({"since": at, "namespaces": ["shop"], "clusters": ["c1"]}, []),
            ({"types": []}, []),
        ]
        for wanted, found in rows:
            page = (await graph.ask(LIST, {"f": wanted}))["events"]
            assert (reasons(page), page["totalCount"]) == (found, len(found)), wanted


async def test_nothing_is_told_of_what_is_out_of_reach(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", options=replace(OPTIONS, events_kept=3)) as graph:
        await put(graph, "c1", *(build_event(f"o{number}", number, namespace="ops") for number in range(3)))
        await put(graph, "c1", build_event("mine", 9))
        await put(graph, "c2", build_event("other", 9))
        page = (await graph.ask(LIST, who=SHOPPER))["events"]
        assert (reasons(page), page["totalCount"]) == (["mine"], 1)
        (retention,) = page["retention"]
        assert (retention["cluster"], retention["kept"], retention["dropped"]) == ("c1", 1, None)
        assert [outcome["state"] for outcome in page["clusters"]] == ["OK"]
        for wanted, code in (({"clusters": ["c2"]}, "NOT_FOUND"), ({"namespaces": ["ops"]}, "FORBIDDEN")):
            assert (await graph.fail(LIST, {"f": wanted}, who=SHOPPER))["code"] == code
        nobody = Principal("nora", Scope(Role.VIEW, clusters=("none",)))
        assert (await graph.ask(LIST, who=nobody))["events"]["totalCount"] == 0


async def test_what_fell_out_is_told(open_graph: OpenGraph) -> None:
    async with open_graph("c1", options=replace(OPTIONS, events_kept=2)) as graph:
        await put(graph, "c1", *(build_event(f"e{number}", number) for number in range(5)))
        page = (await graph.ask(LIST))["events"]
        since = datetime.fromtimestamp(START + 2, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert reasons(page) == ["e4", "e3"]
        assert page["retention"] == [{"cluster": "c1", "kept": 2, "dropped": 3, "completeSince": since}]


async def test_a_cluster_that_forbids_events_is_well_and_says_so(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2") as graph:
        graph["c1"].statuses[PATH] = (403, status_body(403, "events is forbidden: User openmcp cannot list"))
        graph["c1"].cut_watches()
        await put(graph, "c2", build_event("b", 2))

        async def outcome() -> Any:
            page = (await graph.ask(LIST))["events"]
            assert reasons(page) == ["b"]
            return page["clusters"][0]

        described = graph.federation.get_cluster
        stores = graph.federation._roster.get(ADMIN.scope, "c1")
        await until(lambda: stores.health.followed["events"].problem is not None)
        found = await outcome()
        assert "events is forbidden" in found["message"]
        assert (described(ADMIN.scope, "c1").health.name, described(ADMIN.scope, "c1").message) == ("READY", None)
        assert len((await graph.ask('{ pods(filter: {clusters: ["c1"]}) { items { name } } }'))["pods"]["items"]) == 4


async def test_a_cluster_whose_events_are_not_read_yet_is_not_called_silent(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=1) as graph:
        graph["c1"].statuses[PATH] = (500, status_body(500, "etcd is slow"))
        graph["c1"].expire_watches()
        reflector = graph.federation._roster.get(ADMIN.scope, "c1").health.followed["events"]
        await until(lambda: reflector.problem is not None)
        page = (await graph.ask("{ events(onUnavailable: PARTIAL) { clusters { state message } } }"))["events"]
        (outcome,) = page["clusters"]
        assert outcome["state"] == OutcomeState.TIMEOUT.name
        assert outcome["message"].startswith("c1 answers, but its events were not read within 0.3 s: c1 answered 500")


async def test_what_is_kept_of_a_cluster_that_hangs_is_told(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2") as graph:
        await put(graph, "c1", build_event("a", 1))
        await graph.hang("c1")
        page = (await graph.ask(LIST))["events"]
        assert (reasons(page), page["clusters"][0]["state"]) == (["a"], OutcomeState.STALE.name)
        partial = "{ events(onUnavailable: PARTIAL) { items { reason } clusters { name state } } }"
        page = (await graph.ask(partial))["events"]
        assert (page["items"], page["clusters"][0]["state"]) == ([], OutcomeState.TIMEOUT.name)


async def test_a_watch_that_is_cut_goes_on_where_it_was(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph:
        await put(graph, "c1", build_event("a", 1))
        graph["c1"].cut_watches()
        await put(graph, "c1", build_event("b", 2))
        assert (graph["c1"].count(PATH), graph["c1"].count(PATH, watch=True)) == (1, 2)


async def test_one_odd_event_takes_no_other_away(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph:
        times = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "nonsense", None)
        for number, time in enumerate(times):
            odd = build_event(f"odd{number}", 0, count=(-1) ** number * (1 << 40), message="\x00" * 3_000)
            graph["c1"].put(odd | {"lastTimestamp": time, "firstTimestamp": time})
        graph["c1"].put(build_event("no", 1) | {"involvedObject": 7})
        await put(graph, "c1", build_event("a", 1))
        result = await graph.execute(LIST)
        assert result.errors is None
        assert set(reasons((result.data or {})["events"])) == {"a", "odd0", "odd1", "odd2", "odd3"}


async def test_where_none_are_kept_the_setting_is_named(open_graph: OpenGraph) -> None:
    async with open_graph("c1", options=replace(OPTIONS, events_kept=0)) as graph:
        found = await graph.fail(LIST)
        assert (found["code"], "OPENMCP_EVENTS_KEPT" in found["message"]) == ("BAD_USER_INPUT", True)
        assert graph["c1"].count(PATH) == 0


async def test_events_are_listed_once_pods_and_nodes_are_there(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph:
        paths = [path for path, _ in graph["c1"].calls]
        assert paths.index(PATH) > max(map(paths.index, ("/api/v1/pods", "/api/v1/nodes", "/api/v1/namespaces")))
