"""Pages and their cursors."""

import base64
import itertools
from collections.abc import Callable, Collection
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.model import kinds
from fleet.model.errors import InvalidQuery
from fleet.model.objects import Node, Pod, Resources, T
from fleet.model.ordered import Ordered, position_of
from fleet.model.queries import MAX_PAGE, NodeColumn, Order, Page, PageRequest, PodColumn, Selection
from fleet.model.ranking import PercentOf, UsageColumn, UsageField, build_column
from fleet.model.usage import Usage
from fleet.reads.paging import Sorting, build_page, build_sorting, check_page
from tests.fakes.records import build_node_record, build_pod_record

CPU = build_column(UsageField.CPU_CORES)
MEMORY = build_column(UsageField.MEMORY_PERCENT, PercentOf.REQUEST)
ORDERS = st.lists(st.builds(Order, st.sampled_from([*PodColumn, CPU, MEMORY]), st.booleans()), max_size=3).map(tuple)
NAMES = st.tuples(st.sampled_from(["c1", "c2", "c3"]), st.sampled_from("xy"), st.sampled_from("abcdef"))
PODS = st.dictionaries(
    NAMES,
    st.tuples(
        st.sampled_from([None, "n1", "n2"]),
        st.integers(0, 2),
        st.sampled_from([0.0, 1.5, 1e9]),
        st.sampled_from([None, 0, 1, 3]),
    ),
    max_size=36,
).map(
    lambda found: [
        build_pod_record(
            *name, node=node, restarts=restarts, created_at=created, requests=Resources(memory_bytes=asked)
        )
        for name, (node, restarts, created, asked) in found.items()
    ]
)


def usage_of(pod: Pod) -> Usage | None:
    """A few values that many share, by the pod's name; none for some."""
    number = sum(map(ord, "".join(pod.key))) % 5
    return None if number == 4 else Usage(time_ns=1, cpu_cores=number / 3, memory_bytes=number or None)


def share_of(pod: Pod) -> float | None:
    usage, asked = usage_of(pod), pod.requests.memory_bytes
    return usage.memory_bytes / asked * 100 if usage and usage.memory_bytes is not None and asked else None


VALUES: dict[PodColumn | UsageColumn, Any] = {
    CPU: lambda pod: usage.cpu_cores if (usage := usage_of(pod)) else None,
    MEMORY: share_of,
    PodColumn.NAME: lambda pod: pod.name,
    PodColumn.NAMESPACE: lambda pod: pod.namespace,
    PodColumn.CLUSTER: lambda pod: pod.cluster,
    PodColumn.NODE: lambda pod: pod.node_name,
    PodColumn.PHASE: lambda pod: pod.phase.value,
    PodColumn.STATUS: lambda pod: pod.status,
    PodColumn.RESTARTS: lambda pod: pod.restarts,
    PodColumn.CREATED_AT: lambda pod: pod.created_at,
}


def plainly_sorted(pods: list[Pod], orders: tuple[Order, ...]) -> list[Pod]:
    def compare(left: Pod, right: Pod) -> int:
        for order in orders:
            a, b = VALUES[order.column](left), VALUES[order.column](right)  # type: ignore[index]
            if a != b:
                if a is None or b is None:
                    return 1 if a is None else -1
                return (-1 if a < b else 1) * (-1 if order.descending else 1)
        return -1 if left.key < right.key else 1

    return sorted(pods, key=cmp_to_key(compare))


def cut_page(
    entries: Collection[T],
    sorting: Sorting[T],
    request: PageRequest,
    usage_of: Callable[[T], Usage | None] = lambda _: None,
) -> Page[T]:
    placed = sorted(entries, key=position_of)
    after = check_page(request, sorting)
    page = build_page(Selection(Ordered([placed]), ()), sorting, request, after, [*map(usage_of, placed)])
    assert [*page.usages] == [*map(usage_of, page.items)]  # what is shown is what it was cut by
    return page


@given(PODS, ORDERS, st.integers(1, 7))
def test_pages_in_a_row_are_the_sorted_set(pods: list[Pod], orders: tuple[Order, ...], first: int) -> None:
    sorting = build_sorting(kinds.PODS, orders)
    read: list[Pod] = []
    cursor = None
    while True:
        page = cut_page(pods, sorting, PageRequest(first, cursor), usage_of)
        assert page.has_previous is bool(read)
        read.extend(page.items)
        if not page.has_next:
            break
        cursor = page.cursors[-1]
    assert [pod.key for pod in read] == [pod.key for pod in plainly_sorted(pods, orders)]


