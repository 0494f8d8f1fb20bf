"""Groups of pods and of nodes: what they sum up, in which order, for whom, and what they ask of the metric store."""

from typing import Any

import pytest

from fleet.aio.turns import Turns
from fleet.model.groups import PIECE
from fleet.model.objects import PodKey
from fleet.model.usage import Measure
from graph.loading.context import Context
from graph.loading.loaders import build_loaders
from graph.loading.timeslice import TimeSlices
from graph.schema import schema
from tests.fakes.kubernetes import build_workload, own
from tests.fakes.waiting import until
from tests.graph.conftest import ADMIN, NOW, SHOPPER, Graph, OpenGraph, build_usage

KEYS = "keys { field label value }"
BY_MEMORY = "orderBy: [{usage: MEMORY_PERCENT, percentOf: REQUEST, direction: DESC}]"


def load(graph: Graph) -> None:
    """Pod pN of the Mth cluster uses N*10 + M MiB of the 1 MiB it asks for, and as many millicores of its 100."""
    for place, cluster in enumerate(sorted(graph.source.clusters)):
        for namespace, name in graph[cluster].objects["Pod"]:
            amount = int(name[1:]) * 10 + place
            graph.store.known[PodKey(cluster, namespace, name)] = build_usage(amount / 1000, amount << 20)


def values(groups: Any) -> list[Any]:
    """What each group has in common."""
    found = [[key["value"] for key in group["keys"]] for group in groups["items"]]
    return [each[0] if len(each) == 1 else tuple(each) for each in found]


async def test_namespaces_by_memory_used_over_requested_are_one_question(open_graph: OpenGraph) -> None:
    query = f"""{{ pods(first: 0) {{ groups(by: [CLUSTER, NAMESPACE], {BY_MEMORY}, first: 3) {{
      totalCount items {{ {KEYS} count requests {{ memoryBytes cpuCores pods }} limits {{ memoryBytes }}
        usage {{ memoryBytes memoryPercent(of: REQUEST) cpuPercent }} }} }} }} }}"""
    async with open_graph("c1", "c2", pods=6) as graph:
        load(graph)
        groups = (await graph.ask(query))["pods"]["groups"]
        (call,) = graph.store.calls
    assert (call.name, len(call.keys)) == ("latest_pods", 12)
    assert call.asked == {Measure.MEMORY_BYTES, Measure.CPU_CORES}
    assert values(groups) == [("c2", "ops"), ("c1", "ops"), ("c2", "shop")]
    assert groups["totalCount"] == 4
    assert groups["items"][0] == {
        "keys": [
            {"field": "CLUSTER", "label": None, "value": "c2"},
            {"field": "NAMESPACE", "label": None, "value": "ops"},
        ],
        "count": 3,
        "requests": {"memoryBytes": 3 << 20, "cpuCores": 0.3, "pods": None},
        "limits": None,
        "usage": {"memoryBytes": 93 << 20, "memoryPercent": 3100.0, "cpuPercent": None},
    }


async def test_a_pod_without_a_point_is_in_what_percentages_are_of(open_graph: OpenGraph) -> None:
    query = "{ pods { groups(by: NAMESPACE) { items { count usage { cpuCores cpuPercent(of: REQUEST) } } } } }"
    async with open_graph("c1") as graph:
        load(graph)
        del graph.store.known[PodKey("c1", "shop", "p0")], graph.store.known[PodKey("c1", "ops", "p1")]
        del graph.store.known[PodKey("c1", "ops", "p3")]
        groups = (await graph.ask(query))["pods"]["groups"]
    assert groups["items"] == [
        {"count": 2, "usage": None},
        {"count": 2, "usage": {"cpuCores": 0.02, "cpuPercent": 10.0}},
    ]


async def test_usage_is_found_through_fragments_edges_and_variables(open_graph: OpenGraph) -> None:
    query = """query($with: Boolean!, $of: PercentOf) { clusters { pods { ...Grouped } } pods { ...Grouped } }
    fragment Grouped on PodConnection {
      found: groups(by: NAMESPACE) { edges { node { ...Used @include(if: $with) } } } }
    fragment Used on GroupedPods { used: usage { share: memoryPercent(of: $of) } }"""
    async with open_graph("c1") as graph:
        load(graph)
        answer = await graph.ask(query, {"with": True, "of": "REQUEST"})
        (call,) = graph.store.calls
        await graph.ask(query, {"with": False})
        assert graph.store.calls == [call]
    assert (call.name, len(call.keys)) == ("latest_pods", 4)
    assert call.asked == {Measure.MEMORY_BYTES}
    for connection in (answer["pods"], answer["clusters"][0]["pods"]):
        assert [edge["node"]["used"]["share"] for edge in connection["found"]["edges"]] == [2000.0, 1000.0]


