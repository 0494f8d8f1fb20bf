"""One pod passes a filter's test exactly if the filter's own search finds it: lists and subscriptions agree."""

import pytest

from fleet.cache.store import build_store
from fleet.model import kinds
from fleet.model.bounds import build_bounds
from fleet.model.objects import PodPhase
from fleet.model.queries import NameFilter, PodFilter
from fleet.model.selectors import parse_label_selector, parse_pod_field_selector
from fleet.model.visibility import Role, Scope
from fleet.reads.filtering import MemberFilter
from tests.fakes.records import build_pod_record

PODS = [
    build_pod_record(
        cluster="c1",
        namespace=("shop", "ops")[number % 2],
        name=f"p{number}",
        node=("n1", "n2", None)[number % 3],
        phase=(PodPhase.RUNNING, PodPhase.PENDING)[number % 2],
        labels=(("app", f"a{number % 3}"), *((("tier", "front"),) if number % 4 else ())),
    )
    for number in range(24)
]
EVERYWHERE, SHOP_ONLY = Scope(Role.VIEW), Scope(Role.VIEW, namespaces=("sh*",))
PROD = parse_label_selector("env=prod")
FILTERS = {
    "all": PodFilter(),
    "a label": PodFilter(labels=parse_label_selector("app=a1")),
    "labels": PodFilter(labels=parse_label_selector("app in (a0, a2), tier!=front")),
    "a label that is not there": PodFilter(labels=parse_label_selector("!tier")),
    "namespaces": PodFilter(namespaces=frozenset({"shop"})),
    "nodes and a label": PodFilter(nodes=frozenset({"n1"}), labels=parse_label_selector("app=a0")),
    "a phase": PodFilter(phases=frozenset({PodPhase.PENDING})),
    "names": PodFilter(name=NameFilter(starts_with="p1")),
    "a name in namespaces": PodFilter(namespaces=frozenset({"shop", "ops"}), name=NameFilter(eq="p3")),
    "fields": PodFilter(fields=parse_pod_field_selector("spec.nodeName=n2,metadata.namespace!=ops")),
    "another cluster": PodFilter(clusters=frozenset({"c2"})),
    "the clusters of a label": PodFilter(cluster_labels=PROD, labelled=frozenset({"c1", "c2"})),
    "another cluster of a label": PodFilter(cluster_labels=PROD, labelled=frozenset({"c2"})),
    "a cluster that has not the label": PodFilter(
        clusters=frozenset({"c1"}), cluster_labels=PROD, labelled=frozenset({"c2"})
    ),
    "labels nobody looked at": PodFilter(cluster_labels=PROD),
    "not the clusters of a label": PodFilter(excluded=PodFilter(cluster_labels=PROD, labelled=frozenset({"c1"}))),
    "any of the clusters of a label": PodFilter(
        any_of=(PodFilter(cluster_labels=PROD, labelled=frozenset({"c1"})), PodFilter(nodes=frozenset({"n2"})))
    ),
    "nothing": PodFilter(namespaces=frozenset()),
    "not nodes": PodFilter(excluded=PodFilter(nodes=frozenset({"n1"}))),
    "not a label in a namespace": PodFilter(
        namespaces=frozenset({"shop"}), excluded=PodFilter(labels=parse_label_selector("tier"))
    ),
    "any of": PodFilter(
        labels=parse_label_selector("app=a0"),
        any_of=(PodFilter(namespaces=frozenset({"ops"})), PodFilter(nodes=frozenset({"n2"}))),
    ),
    "any of none": PodFilter(any_of=()),
    "an age": PodFilter(age=build_bounds("age", gt=1)),
}


@pytest.mark.parametrize("scope", [EVERYWHERE, SHOP_ONLY], ids=["everywhere", "shop"])
@pytest.mark.parametrize("wanted", FILTERS.values(), ids=FILTERS.keys())
def test_a_pod_passes_exactly_if_it_is_found(wanted: PodFilter, scope: Scope) -> None:
    store = build_store(kinds.PODS)
    for pod in PODS:
        store.put(pod)
    asked = wanted.asked is None or "c1" in wanted.asked  # members that are not named are not searched

    filtering = MemberFilter(kinds.PODS, wanted, scope)
    found = {pod.name for pod in filtering.find(store, "c1")} if asked else set()

    assert {pod.name for pod in PODS if filtering.matches(pod)} == found


def test_what_has_filters_inside_is_found_in_pieces() -> None:
    """Fewer objects at a time where there are more conditions, and all at a stretch where there are none."""
    store = build_store(kinds.PODS)
    for number in range(5_000):
        store.put(build_pod_record(cluster="c1", namespace="shop", name=f"p{number}"))

    def count_steps(wanted: PodFilter) -> int:
        steps = MemberFilter(kinds.PODS, wanted, EVERYWHERE).scan(store, "c1")
        return sum(1 for _ in steps)

    few = PodFilter(name=NameFilter(contains="p"), ready=True)
    assert count_steps(few) == 0
    assert count_steps(PodFilter(age=build_bounds("age", gt=1))) == 2
    assert 0 < count_steps(PodFilter(excluded=few)) < 10
    assert count_steps(PodFilter(any_of=(few,) * 50)) > 100
    assert count_steps(PodFilter(labels=parse_label_selector(",".join(f"!k{n}" for n in range(10))))) == 0
    assert count_steps(PodFilter(labels=parse_label_selector(",".join(f"!k{n}" for n in range(1_000))))) > 1_000
    terms = ",".join(f"metadata.name!=k{n}" for n in range(500))
    assert count_steps(PodFilter(fields=parse_pod_field_selector(terms))) > 500