@given(st.lists(PODS, min_size=1, max_size=6), PODS, ORDERS, st.integers(1, 5), st.data())
def test_nothing_twice_and_nothing_skipped_that_was_there_throughout(
    others: list[list[Pod]], stable: list[Pod], orders: tuple[Order, ...], first: int, data: st.DataObject
) -> None:
    sorting = build_sorting(kinds.PODS, orders)
    kept = {pod.key: pod for pod in stable}
    read: list[Pod] = []
    cursor = None
    for around in itertools.cycle(others):
        gone = data.draw(st.sampled_from(["c1", "c2", "c3", "none"]))
        passing = {pod.key: pod for pod in around if pod.cluster != gone}
        page = cut_page([*(passing | kept).values()], sorting, PageRequest(first, cursor), usage_of)
        read.extend(page.items)
        if not page.has_next:
            break
        cursor = page.cursors[-1]
    keys = [pod.key for pod in read if kept.get(pod.key) is pod]
    assert len(set(keys)) == len(keys)
    assert set(keys) == set(kept)


@pytest.mark.parametrize("descending", [False, True])
def test_nulls_come_last_in_both_directions(descending: bool) -> None:
    pods = [build_pod_record("c1", "x", str(node), node=node) for node in ("n2", None, "n1")]
    page = cut_page(pods, build_sorting(kinds.PODS, (Order(PodColumn.NODE, descending),)), PageRequest(3))
    assert page.items[-1].node_name is None


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("first", [2, 50])
def test_usage_that_is_null_comes_last_and_ties_are_broken_by_name(descending: bool, first: int) -> None:
    amounts = {"b": 2.0, "a": 2.0, "e": 3.0, "c": None, "z": 1.0}
    pods = [build_pod_record("c1", "x", name) for name in (*amounts, *"ghijklmnopqrs")]
    usages = {name: Usage(time_ns=1, cpu_cores=cores) for name, cores in amounts.items()}
    sorting = build_sorting(kinds.PODS, (Order(CPU, descending),))

    def usage_of(pod: Pod) -> Usage | None:
        return usages.get(pod.name)

    ranked = "eabz" if descending else "zabe"
    page = cut_page(pods, sorting, PageRequest(first), usage_of)
    assert "".join(pod.name for pod in page.items) == f"{ranked}cghijklmnopqrs"[:first]
    rest = cut_page(pods, sorting, PageRequest(50, page.cursors[1]), usage_of).items
    assert "".join(pod.name for pod in rest) == f"{ranked}cghijklmnopqrs"[2:]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("best", [0, 1, 5, 6])
@pytest.mark.parametrize("others", [None, 50.0])
def test_the_first_are_found_wherever_they_stand(best: int, others: float | None, descending: bool) -> None:
    """Of 98 pods every seventh is looked at first: those are the best, or none of them."""
    pods = [build_pod_record("c1", "x", f"p{number:02d}") for number in range(98)]
    cores = {pod.name: number + 100.0 if number % 7 == best else others for number, pod in enumerate(pods)}
    order = (Order(CPU, descending),)
    for first in (2, 3, 12):
        page = cut_page(
            pods, build_sorting(kinds.PODS, order), PageRequest(first), lambda pod: Usage(1, cores[pod.name])
        )
        known = sorted((value for value in cores.values() if value is not None), reverse=descending)
        assert [cores[pod.name] for pod in page.items] == known[:first]


def test_a_cursor_of_usage_goes_on_from_its_value_when_values_change() -> None:
    pods = [build_pod_record("c1", "x", name) for name in "abcde"]
    before, after = (
        {name: Usage(time_ns=1, cpu_cores=cores) for name, cores in zip("abcde", row, strict=True)}
        for row in ((5, 4, 3, 2, 1), (0.5, 4.5, 3, 2, 9))
    )
    sorting = build_sorting(kinds.PODS, (Order(CPU, descending=True),))
    cursor = cut_page(pods, sorting, PageRequest(2), lambda pod: before[pod.name]).cursors[-1]
    page = cut_page(pods, sorting, PageRequest(5, cursor), lambda pod: after[pod.name])
    assert ("".join(pod.name for pod in page.items), page.has_previous) == ("cda", True)


