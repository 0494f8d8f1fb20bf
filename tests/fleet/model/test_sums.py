"""Sums over a cluster's nodes, held against a plain computation."""

import math

from hypothesis import given
from hypothesis import strategies as st

from fleet.model.objects import Resources
from fleet.model.sums import sum_histories, sum_resources, sum_usages
from fleet.model.usage import NANOSECONDS, Aggregate, History, Measure, TimeRange, Usage

AMOUNTS = st.none() | st.integers(0, 2**50)
CORES = st.none() | st.integers(0, 10**12).map(lambda nanocores: nanocores / 10**9)
EXTENDED = st.dictionaries(st.sampled_from(("hugepages-2Mi", "nvidia.com/gpu", "x/y")), st.integers(0, 2**70))
RESOURCES = st.builds(
    Resources,
    cpu_cores=CORES,
    memory_bytes=AMOUNTS,
    ephemeral_storage_bytes=AMOUNTS,
    pods=st.integers(0, 500),
    extended=EXTENDED.map(lambda amounts: tuple(sorted(amounts.items()))),
)
USAGES = st.builds(
    Usage,
    time_ns=st.integers(0, 10**18),
    cpu_cores=CORES,
    memory_bytes=AMOUNTS,
    memory_usage_bytes=AMOUNTS,
    memory_available_bytes=AMOUNTS,
    fs_used_bytes=AMOUNTS,
    fs_capacity_bytes=AMOUNTS,
    fs_available_bytes=AMOUNTS,
    network_receive_bytes_per_second=st.none() | st.floats(0, 1e12),
    network_transmit_bytes_per_second=st.none() | st.floats(0, 1e12),
)
WINDOW = TimeRange(0, 3 * NANOSECONDS, NANOSECONDS)
PEAK, MEAN = (Measure.CPU_CORES, Aggregate.MAX), (Measure.MEMORY_BYTES, Aggregate.MEAN)


def is_sum(total: float | None, values: list[float | None]) -> bool:
    said = [value for value in values if value is not None]
    if not said or total is None:
        return total is None and not said
    return math.isclose(total, math.fsum(said), abs_tol=1e-8)


@given(st.lists(RESOURCES, min_size=1, max_size=8))
def test_resources_are_summed_over_those_that_say(parts: list[Resources]) -> None:
    total = sum_resources(parts)
    for name in Resources.__struct_fields__:
        if name != "extended":
            assert is_sum(getattr(total, name), [getattr(part, name) for part in parts]), name
    assert isinstance(total.pods, int)
    names = sorted({name for part in parts for name, _ in part.extended})
    assert total.extended == tuple((name, sum(dict(part.extended).get(name, 0) for part in parts)) for name in names)


def test_a_cluster_without_nodes_has_nothing_of_anything() -> None:
    assert sum_resources([]) == Resources(0.0, 0, 0, 0)
    assert sum_usages([]) is None
    assert sum_histories([]) is None


def test_cores_are_summed_without_the_noise_of_floats() -> None:
    assert sum_resources([Resources(cpu_cores=0.1)] * 3).cpu_cores == 0.3


@given(st.lists(USAGES, min_size=1, max_size=8))
def test_usage_is_summed_over_those_that_measured_and_as_old_as_the_oldest(parts: list[Usage]) -> None:
    total = sum_usages(parts)
    assert total is not None
    assert total.time_ns == min(part.time_ns for part in parts)
    for name in set(Usage.__struct_fields__) - {"time_ns"}:
        assert is_sum(getattr(total, name), [getattr(part, name) for part in parts]), name


def test_a_step_is_summed_over_the_parts_that_have_a_value_in_it() -> None:
    whole = History(WINDOW, {PEAK: [1.0, 2.0, None], MEAN: [10.0, 20.0, 30.0]})
    torn = History(WINDOW, {PEAK: [0.5, None, None], MEAN: [1.0, 2.0, 3.0]}, resolution_ns=15)
    total = sum_histories([whole, torn, whole])
    assert total == History(WINDOW, {PEAK: [2.5, 4.0, None], MEAN: [21.0, 42.0, 63.0]}, resolution_ns=15)


@given(st.lists(st.lists(st.lists(st.integers(0, 99), min_size=5, max_size=5), min_size=3, max_size=3), min_size=1))
def test_the_sum_of_peaks_is_no_less_than_the_peak_of_the_sum(parts: list[list[list[int]]]) -> None:
    """Each part has five points a step, at the same moments as the others."""
    peaks = [History(WINDOW, {PEAK: [float(max(step)) for step in part]}) for part in parts]
    total = sum_histories(peaks)
    assert total is not None
    for step, peak in enumerate(total.columns[PEAK]):
        moments = zip(*(part[step] for part in parts), strict=True)
        assert peak is not None
        assert peak >= max(sum(moment) for moment in moments)
