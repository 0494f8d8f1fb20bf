"""Random documents over the product's own schema get the same answer with and without generated code."""

import math
import os
import random
from typing import Any

import orjson
import pytest
from graphql import parse, validate
from msgspec.structs import replace

from graph.loading.context import Context
from graph.loading.loaders import build_loaders
from graph.loading.timeslice import TimeSlices
from graph.schema import schema
from tests.graph.compiled.documents import DocumentMaker
from tests.graph.conftest import ADMIN, NOW, OPTIONS, Graph, OpenGraph

ALWAYS_FRESH = replace(OPTIONS, fresh_seconds=3600.0)
"""No list waits for a member: which of two errors side by side comes first would depend on the clock."""

CASES = int(os.environ.get("FUZZ_CASES", "240"))
VARIABLES: tuple[dict[str, Any], ...] = ({}, {"yes": False, "size": 1}, {"no": True, "size": 10_001}, {"size": None})
LEFT_OUT = frozenset({"ClusterOutcome.ageSeconds", "ClusterOutcome.tookMs"})
"""They differ from call to call."""
LIVE = frozenset({"Query.resources", "Query.resource", "Pod.events", "Node.events", "Owner.resource"})
"""Clusters of this process are not asked for those."""


def _window(rng: random.Random) -> str:
    return rng.choice(('(last: "5m")', '(last: "1h", step: "10m")', '(last: "1h", step: "1s")'))


def _page(rng: random.Random) -> str:
    order = rng.choice(("", "orderBy: [{field: NAME, direction: DESC}]", "orderBy: [{usage: CPU_CORES}]"))
    return f"(first: {rng.choice(('0', '2', '$size', '10001'))} {order})"


ARGUMENTS = {
    "Query.pods": _page,
    "Query.nodes": _page,
    "Cluster.pods": _page,
    "Cluster.nodes": _page,
    "Node.pods": _page,
    "Query.cluster": lambda rng: f'(name: "{rng.choice(("c1", "c2", "none"))}")',
    "Query.pod": lambda rng: f'(cluster: "c1", namespace: "shop", name: "{rng.choice(("p0", "p9"))}")',
    "Query.node": lambda rng: f'(cluster: "c1", name: "{rng.choice(("n1", "n9"))}")',
    "Pod.history": _window,
    "Node.history": _window,
    "Cluster.history": _window,
    "PodConnection.counts": lambda rng: f"(by: {rng.choice(('PHASE', 'NODE'))})",
    "Cluster.podCounts": lambda rng: f"(by: {rng.choice(('PHASE', 'NODE'))})",
    "Usage.cpuPercent": lambda rng: rng.choice(("", "(of: ALLOCATABLE)")),
    "UsageHistory.cpuCores": lambda rng: rng.choice(("", "(aggregate: P95)")),
}


async def answer(
    graph: Graph, document: str, variables: dict[str, Any], *, compiled: bool = True, encoded: bool = False
) -> Any:
    loaders = build_loaders(graph.federation, ADMIN.scope, graph.store, now=NOW, deadline=1e12)
    context = Context(
        ADMIN, graph.federation, loaders, compiled=compiled, encoded=encoded, time_slices=TimeSlices(math.inf)
    )
    result = await schema.execute(document, variables, context_value=context)
    errors = [error.formatted for error in result.errors or ()]
    return orjson.loads(orjson.dumps(result.data, default=str)), errors


# Core leaves the siblings of a field that failed unawaited with and without generated code.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_random_documents_over_the_graph_are_answered_as_by_core(open_graph: OpenGraph) -> None:
    compared = 0
    async with open_graph("c1", "c2", pods=5, options=ALWAYS_FRESH) as graph:
        for case in range(CASES):
            graph.store.failure = "the store is down" if case % 7 == 0 else None
            rng = random.Random(case)
            text = DocumentMaker(schema._schema, rng, ARGUMENTS, LEFT_OUT | LIVE).make()
            assert not validate(schema._schema, parse(text)), text
            for variables in rng.sample(VARIABLES, 2):  # the second finds the document known
                wanted = await answer(graph, text, variables, compiled=False)
                assert await answer(graph, text, variables, encoded=True) == wanted, (case, text, variables)
                assert await answer(graph, text, variables) == wanted, (case, text, variables)
                compared += wanted[0] is not None and len(str(wanted)) > 200
    assert compared > CASES // 2, "too few answers to compare"