def test_an_order_by_usage_is_checked_without_usage_and_never_cut_without() -> None:
    sorting = build_sorting(kinds.PODS, (Order(CPU),))
    selection = Selection(Ordered([[build_pod_record("c1", "x", "a")]]), ())
    assert build_page(selection, sorting, PageRequest(0), None).has_next is True
    with pytest.raises(ValueError, match="shorter"):
        build_page(selection, sorting, PageRequest(1), None)


def test_a_page_of_nothing_still_says_what_follows() -> None:
    pods = [build_pod_record("c1", "x", "a")]
    page = cut_page(pods, build_sorting(kinds.PODS, ()), PageRequest(0))
    assert (page.items, page.has_next, page.has_previous) == ((), True, False)


@pytest.mark.parametrize("first", [-1, MAX_PAGE + 1])
def test_a_page_out_of_bounds_is_refused_with_the_bound(first: int) -> None:
    with pytest.raises(InvalidQuery, match=r"0 to 10,000"):
        cut_page([], build_sorting(kinds.PODS, ()), PageRequest(first))


def test_a_cursor_of_another_order_is_refused() -> None:
    pods = [build_pod_record("c1", "x", "a")]
    cursor = cut_page(pods, build_sorting(kinds.PODS, ()), PageRequest(1)).cursors[0]
    for other in ((Order(PodColumn.NAME),), (Order(PodColumn.NAME, descending=True),)):
        with pytest.raises(InvalidQuery, match="another order"):
            cut_page(pods, build_sorting(kinds.PODS, other), PageRequest(1, cursor))
    with pytest.raises(InvalidQuery, match="another order"):
        cut_page([], build_sorting(kinds.NODES, ()), PageRequest(1, cursor))


FORGED = [
    b"",
    b"null",
    b"[]",
    b'[1,"pods:RESTARTS+",[]]',
    b'[1,"pods:RESTARTS+",["1","c","n","p"]]',
    b'[1,"pods:RESTARTS+",[1,"c","n",null]]',
    b'[1,"pods:RESTARTS+",[true,"c","n","p"]]',
    b'[1,"pods:RESTARTS+",[[],"c","n","p"]]',
    b'[2,"pods:RESTARTS+",[1,"c","n","p"]]',
    b"\xff" * 40,
]
FORGED_USAGE = [
    b'[1,"pods:CPU_CORES-",["1","c","n","p"]]',
    b'[1,"pods:CPU_CORES-",[1e999,"c","n","p"]]',
    b'[1,"pods:CPU_CORES-",[NaN,"c","n","p"]]',
    b'[1,"pods:CPU_CORES-",[true,"c","n","p"]]',
    b'[1,"pods:CPU_CORES-",[1,null,"n","p"]]',
    b'[1,"pods:CPU_CORES+",[1,"c","n","p"]]',
    b'[1,"pods:MEMORY_PERCENT of LIMIT-",[1,"c","n","p"]]',
]


@pytest.mark.parametrize(
    "cursor", ["", "=", "%%%", "ü", "a" * 100_000, *(base64.b64encode(x).decode() for x in FORGED)]
)
def test_garbage_is_no_cursor(cursor: str) -> None:
    with pytest.raises(InvalidQuery):
        cut_page([], build_sorting(kinds.PODS, (Order(PodColumn.RESTARTS),)), PageRequest(1, cursor))


@pytest.mark.parametrize("body", FORGED_USAGE)
def test_a_cursor_of_usage_holds_a_number_of_its_own_order(body: bytes) -> None:
    sorting = build_sorting(kinds.PODS, (Order(CPU, descending=True),))
    whole = base64.urlsafe_b64encode(b'[1,"pods:CPU_CORES-",[1,"c","n","p"]]').decode()
    assert cut_page([], sorting, PageRequest(1, whole)).items == ()
    with pytest.raises(InvalidQuery):
        cut_page([], sorting, PageRequest(1, base64.urlsafe_b64encode(body).decode()))


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_text_is_a_refused_cursor(cursor: str) -> None:
    with pytest.raises(InvalidQuery):
        cut_page([], build_sorting(kinds.PODS, ()), PageRequest(1, cursor))


def test_nodes_are_paged_by_their_own_columns() -> None:
    nodes: list[Node] = [build_node_record("c1", name, created_at=at) for name, at in (("a", 2.0), ("b", 1.0))]
    page = cut_page(nodes, build_sorting(kinds.NODES, (Order(NodeColumn.CREATED_AT),)), PageRequest(1))
    assert [node.name for node in page.items] == ["b"]
    with pytest.raises(InvalidQuery, match="RESTARTS"):
        build_sorting(kinds.NODES, (Order(PodColumn.RESTARTS),))
