"""What can be ordered and bounded by: values of usage, and bounds of them."""

import math
from itertools import compress

import pytest
from msgspec.structs import replace

from fleet.model.errors import InvalidQuery
from fleet.model.objects import NO_RESOURCES, Node, Pod, Resources
from fleet.model.ranking import (
    NODE_BASES,
    POD_BASES,
    PercentOf,
    UsageBound,
    UsageColumn,
    UsageField,
    build_bound,
    build_column,
    build_reader,
    keep_within,
    node_bases,
    percent,
    pod_bases,
)
from fleet.model.usage import Measure, Usage
from tests.fakes.records import build_node_record, build_pod_record

USAGE = Usage(
    time_ns=1,
    cpu_cores=0.3,
    memory_bytes=300,
    fs_used_bytes=7,
    network_receive_bytes_per_second=1.5,
    network_transmit_bytes_per_second=2.5,
)
POD = replace(
    build_pod_record("c1", "x", "p", requests=Resources(cpu_cores=0.1, memory_bytes=1000)),
    limits=Resources(cpu_cores=0.7),
)
NODE = replace(
    build_node_record("c1", "n"),
    allocatable=Resources(cpu_cores=2.0, memory_bytes=0),
    capacity=Resources(cpu_cores=4.0, memory_bytes=1200),
)
CPU = build_column(UsageField.CPU_CORES)


def read(column: UsageColumn, entry: Pod | Node, usage: Usage | None) -> float | None:
    value: float | None = build_reader(column, POD_BASES if entry is POD else NODE_BASES)([entry], [usage])[0]
    return value


EACH_FIELD = [
    (UsageField.CPU_CORES, Measure.CPU_CORES, 0.3),
    (UsageField.MEMORY_BYTES, Measure.MEMORY_BYTES, 300),
    (UsageField.FS_USED_BYTES, Measure.FS_USED_BYTES, 7),
    (UsageField.NETWORK_RECEIVE_BYTES_PER_SECOND, Measure.NETWORK_RECEIVE_BYTES, 1.5),
    (UsageField.NETWORK_TRANSMIT_BYTES_PER_SECOND, Measure.NETWORK_TRANSMIT_BYTES, 2.5),
    (UsageField.CPU_PERCENT, Measure.CPU_CORES, 0.3 / 0.7 * 100),
    (UsageField.MEMORY_PERCENT, Measure.MEMORY_BYTES, None),
]


def test_each_field_has_its_measure_and_its_value() -> None:
    assert {field for field, _, _ in EACH_FIELD} == set(UsageField)
    for field, measure, value in EACH_FIELD:
        assert (field.measure, read(build_column(field), POD, USAGE)) == (measure, value)


@pytest.mark.parametrize("field", UsageField)
def test_without_usage_there_is_no_value(field: UsageField) -> None:
    assert read(build_column(field), POD, None) is None
    assert read(build_column(field), POD, Usage(time_ns=1)) is None
    assert read(build_column(field), NODE, None) is None


@pytest.mark.parametrize("of", [None, *PercentOf])
@pytest.mark.parametrize(
    ("field", "amount"), [(UsageField.CPU_PERCENT, "cpu_cores"), (UsageField.MEMORY_PERCENT, "memory_bytes")]
)
def test_percentages_are_those_that_are_printed(field: UsageField, amount: str, of: PercentOf | None) -> None:
    column = build_column(field, of)
    shares: list[tuple[float | None, dict[PercentOf, Resources]]] = [
        (read(column, POD, USAGE), pod_bases(POD)),
        (read(column, NODE, USAGE), node_bases(NODE.allocatable, NODE.capacity)),
    ]
    for share, bases in shares:
        whole = getattr(bases.get(of or PercentOf.LIMIT, NO_RESOURCES), amount)
        assert share == percent(getattr(USAGE, amount), whole)


@pytest.mark.parametrize(
    ("part", "whole", "share"),
    [(1, 4, 25.0), (3, 2, 150.0), (0, 2, 0.0), (1, 0, None), (1, None, None), (None, 1, None)],
)
def test_percent(part: float | None, whole: float | None, share: float | None) -> None:
    assert percent(part, whole) == share


def test_a_percentage_is_of_the_limit_where_nothing_is_said() -> None:
    assert build_column(UsageField.CPU_PERCENT) == build_column(UsageField.CPU_PERCENT, PercentOf.LIMIT)
    with pytest.raises(InvalidQuery, match="belongs to CPU_PERCENT and MEMORY_PERCENT"):
        build_column(UsageField.MEMORY_BYTES, PercentOf.LIMIT)


@pytest.mark.parametrize(
    ("bound", "within"),
    [
        (build_bound(CPU, gt=2), {3}),
        (build_bound(CPU, gte=2), {2, 3}),
        (build_bound(CPU, lt=2), {0, 1}),
        (build_bound(CPU, lte=2), {0, 1, 2}),
        (build_bound(CPU, gte=2, lte=2), {2}),
        (build_bound(CPU, gt=0, lt=3), {1, 2}),
        (build_bound(CPU, gt=-1, gte=1), {1, 2, 3}),
        (build_bound(CPU, gt=3), set()),
    ],
)
def test_bounds(bound: UsageBound, within: set[float]) -> None:
    values: list[float | None] = [0, 1, 2, 3, None]
    assert {*compress(values, bound.bounds.matches(values))} == within


def test_all_bounds_hold() -> None:
    amounts = {f"p{cores}": Usage(time_ns=1, cpu_cores=cores, memory_bytes=10 - cores) for cores in range(10)}
    pods = [build_pod_record("c1", "x", name) for name in (*amounts, "unmeasured")]
    bounds = [build_bound(CPU, gte=3), build_bound(build_column(UsageField.MEMORY_BYTES), gt=4)]
    kept, usages = keep_within(pods, [amounts.get(pod.name) for pod in pods], bounds, POD_BASES)
    assert [pod.name for pod in kept] == ["p3", "p4", "p5"]
    assert usages == [amounts[pod.name] for pod in kept]


@pytest.mark.parametrize(
    "ends",
    [
        {},
        {"gt": math.nan},
        {"lte": math.inf},
        {"gt": 2, "lt": 1},
        {"gte": 2, "lte": 1},
        {"gt": 1, "lte": 1},
        {"gte": 1, "lt": 1},
        {"gt": 1, "gte": 0, "lte": 1},
    ],
)
def test_a_bound_that_nothing_is_within_is_refused(ends: dict[str, float]) -> None:
    with pytest.raises(InvalidQuery, match="CPU_CORES"):
        build_bound(CPU, **ends)
