"""Usage in the demo: made up, but never absurd."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.feeder import HISTORY_SECONDS, build_past, choose_spacing
from demo.simulator.usage import build_node_point, build_pod_point
from fleet.model.objects import NodeKey, PodKey, Resources
from fleet.model.usage import NANOSECONDS, Point
from tests.fakes.records import build_node_record, build_pod_record

NOW = 1_800_000_000 * NANOSECONDS
LIMITS = Resources(cpu_cores=0.5, memory_bytes=256 << 20)
names = st.text("abcdefghij-0123456789", min_size=1, max_size=20)
moments = st.integers(NOW, NOW + 400 * 86_400 * NANOSECONDS)


def pod_point(name: str, time_ns: int) -> Point:
    """A pod's point under LIMITS."""
    return build_pod_point(
        PodKey("cluster1", "default", name), time_ns, limits=LIMITS, requests=Resources(), node="kube1-worker1"
    )


@given(names, moments)
def test_a_pod_stays_within_its_limits(name: str, time_ns: int) -> None:
    point = pod_point(name, time_ns)

    assert 0 < (point.cpu_cores or 0) < 0.5
    assert 0 < (point.memory_bytes or 0) < 256 << 20
    assert point.fs_used_bytes is not None
    assert point.fs_used_bytes + (point.fs_available_bytes or 0) == point.fs_capacity_bytes


@given(names, moments, st.integers(NANOSECONDS, 3600 * NANOSECONDS))
def test_network_counters_only_grow(name: str, time_ns: int, later_ns: int) -> None:
    before, after = pod_point(name, time_ns), pod_point(name, time_ns + later_ns)

    assert 0 <= (before.network_receive_bytes or 0) < (after.network_receive_bytes or 0)
    assert 0 <= (before.network_transmit_bytes or 0) < (after.network_transmit_bytes or 0)


def test_the_same_pod_at_the_same_time_uses_the_same() -> None:
    assert pod_point("web-1", NOW) == pod_point("web-1", NOW)
    assert pod_point("web-1", NOW) != pod_point("web-2", NOW)


def test_usage_moves_from_one_delivery_to_the_next() -> None:
    cpu = [pod_point("web-1", NOW + seconds * NANOSECONDS).cpu_cores for seconds in range(0, 60, 5)]

    assert all(before != after for before, after in itertools.pairwise(cpu))


def test_a_node_uses_what_its_pods_use_and_a_little_more() -> None:
    pods = [pod_point(f"web-{number}", NOW) for number in range(10)]

    point = build_node_point(
        NodeKey("cluster1", "n"), NOW, capacity=Resources(cpu_cores=8.0, memory_bytes=32 << 30), pods=pods
    )

    assert 0 < (point.cpu_cores or 0) - sum(pod.cpu_cores or 0 for pod in pods) < 0.4
    assert (point.memory_bytes or 0) > sum(pod.memory_bytes or 0 for pod in pods)


def test_the_past_of_a_pod_begins_when_it_was_created() -> None:
    now = NOW // NANOSECONDS
    old = build_pod_record("cluster1", "default", "old", created_at=now - 10 * HISTORY_SECONDS)
    young = build_pod_record("cluster1", "default", "young", created_at=now - 60.0)

    past = list(build_past([old, young], [build_node_record("cluster1", "n1")], NOW, 10))

    names_seen = [key.name for delivery in past for key, _ in delivery.pods]
    assert names_seen.count("old") == len(past) == HISTORY_SECONDS // 10 + 1
    assert names_seen.count("young") == 7
    assert past[-1].pods[0][1].time_ns <= NOW


@pytest.mark.parametrize(("objects", "spacing"), [(10, 10), (309, 10), (1_000, 24), (100_000, 2_400)])
def test_many_objects_get_a_coarser_past(objects: int, spacing: int) -> None:
    assert choose_spacing(objects) == spacing
