"""What is remembered of a document that was asked before."""

import gc
import tracemalloc

from graphql import parse
from msgspec.structs import replace

from fleet.model.visibility import Role, Scope
from graph.compiled.documents import MAX_BYTES, MAX_PARTS, MAX_VARIABLES, KnownDocument, known_documents
from tests.fakes.kubernetes import build_pod
from tests.fakes.waiting import until
from tests.graph.conftest import SHOPPER, OpenGraph

PAGE = "query ($first: Int) { pods(first: $first) { items { name namespace cluster { name } usage { cpuCores } } } }"


async def test_a_request_leaves_nothing_to_the_garbage_collector(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=4) as graph:
        for _ in range(3):
            await graph.ask(PAGE, {"first": 3})
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                await graph.ask(PAGE, {"first": 3})
            assert gc.collect() == 0
        finally:
            gc.enable()


async def test_texts_that_are_asked_once_leave_nothing_to_the_garbage_collector(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=4) as graph:
        texts = [
            PAGE.replace(" name ", f" n{number}: name node {{ zone }} containers {{ name }} ", 1) for number in range(8)
        ]
        for text in texts[:3]:
            await graph.ask(text, {"first": 3})
        known_documents.clear()
        gc.collect()
        gc.disable()
        try:
            for text in texts[3:]:
                await graph.ask(text, {"first": 3})
            assert gc.collect() == 0
            known_documents.clear()
            assert gc.collect() == 0
        finally:
            gc.enable()


async def test_known_documents_are_bounded_by_what_they_take(open_graph: OpenGraph) -> None:
    known_documents.clear()
    async with open_graph("c1", pods=1) as graph:
        tracemalloc.start()
        try:
            for number in range(12):
                parts = " ".join(f"p{place}x{number}: pods {{ items {{ name uid phase }} }}" for place in range(40))
                await graph.ask(f"{{ {parts} }}")
            gc.collect()
            taken, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert 0.3 * taken < known_documents.weight < 3 * taken
        for number in range(1, 400):
            parts = " ".join(f"q{place}x{number}: pods {{ items {{ name uid }} }}" for place in range(50))
            known_documents.put((parts, graph.limits), KnownDocument(parse("{ a }"), parts * 20), 20 * 420 * len(parts))
            assert known_documents.weight <= MAX_BYTES


async def test_variables_of_each_request_count(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=4) as graph:
        lengths = [len((await graph.ask(PAGE, {"first": size}))["pods"]["items"]) for size in (1, 3, 1, 2, 3)]
        assert lengths == [1, 3, 1, 2, 3]
        assert len((await graph.ask(PAGE))["pods"]["items"]) == 4


async def test_what_is_near_its_limit_is_estimated_anew_each_time(open_graph: OpenGraph) -> None:
    query = "{ pods(first: 500) { items { name } } }"
    async with open_graph("c1", pods=20) as graph:
        graph.limits = replace(graph.limits, cost=1)
        found = (await graph.fail(query))["estimate"]
        graph.limits = replace(graph.limits, cost=found)
        await graph.ask(query)
        await graph.ask(query)
        for number in range(20):
            graph["c1"].put(build_pod("shop", f"more{number}"))
        await until(lambda: graph.federation.count_objects(Scope(Role.VIEW)).pods("c1", None, None) == 40)
        assert (await graph.fail(query))["estimate"] > found


async def test_what_is_cheap_to_one_caller_is_estimated_for_another(open_graph: OpenGraph) -> None:
    query = "{ pods(first: 500) { items { name usage { cpuCores } } } }"
    async with open_graph("c1", "c2", "c3", pods=200) as graph:
        graph.limits = replace(graph.limits, cost=1)
        small, large = (await graph.fail(query, who=SHOPPER))["estimate"], (await graph.fail(query))["estimate"]
        graph.limits = replace(graph.limits, cost=large - 1)
        assert small * 4 < large
        for _ in range(3):
            await graph.ask(query, who=SHOPPER)
        assert (await graph.fail(query))["estimate"] == large


async def test_what_is_remembered_of_a_document_is_bounded(open_graph: OpenGraph) -> None:
    small, large = (
        PAGE,
        "query ($first: Int) { "
        + " ".join(f"p{number}: pods(first: $first) {{ items {{ name uid phase }} }}" for number in range(50))
        + " }",
    )
    async with open_graph("c1", pods=4) as graph:
        for text, most in ((small, MAX_VARIABLES), (large, MAX_PARTS // 250)):
            for size in range(MAX_VARIABLES + 5):
                await graph.ask(text, {"first": size})
            known = known_documents.get((text, graph.limits))
            assert known is not None
            assert 0 < known.remembered <= most