async def test_groups_are_of_what_is_within_bounds_of_usage(open_graph: OpenGraph) -> None:
    query = """{ pods(first: 1, filter: {usage: [{field: CPU_CORES, gte: 0.02}]}) { totalCount items { name }
      groups(by: NAMESPACE) { items { keys { value } count usage { cpuCores } } } } }"""
    async with open_graph("c1", pods=6) as graph:
        load(graph)
        pods = (await graph.ask(query))["pods"]
        (call,) = graph.store.calls
    assert (call.name, len(call.keys), pods["totalCount"]) == ("latest_pods", 6, 4)
    assert values(pods["groups"]) == ["ops", "shop"]
    assert [(group["count"], group["usage"]["cpuCores"]) for group in pods["groups"]["items"]] == [(2, 0.08), (2, 0.06)]


async def test_extended_resources_are_ordered_by(open_graph: OpenGraph) -> None:
    query = """{ pods { groups(by: NAMESPACE, orderBy: [{extended: "nvidia.com/gpu", direction: DESC}]) {
      items { keys { value } requests { extended { name amount } } } } } }"""
    async with open_graph("c1") as graph:
        for name, count in (("p0", "2"), ("p2", "1")):
            pod = graph["c1"].objects["Pod"]["shop", name]
            pod["spec"]["containers"][0]["resources"]["requests"]["nvidia.com/gpu"] = count
            graph["c1"].put(pod)

        async def is_first() -> bool:
            (first, second) = (await graph.ask(query))["pods"]["groups"]["items"]
            assert second["requests"] == {"extended": []}
            gpus = [{"name": "nvidia.com/gpu", "amount": 3}]
            return bool(first == {"keys": [{"value": "shop"}], "requests": {"extended": gpus}})

        await until(is_first)


