"""A metric store that answers, but says that something of a cluster may be missing: who is told, and where."""

from collections.abc import Iterator
from typing import Any

import pytest

from fleet.live.usage_cache import UsageCache
from fleet.model.errors import MetricsTooCostly
from fleet.model.objects import NodeKey, PodKey
from tests.graph.compiled.own_graph import build_full_pod, wait_known
from tests.graph.conftest import NOW, Graph, OpenGraph

WHY = "its store gateway is away"
WORDS = f"measurements of c2 are missing: {WHY}"
CODED = {"code": "METRICS_UNAVAILABLE", "cluster": "c2"}
HOUR = 'history(last: "10m", step: "5m") { cpuCores }'


def lose(graph: Graph, *keys: PodKey | NodeKey) -> None:
    """The store has nothing of these, or of all of c2, and says why."""
    graph.store.problems = {"c2": WHY, "c9": "it is not even there"}
    graph.store.lost = set(keys) or {key for key in graph.store.known if key.cluster == "c2"}


async def ask(graph: Graph, query: str) -> tuple[Any, list[tuple[str, dict[str, Any], list[str | int]]]]:
    """Data, and of each error what it says and where."""
    result = await graph.execute(query)
    return result.data, [
        (error.message, error.extensions or {}, error.path or []) for error in sorted(result.errors or (), key=str)
    ]


def cores(part: Any) -> Iterator[Any]:
    """All values of `cpuCores` in an answer, None for usage or history that is none."""
    for name, value in part.items() if isinstance(part, dict) else enumerate(part):
        if name in ("usage", "history", "cpuCores") and (value is None or name == "cpuCores"):
            yield value
        elif isinstance(value, dict | list):
            yield from cores(value)


@pytest.mark.parametrize("shown", ["usage { cpuCores }", HOUR])
@pytest.mark.parametrize("kind", ["pods", "nodes"])
async def test_objects_without_a_value_are_told_of_once_a_cluster(open_graph: OpenGraph, kind: str, shown: str) -> None:
    async with open_graph("c1", "c2") as graph:
        lose(graph)
        data, errors = await ask(graph, f"{{ {kind} {{ items {{ name cluster {{ name }} {shown} }} }} }}")
    items, field = data[kind]["items"], shown.partition(" ")[0].partition("(")[0]
    assert [item[field] is None for item in items] == [item["cluster"]["name"] == "c2" for item in items]
    first = next(place for place, item in enumerate(items) if item["cluster"]["name"] == "c2")
    assert errors == [(WORDS, CODED, [kind, "items", first, field])]


async def test_a_cluster_of_which_nothing_is_missing_is_not_told_of(open_graph: OpenGraph) -> None:
    query = """{ pods { items { usage { cpuCores } } } clusters { usage { cpuCores } }
      ranked: pods(orderBy: [{ usage: CPU_CORES }]) { items { name } } }"""
    async with open_graph("c1", "c2") as graph:
        graph.store.problems = {"c2": WHY}
        data, errors = await ask(graph, query)
    assert errors == []
    assert None not in cores(data)


@pytest.mark.parametrize(
    ("lost", "query", "told"),
    [
        (NodeKey("c2", "n1"), "{ clusters { usage { cpuCores } } }", ["clusters", 1, "usage"]),
        (NodeKey("c2", "n2"), f"{{ clusters {{ {HOUR} }} }}", ["clusters", 1, "history"]),
        (
            PodKey("c2", "shop", "p2"),
            "{ workloads { items { usage { cpuCores } } } }",
            ["workloads", "items", 1, "usage"],
        ),
        (PodKey("c2", "shop", "p2"), f"{{ workloads {{ items {{ {HOUR} }} }} }}", ["workloads", "items", 1, "history"]),
        (
            PodKey("c2", "shop", "p0"),
            "{ pods { groups(by: CLUSTER) { items { usage { cpuCores } } } } }",
            ["pods", "groups", "items", 1, "usage"],
        ),
        (
            NodeKey("c2", "n1"),
            f"{{ nodes {{ groups(by: CLUSTER) {{ items {{ {HOUR} }} }} }} }}",
            ["nodes", "groups", "items", 1, "history"],
        ),
    ],
)
async def test_a_sum_with_a_part_missing_is_none_and_says_why(
    open_graph: OpenGraph, lost: PodKey | NodeKey, query: str, told: list[Any]
) -> None:
    async with open_graph("c1", "c2", pods=0) as graph:
        for cluster in ("c1", "c2"):
            for number in (0, 2):
                graph[cluster].put(build_full_pod("shop", f"p{number}", "n1", "web"))
                graph.store.known[PodKey(cluster, "shop", f"p{number}")] = graph.store.known[NodeKey(cluster, "n1")]
            await wait_known(graph, cluster)
        lose(graph, lost)
        data, errors = await ask(graph, query)
    assert [value is None for value in cores(data)] == [False, True]
    assert errors == [(WORDS, CODED, told)]


async def test_groups_that_share_what_is_missing_are_all_none_and_told_of_once(open_graph: OpenGraph) -> None:
    query = f"{{ pods {{ groups(by: NAMESPACE) {{ items {{ usage {{ cpuCores }} {HOUR} }} }} }} }}"
    async with open_graph("c1", "c2") as graph:
        lose(graph)
        data, errors = await ask(graph, query)
    assert list(cores(data)) == [None] * 4
    assert [path[-1] for _, _, path in errors] == ["usage", "history"]
    assert {message for message, _, _ in errors} == {WORDS}


