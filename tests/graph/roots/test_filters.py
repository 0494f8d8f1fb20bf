"""Filters as clients write them: each part lists what it should, with its bounds told in clear words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.model.objects import MissingAmount
from graph.cost.cardinality import count_conditions
from graph.types.inputs import MAX_FILTERS_INSIDE
from tests.fakes.kubernetes import build_pod
from tests.fakes.waiting import until
from tests.graph.compiled.own_graph import build_full_node, build_full_pod, wait_known
from tests.graph.conftest import SHOPPER, OpenGraph

PODS = "query Q($f: PodFilter) { pods(filter: $f) { items { name } } }"
NODES = "query Q($f: NodeFilter) { nodes(filter: $f) { items { name } } }"
MISSING = [which.name for which in MissingAmount]
POD_FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"statuses": ["Running"]}, ["full", "p0", "p1"]),
    ({"statuses": []}, []),
    ({"ready": True}, ["full"]),
    ({"restarts": {"gte": 4}}, ["full"]),
    ({"images": {"contains": "j"}}, ["full"]),
    ({"images": {"registry": "docker.io", "tag": "latest"}}, ["full", "p0", "p1"]),
    ({"createdAt": {"lt": "2000-01-01T00:00:00Z"}}, []),
    ({"age": {"gte": "0s"}}, ["full", "p0", "p1"]),
    ({"hasOwner": False}, ["p0", "p1"]),
    ({"missing": MISSING[2:]}, ["p0", "p1"]),
    ({"missing": MISSING[:2]}, []),
    ({"qosClasses": ["Burstable"]}, ["full"]),
    ({"not": {"name": {"startsWith": "p"}}}, ["full"]),
    ({"anyOf": [{"hasOwner": True}, {"name": {"eq": "p1"}}]}, ["full", "p1"]),
    ({"anyOf": []}, []),
    ({"not": None, "anyOf": None}, ["full", "p0", "p1"]),
    ({"namespaces": ["shop"], "not": {"anyOf": [{"not": {"namespaces": ["shop"]}}, {"ready": True}]}}, ["p0"]),
]
NODE_FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"statuses": ["Ready"]}, ["full"]),
    ({"statuses": ["Unknown", "SchedulingDisabled"]}, ["n1", "n2"]),
    ({"roles": ["worker"]}, ["full"]),
    ({"taints": {"effect": "NoSchedule"}}, ["full"]),
    ({"kubeletVersions": ["v1.36"]}, ["full"]),
    ({"zones": ["z1"]}, ["full"]),
    ({"conditions": ["Ready"]}, ["full"]),
    ({"age": {"lt": "0s"}}, []),
    ({"createdAt": {"gt": "2000-01-01T00:00:00Z"}}, ["full", "n1", "n2"]),
    ({"not": {"zones": ["z1"]}}, ["n1", "n2"]),
]
ONE_TOO_MANY: dict[str, Any] = {"anyOf": [{}] * (MAX_FILTERS_INSIDE + 1)}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"not": {"anyOf": [{"not": {"not": {}}}]}}, "nested 3 levels deep"),
    (ONE_TOO_MANY, "50 others"),
    ({"anyOf": [ONE_TOO_MANY]}, "50 others"),
    ({"not": {"usage": [{"field": "CPU_CORES", "gt": 1}]}}, "beside `not` and `anyOf`"),
    ({"not": {"labelSelector": "=="}}, "label selector"),
    ({"restarts": {}}, "a bound of `restarts` needs one of `gt`"),
    ({"restarts": {"gt": 3, "lt": 2}}, "nothing is within the bound of `restarts`"),
    ({"not": {"age": {}}}, "a bound of `age` needs"),
    ({"qosClasses": ["burstable"]}, "Guaranteed, Burstable, BestEffort"),
    ({"not": {"clusters": ["typo"]}}, "no cluster is named 'typo'"),
]


@pytest.mark.parametrize(("wanted", "names"), POD_FILTERS, ids=[str(wanted) for wanted, _ in POD_FILTERS])
async def test_pods_that_a_filter_lists(open_graph: OpenGraph, wanted: dict[str, Any], names: list[str]) -> None:
    async with open_graph("c1", pods=2) as graph:
        graph["c1"].put(build_full_pod("shop", "full", "n1", "a0"))
        await wait_known(graph, "c1")
        found = await graph.ask(PODS, {"f": wanted})
    assert sorted(item["name"] for item in found["pods"]["items"]) == names


@pytest.mark.parametrize(("wanted", "names"), NODE_FILTERS, ids=[str(wanted) for wanted, _ in NODE_FILTERS])
async def test_nodes_that_a_filter_lists(open_graph: OpenGraph, wanted: dict[str, Any], names: list[str]) -> None:
    async with open_graph("c1", pods=0) as graph:
        graph["c1"].put(build_full_node("full"))
        await wait_known(graph, "c1")
        found = await graph.ask(NODES, {"f": wanted})
    assert [item["name"] for item in found["nodes"]["items"]] == names


@pytest.mark.parametrize(("wanted", "message"), REFUSED, ids=[str(wanted)[:80] for wanted, _ in REFUSED])
async def test_a_filter_that_is_refused_says_what_would_be_right(
    open_graph: OpenGraph, wanted: dict[str, Any], message: str
) -> None:
    async with open_graph("c1", pods=0) as graph:
        assert message in (await graph.fail(PODS, {"f": wanted}))["message"]


async def test_age_is_that_of_the_moment_of_each_answer(open_graph: OpenGraph) -> None:
    """Nothing of the pods changes between the questions, which are the same."""
    born = build_pod("shop", "born", app="a")
    born["metadata"]["creationTimestamp"] = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    wanted = {"f": {"namespaces": ["shop"], "not": {"age": {"lt": "0s"}}}}
    async with open_graph("c1", "c2", pods=0) as graph:
        graph["c1"].put(born)
        await wait_known(graph, "c1")
        assert (await graph.ask(PODS, wanted))["pods"]["items"] == []

        async def is_listed() -> bool:
            return bool((await graph.ask(PODS, wanted))["pods"]["items"])

        await until(is_listed)


async def test_what_is_out_of_reach_stays_so_within_not(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=4) as graph:
        for wanted in ({"not": {"namespaces": ["shop"]}}, {"anyOf": [{"namespaces": ["ops"]}, {"nodes": ["n9"]}]}):
            assert (await graph.ask(PODS, {"f": wanted}, who=SHOPPER))["pods"]["items"] == []
        hidden = {"anyOf": [{"namespaces": ["shop"]}, {"not": {"clusters": ["c2"]}}]}
        assert (await graph.fail(PODS, {"f": hidden}, who=SHOPPER))["code"] == "NOT_FOUND"


def test_each_condition_of_a_filter_inside_is_paid_for() -> None:
    inside = {"anyOf": [{"not": {"ready": True, "labelSelector": "a,b,c"}}, {"statuses": []}], "not": None}
    assert count_conditions({"filter": {"name": {}, **inside}}) == 1 + 4 + 1
