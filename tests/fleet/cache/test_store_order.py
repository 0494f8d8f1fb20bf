"""Stores keep what they hold in order, and find it by its labels, whatever came and went."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.cache.store import build_store
from fleet.model import kinds
from fleet.model.objects import Pod
from fleet.model.ordered import Ordered, position_of
from fleet.model.queries import PodFilter
from fleet.model.selectors import parse_label_selector
from fleet.model.visibility import EVERYTHING
from fleet.reads.filtering import MemberFilter
from tests.fakes.records import build_pod_record
from tests.fleet.cache.test_store import apply

# "a-b" sorts before "a/" as the API server's keys do, and behind "a" as names do.
NAMESPACES = st.sampled_from(["a", "a-b", "b"])
LABELS = st.sampled_from([(), (("app", "x"),), (("app", "x"), ("tier", "db")), (("app", "y"),), (("tier", "db"),)])
NODES = st.sampled_from([None, "n1", "n2"])


def build(namespace: str, name: str, labels: tuple[tuple[str, str], ...], node: str | None) -> Pod:
    version = f"{labels}{node}"  # an equal version means an equal object
    return build_pod_record("c1", namespace, name, labels=labels, node=node, version=version)


PODS = st.builds(build, NAMESPACES, st.text("abc", min_size=1, max_size=2), LABELS, NODES)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), PODS),
        st.tuples(st.just("discard"), PODS),
        st.tuples(st.just("replace"), st.lists(PODS)),
    )
)
SELECTORS = st.sampled_from(
    [
        "app=x",
        "app in (x,y)",
        "tier",
        "!tier",
        "app!=x",
        "app=x,tier=db",
        "app in (x,z),!tier",
        "app=z",
        "app notin (y)",
    ]
)


@given(STEPS)
def test_records_and_buckets_are_in_the_order_of_their_names(steps: list[tuple[str, Pod | list[Pod]]]) -> None:
    store = build_store(kinds.PODS)
    model: dict[tuple[str, str], Pod] = {}
    for step in steps:
        apply(store, model, step)
        assert store.all() == tuple(model[key] for key in sorted(model))
    for index in ("namespace", "node"):
        for value in store.values(index):
            found = store.select(index, value)
            assert found == sorted(found, key=position_of)
            assert len(found) == store.count(index, value)


@given(
    STEPS, SELECTORS, st.none() | st.frozensets(NAMESPACES), st.none() | st.frozensets(st.sampled_from(["n1", "n2"]))
)
def test_a_filter_selects_what_a_scan_would_in_order(
    steps: list[tuple[str, Pod | list[Pod]]], text: str, namespaces: frozenset[str] | None, nodes: frozenset[str] | None
) -> None:
    store = build_store(kinds.PODS)
    model: dict[tuple[str, str], Pod] = {}
    for step in steps:
        apply(store, model, step)
    selector = parse_label_selector(text)
    found = MemberFilter(kinds.PODS, PodFilter(namespaces=namespaces, nodes=nodes, labels=selector), EVERYTHING).find(
        store, "c1"
    )
    assert list(found) == [
        pod
        for _, pod in sorted(model.items())
        if selector.matches(pod.labels)
        and (namespaces is None or pod.namespace in namespaces)
        and (nodes is None or pod.node_name in nodes)
    ]


@given(st.lists(st.lists(PODS, unique_by=position_of), max_size=4), PODS)
def test_what_is_behind_a_place_is_what_sorts_after_it(lists: list[list[Pod]], place: Pod) -> None:
    every = Ordered([sorted((pod for part in lists for pod in part), key=position_of)])
    parts = [Ordered([list(every)[start : start + 3]]) for start in range(0, len(every), 3)]
    ordered = Ordered([list(part) for part in parts])
    assert list(ordered) == sorted(every, key=position_of)
    assert list(ordered.after(position_of(place))) == [pod for pod in every if position_of(pod) > position_of(place)]
    assert len(ordered) == len(every)