RANKED = """{ pods(orderBy: [{ usage: CPU_CORES, direction: DESC }], first: 3, %s) {
  totalCount items { name cluster { name } usage { cpuCores } } clusters { name state message } } }"""


@pytest.mark.parametrize("pods", [4, 300], ids=["named", "held"])
async def test_a_ranked_list_has_them_last_and_its_outcomes_say_why(open_graph: OpenGraph, pods: int) -> None:
    async with open_graph("c1", "c2", pods=pods) as graph:
        graph.held = UsageCache(graph.store, graph.federation.pods_of, max_age=60)
        lose(graph)
        data, errors = await ask(graph, RANKED % "filter: {}")
        everything, told = await ask(graph, RANKED.replace("first: 3", f"first: {2 * pods}") % "filter: {}")
        alone, refused = await ask(graph, RANKED % 'filter: { clusters: ["c2"] }')
        strict, refused_strictly = await ask(graph, RANKED % "onUnavailable: STRICT")
    assert errors == []
    assert {item["cluster"]["name"] for item in data["pods"]["items"]} == {"c1"}
    assert data["pods"]["totalCount"] == 2 * pods
    assert data["pods"]["clusters"] == [
        {"name": "c1", "state": "OK", "message": None},
        {"name": "c2", "state": "OK", "message": WORDS},
    ]
    assert [item["usage"] is None for item in everything["pods"]["items"]] == [False] * pods + [True] * pods
    assert told == [(WORDS, CODED, ["pods", "items", pods, "usage"])]
    assert (alone, strict) == (None, None)
    unranked = f"this list is ordered or bounded by usage, which is not known: {WORDS}"
    assert refused == refused_strictly == [(unranked, CODED, ["pods"])]


async def test_workloads_and_groups_are_ranked_by_whole_sums_alone(open_graph: OpenGraph) -> None:
    workloads = """{ workloads(orderBy: [{ usage: CPU_CORES, direction: DESC }]) {
      items { cluster { name } } clusters { name message } } }"""
    groups = "{ pods { groups(by: CLUSTER, orderBy: [{ usage: CPU_CORES }]) { items { count } } } }"
    async with open_graph("c1", "c2", pods=0) as graph:
        for cluster in ("c1", "c2"):
            for number in range(3):
                graph[cluster].put(build_full_pod("shop", f"p{number}", "n1", "web"))
                graph.store.known[PodKey(cluster, "shop", f"p{number}")] = graph.store.known[NodeKey(cluster, "n1")]
            await wait_known(graph, cluster)
        lose(graph, PodKey("c2", "shop", "p0"))
        data, errors = await ask(graph, workloads)
        _, refused = await ask(graph, groups)
    assert errors == []
    assert [item["cluster"]["name"] for item in data["workloads"]["items"]] == ["c1", "c2"]
    assert [outcome["message"] for outcome in data["workloads"]["clusters"]] == [None, WORDS]
    assert refused == [(f"these groups are ordered by usage, which is not known: {WORDS}", CODED, ["pods", "groups"])]


async def test_where_pods_ran_may_be_missing_as_well(open_graph: OpenGraph) -> None:
    query = """{ pods { items { cluster { name } placements(last: "1h") { name } } }
      nodes { items { cluster { name } podsAt(time: "2026-09-21T14:10:00Z") { name } } } }"""
    async with open_graph("c1", "c2", pods=1) as graph:
        graph.store.sightings = {(PodKey("c1", "shop", "p0"), "n1"): [int(NOW - 60) * 10**9]}
        lose(graph)
        _, errors = await ask(graph, query)
    assert sorted(path[0] for _, _, path in errors) == ["nodes", "pods"]
    assert all((message, coded) == (WORDS, CODED) for message, coded, _ in errors)


COSTLY = 'that is too much for this store: a step of "10m" would do'


@pytest.mark.parametrize(
    "query",
    [
        "{ pods { items { usage { cpuCores } } } }",
        f"{{ nodes {{ items {{ {HOUR} }} }} }}",
        f"{{ clusters {{ {HOUR} }} }}",
        "{ pods { groups(by: PHASE) { items { usage { cpuCores } } } } }",
        f"{{ pods {{ groups(by: PHASE) {{ items {{ {HOUR} }} }} }} }}",
        "{ pods { groups(by: PHASE, orderBy: [{ usage: CPU_CORES }]) { items { count } } } }",
        "{ pods(orderBy: [{ usage: CPU_CORES }]) { items { name } } }",
        "{ workloads(filter: { usage: [{ field: CPU_CORES, gt: 1 }] }) { totalCount } }",
        '{ pods { items { placements(last: "1h") { name } } } }',
    ],
)
@pytest.mark.parametrize("pods", [4, 600], ids=["named", "held"])
async def test_a_question_that_a_store_refuses_as_too_large_says_what_would_do(
    open_graph: OpenGraph, query: str, pods: int
) -> None:
    async with open_graph("c1", pods=pods) as graph:
        graph["c1"].put(build_full_pod("shop", "p0", "n1", "web"))
        await wait_known(graph, "c1")
        graph.held = UsageCache(graph.store, graph.federation.pods_of, max_age=60)
        graph.store.failure = MetricsTooCostly(COSTLY)
        _, errors = await ask(graph, query)
    ((message, extensions, _),) = errors
    assert message.endswith(COSTLY)
    assert extensions == {"code": "COST_EXCEEDED"}
