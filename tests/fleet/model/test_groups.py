"""Groups and their sums, held against a plain computation."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.model.errors import InvalidQuery
from fleet.model.groups import (
    MAX_GROUPS,
    NODE_SUMS,
    PIECE,
    POD_SUMS,
    Group,
    GroupBy,
    Grouping,
    NodeGroupField,
    PodGroupField,
    Values,
    usage_sum,
)
from fleet.model.objects import NO_RESOURCES, Node, Pod, PodPhase, Resources
from fleet.model.usage import ALL_MEASURES, Usage
from tests.fleet.model.records import NODE, POD

PODS = st.builds(
    lambda **changed: replace(POD, **changed),
    namespace=st.sampled_from(["ops", "shop"]),
    node_name=st.sampled_from(["n1", None]),
    phase=st.sampled_from(PodPhase),
    labels=st.sampled_from([(), (("app", ""),), (("app", "web"), ("tier", "a"))]),
    images=st.sampled_from([(), ("a",), ("a", "b", "a")]),
    ready_containers=st.integers(0, 1),
    restarts=st.integers(0, 2**31 - 1),
    requests=st.builds(Resources, cpu_cores=st.sampled_from([None, 0.1, 2.0]), memory_bytes=st.none() | st.just(7)),
)
USAGES = st.none() | st.builds(Usage, time_ns=st.integers(1, 9), memory_bytes=st.integers(0, 99))


def group(
    by: list[GroupBy], pods: list[Pod], usages: list[Usage | None] | None = None, piece: int = 3
) -> list[Group[Pod]]:
    grouping = Grouping[Pod](by, {**POD_SUMS, "usage": usage_sum(ALL_MEASURES)}, {})
    for start in range(0, len(pods), piece):
        grouping.add(pods[start : start + piece], (usages or [])[start : start + piece])
    return [*grouping.finish()]


def added(values: list[float | None]) -> float | None:
    said = [value for value in values if value is not None]
    return round(sum(said), 9) if said else None


@given(st.lists(st.tuples(PODS, USAGES), max_size=12))
def test_sums_are_those_of_the_pods_of_each_group(measured: list[tuple[Pod, Usage | None]]) -> None:
    expected: dict[Values, list[tuple[Pod, Usage | None]]] = defaultdict(list)
    for pod, usage in measured:
        for image in {*pod.images} or (None,):
            expected[pod.namespace, pod.node_name, image, dict(pod.labels).get("app")].append((pod, usage))
    by: list[GroupBy] = [PodGroupField.NAMESPACE, PodGroupField.NODE, PodGroupField.IMAGE, "app"]
    found = group(by, [pod for pod, _ in measured], [usage for _, usage in measured])
    assert {each.values for each in found} == expected.keys()
    for each in found:
        pods, usages = zip(*expected[each.values], strict=True)
        running = [pod.requests for pod in pods if not pod.finished]
        known = [usage for usage in usages if usage is not None]
        assert each.count == len(pods)
        assert each.ready_count == sum(pod.ready_containers == pod.total_containers for pod in pods)
        assert each.restarts == sum(pod.restarts for pod in pods)
        assert each.requests.cpu_cores == added([amounts.cpu_cores for amounts in running])
        assert each.requests.memory_bytes == added([amounts.memory_bytes for amounts in running])
        assert (each.usage and each.usage.memory_bytes) == added([usage.memory_bytes for usage in known])
        assert (each.usage and each.usage.time_ns) == min((usage.time_ns for usage in known), default=None)


def test_a_large_group_is_summed_in_pieces() -> None:
    pods = [replace(POD, requests=Resources(cpu_cores=0.1))] * (PIECE + 1)
    (found,) = group([PodGroupField.CLUSTER], [*pods, replace(POD, phase=PodPhase.FAILED)], piece=PIECE)
    assert len(list(found.add_up("requests"))) == 2
    assert found.requests == Resources(cpu_cores=(PIECE + 1) / 10)
    assert list(found.add_up("requests")) == []


def test_extended_resources_are_in_the_sums() -> None:
    pods = [replace(POD, requests=Resources(extended=(("gpu", 2),)))] * 3 + [
        replace(POD, requests=Resources(extended=(("disk", 1), ("gpu", 1))))
    ]
    (found,) = group([PodGroupField.CLUSTER], pods)
    assert found.requests == Resources(extended=(("disk", 1), ("gpu", 7)))


def test_a_group_of_finished_pods_asks_for_nothing() -> None:
    (found,) = group([PodGroupField.CLUSTER], [replace(POD, phase=PodPhase.FAILED, requests=Resources(cpu_cores=1.0))])
    assert (found.count, found.requests, found.limits, found.usage) == (1, NO_RESOURCES, NO_RESOURCES, None)


def test_a_node_counts_in_each_of_its_roles() -> None:
    grouping = Grouping[Node]([NodeGroupField.ROLE], NODE_SUMS, {})
    grouping.add([replace(NODE, roles=("worker", "gpu")), NODE, replace(NODE, roles=("gpu",), ready=False)], ())
    found = {each.values: (each.count, each.ready_count) for each in grouping.finish()}
    assert found == {("worker",): (1, 1), ("gpu",): (2, 1), (None,): (1, 1)}


def test_too_many_groups_say_what_would_be_right() -> None:
    pods = [replace(POD, node_name=f"n{number}") for number in range(MAX_GROUPS + 1)]
    with pytest.raises(InvalidQuery, match=r"more than 10,000 groups: group by what fewer objects differ in"):
        group([PodGroupField.NODE], pods, piece=5_000)
    assert len(group([PodGroupField.NODE], pods[1:], piece=5_000)) == MAX_GROUPS