class CountedTurns(Turns):
    """Says how often somebody gave way."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = 0

    async def wait(self) -> None:
        self.taken += 1
        await super().wait()


async def test_others_have_their_turns_while_groups_are_made(open_graph: OpenGraph) -> None:
    query = "{ pods(first: 0) { groups(by: NAMESPACE) { items { count requests { cpuCores } } } } }"
    async with open_graph("c1", pods=PIECE * 2) as graph:
        turns = CountedTurns()
        loaders = build_loaders(graph.federation, ADMIN.scope, graph.store, now=NOW, deadline=1e12)
        context = Context(ADMIN, graph.federation, loaders, time_slices=TimeSlices(0, turns))
        result = await schema.execute(query, context_value=context)
    assert result.data is not None
    assert [group["count"] for group in result.data["pods"]["groups"]["items"]] == [PIECE, PIECE]
    assert turns.taken >= 2 + 2  # two pieces are put into groups, and two summed up


async def test_history_is_summed_step_by_step_in_one_question(open_graph: OpenGraph) -> None:
    query = """{ pods(filter: {namespaces: ["ops"]}) {
      items { history(last: "10m", step: "5m") { memoryBytes(aggregate: MAX) } }
      nodes: groups(by: NODE, first: 2) { items { keys { value } history(last: "10m", step: "5m") { times cpuCores } } }
      all: groups(by: PHASE) { items { history(last: "10m", step: "5m") { cpuCores } } } } }"""
    async with open_graph("c1", pods=8) as graph:
        load(graph)
        pods = (await graph.ask(query))["pods"]
        (call,) = graph.store.calls
    assert (call.name, len(call.keys)) == ("pod_history", 4)
    assert values(pods["nodes"]) == ["n1", "n2"]
    assert pods["nodes"]["items"][0]["history"]["cpuCores"] == [pytest.approx(0.03)] * 3
    assert pods["nodes"]["items"][1]["history"]["cpuCores"] == [pytest.approx(0.01 + 0.07)] * 3
    assert len(pods["items"]) == 4


async def test_without_usage_and_history_no_store_is_asked(open_graph: OpenGraph) -> None:
    query = f"""{{ pods {{ groups(by: [NODE, ZONE], labels: ["app"], orderBy: [{{field: COUNT, direction: DESC}}]) {{
      items {{ {KEYS} count readyCount restarts requests {{ cpuCores }} }} }} }}
      nodes {{ groups(by: [CLUSTER, STATUS, ROLE]) {{ items {{ {KEYS} count capacity {{ cpuCores }}
        allocatable {{ cpuCores }} requested {{ cpuCores pods }} }} }} }} }}"""
    async with open_graph("c1", "c2") as graph:
        answer = await graph.ask(query)
        assert graph.store.calls == []
    assert values(answer["pods"]["groups"]) == [
        ("n1", None, "a0"),
        ("n1", None, "a1"),
        ("n2", None, "a1"),
        (None, None, "a0"),
    ]
    assert answer["nodes"]["groups"]["items"][1] == {
        "keys": [
            {"field": "CLUSTER", "label": None, "value": "c2"},
            {"field": "STATUS", "label": None, "value": "Unknown"},
            {"field": "ROLE", "label": None, "value": None},
        ],
        "count": 2,
        "capacity": {"cpuCores": 8.0},
        "allocatable": {"cpuCores": 4.0},
        "requested": {"cpuCores": 0.3, "pods": 3},
    }


async def test_what_several_have_counts_in_each(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph:
        pod = graph["c1"].objects["Pod"]["shop", "p0"]
        pod["spec"]["containers"] += [{"name": "d", "image": "j"}, {"name": "e", "image": "i"}]
        graph["c1"].put(pod)

        async def has_both() -> bool:
            found = await graph.ask("{ pods { groups(by: IMAGE) { items { keys { value } count } } } }")
            groups = found["pods"]["groups"]
            return [*zip(values(groups), (each["count"] for each in groups["items"]), strict=True)] == [
                ("i", 4),
                ("j", 1),
            ]

        await until(has_both)


async def test_pods_of_a_deployment_are_one_group_and_a_pod_alone_is_its_own(open_graph: OpenGraph) -> None:
    query = "{ pods { groups(by: WORKLOAD) { items { keys { value } count } } items { workload { kind name } } } }"
    async with open_graph("c1") as graph:
        graph["c1"].put(build_workload("Deployment", "shop", "a0"))
        pods = graph["c1"].objects["Pod"]
        for name in ("p0", "p2"):
            graph["c1"].put(own(pods["shop", name], "ReplicaSet", "a0-5c9f"))
        graph["c1"].put(own(pods["ops", "p1"], "Rollout", "canary", api_version="argoproj.io/v1alpha1"))

        async def is_so() -> bool:
            groups = (await graph.ask(query))["pods"]["groups"]
            counts = [group["count"] for group in groups["items"]]
            return (values(groups), counts) == (["Deployment/a0", "Pod/p3", "Rollout/canary"], [2, 1, 1])

        await until(is_so)


ORDERS = [
    "",
    "orderBy: [{field: COUNT, direction: DESC}]",
    "orderBy: [{field: COUNT}, {usage: CPU_CORES, direction: DESC}]",
    BY_MEMORY,
    "orderBy: [{limits: CPU_CORES}, {requests: MEMORY_BYTES, direction: DESC}]",
    "orderBy: [{usage: CPU_PERCENT}]",
    'orderBy: [{extended: "nvidia.com/gpu"}]',
]


@pytest.mark.parametrize("order", ORDERS)
async def test_pages_are_the_whole_cut_anywhere(open_graph: OpenGraph, order: str) -> None:
    query = f"""query Page($first: Int, $after: String) {{ pods {{
      groups(by: [NODE, CLUSTER], labels: ["app"], {order}, first: $first, after: $after) {{
        totalCount items {{ {KEYS} count }} edges {{ cursor node {{ {KEYS} count }} }}
        pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }} }}"""
    async with open_graph("c1", "c2", pods=7) as graph:
        load(graph)
        whole = (await graph.ask(query))["pods"]["groups"]
        assert whole["totalCount"] == len(whole["items"]) == 12
        assert [edge["node"] for edge in whole["edges"]] == whole["items"]
        found, after = [], None
        while True:
            page = (await graph.ask(query, {"first": 5, "after": after}))["pods"]["groups"]
            found += page["items"]
            assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
            after = page["pageInfo"]["endCursor"]
            assert after == page["edges"][-1]["cursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
    assert found == whole["items"]


async def test_a_cursor_belongs_to_its_keys_and_order(open_graph: OpenGraph) -> None:
    query = """query($after: String) { pods { groups(by: NODE, after: $after) { pageInfo { endCursor } } } }"""
    async with open_graph("c1") as graph:
        after = (await graph.ask(query))["pods"]["groups"]["pageInfo"]["endCursor"]
        lists = (await graph.ask("{ pods { pageInfo { endCursor } } }"))["pods"]["pageInfo"]["endCursor"]
        for other in (query.replace("NODE", "PHASE"), query.replace("NODE", "NODE, orderBy: [{field: COUNT}]")):
            error = await graph.fail(other, {"after": after})
            assert error["message"].startswith("the cursor belongs to another order")
        assert "another order" in (await graph.fail(query, {"after": lists}))["message"]
        assert "not one that this server gave" in (await graph.fail(query, {"after": "nonsense"}))["message"]
        assert graph.store.calls == []


async def test_rights_hold_on_groups(open_graph: OpenGraph) -> None:
    query = """{ pods { groups(by: [CLUSTER, NAMESPACE], labels: ["app"]) { items { keys { value } count } } }
      zones: pods { groups(by: ZONE) { items { keys { value } count } } }
      nodes { groups(by: CLUSTER) { totalCount } } }"""
    async with open_graph("c1", "c2") as graph:
        for name in ("n1", "n2"):
            node = graph["c1"].objects["Node"]["", name]
            node["metadata"]["labels"] = {"topology.kubernetes.io/zone": "z1"}
            graph["c1"].put(node)

        async def has_zones() -> bool:
            return values((await graph.ask(query))["zones"]["groups"]) == ["z1", None]

        await until(has_zones)
        shopper = await graph.ask(query.replace("nodes { groups(by: CLUSTER) { totalCount } }", ""), who=SHOPPER)
        seen = await graph.ask(query, who=ADMIN)
    assert values(shopper["pods"]["groups"]) == [("c1", "shop", "a0")]
    assert values(shopper["zones"]["groups"]) == [None]  # who may not see nodes does not learn where they are
    assert seen["nodes"]["groups"]["totalCount"] == 2


async def test_a_dead_cluster_is_an_outcome(open_graph: OpenGraph) -> None:
    query = "{ pods { groups(by: CLUSTER) { items { keys { value } count } } clusters { name state } } }"
    async with open_graph("c1", "c2") as graph:
        await graph.hang("c2")
        pods = (await graph.ask(query))["pods"]
    assert values(pods["groups"]) == ["c1"]
    assert [(each["name"], each["state"]) for each in pods["clusters"]] == [("c1", "OK"), ("c2", "TIMEOUT")]


async def test_a_store_that_fails_costs_usage_and_is_told_once(open_graph: OpenGraph) -> None:
    query = "{ pods { groups(by: NODE) { items { count usage { cpuCores } } } } }"
    async with open_graph("c1") as graph:
        graph.store.failure = "it is away"
        result = await graph.execute(query)
        ordered = await graph.fail(query.replace("NODE", "NODE, orderBy: [{usage: CPU_CORES}]"))
    assert result.data is not None
    assert [group["usage"] for group in result.data["pods"]["groups"]["items"]] == [None] * 3
    assert result.errors is not None
    (error,) = result.errors
    assert (error.message, error.path) == ("it is away", ["pods", "groups", "items", 0, "usage"])
    assert ordered["message"] == "these groups are ordered by usage, which is not known: it is away"
    assert ordered["code"] == "METRICS_UNAVAILABLE"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("first: 3", "groups take 1 to 8 keys, not 0: `by` names fields, such as CLUSTER"),
        (f"by: [{'NODE ' * 9}]", "groups take 1 to 8 keys, not 9"),
        ('labels: ["a b"]', "`labels`: 'a b' is no label key: the name must be 1 to 63 letters"),
        (
            "by: NODE, orderBy: [{}]",
            "an order of groups takes one of field, requests, limits, extended, usage, not none",
        ),
        ("by: NODE, orderBy: [{field: COUNT, limits: PODS}]", "not field and limits"),
        ("by: NODE, orderBy: [{requests: PODS, percentOf: LIMIT}]", "`percentOf` belongs to a `usage` in percent"),
        ("by: NODE, orderBy: [{usage: CPU_CORES, percentOf: LIMIT}]", "`percentOf` belongs to CPU_PERCENT and"),
        (f"by: NODE, orderBy: [{'{field: COUNT} ' * 9}]", "groups take 8 orders at most, not 9"),
        ("by: NODE, first: 10001", "`first` is 0 at least and 10,000 at most"),
    ],
)
async def test_wrong_arguments_say_what_would_be_right(open_graph: OpenGraph, arguments: str, message: str) -> None:
    async with open_graph("c1") as graph:
        error = await graph.fail(f"{{ pods {{ groups({arguments}) {{ totalCount }} }} }}")
    assert message in error["message"]
    assert error["code"] == "BAD_USER_INPUT"
