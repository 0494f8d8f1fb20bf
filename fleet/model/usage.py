"""Values of usage and its history: what a metric store answers.

Units: cores, bytes, bytes per second; times are Unix nanoseconds (int), as InfluxDB keeps them.
"""

import enum
from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import Struct

from fleet.model.told import tell

K = TypeVar("K")
V = TypeVar("V")

NANOSECONDS = 1_000_000_000


class Measure(enum.Enum):
    """What is measured of a pod or a node. NETWORK_* are stored as counters of bytes and answered as rates."""

    CPU_CORES = "cpu_cores"
    MEMORY_BYTES = "memory_bytes"
    MEMORY_USAGE_BYTES = "memory_usage_bytes"
    MEMORY_AVAILABLE_BYTES = "memory_available_bytes"
    FS_USED_BYTES = "fs_used_bytes"
    FS_CAPACITY_BYTES = "fs_capacity_bytes"
    FS_AVAILABLE_BYTES = "fs_available_bytes"
    NETWORK_RECEIVE_BYTES = "network_receive_bytes"
    NETWORK_TRANSMIT_BYTES = "network_transmit_bytes"

    # Members are themselves and nothing else; the hash of an Enum is of its name, in Python, and these key every value.
    __hash__ = object.__hash__

    @property
    def is_counter(self) -> bool:
        """Whether stored values only ever grow (until a reset) and answers are their rate."""
        return self in (Measure.NETWORK_RECEIVE_BYTES, Measure.NETWORK_TRANSMIT_BYTES)

    @property
    def usage_field(self) -> str:
        """The name of its value in `Usage`."""
        return f"{self.value}_per_second" if self.is_counter else self.value


ALL_MEASURES = frozenset(Measure)


class Aggregate(enum.Enum):
    """How the points of one step become one value. Percentiles are nearest-rank over the points of the step."""

    MEAN = "MEAN"
    MIN = "MIN"
    MAX = "MAX"
    LAST = "LAST"
    P50 = "P50"
    P95 = "P95"
    P99 = "P99"

    __hash__ = object.__hash__


class Kind(enum.Enum):
    """Which objects a metric question is about."""

    POD = "pod"
    NODE = "node"

    __hash__ = object.__hash__  # as that of measures


class Point(Struct, frozen=True, gc=False):
    """One stored point of one object, as it was measured: counters are counters. Absent values are None.

    `node` is the node tag: for a pod, where it ran then.
    """

    time_ns: int
    cpu_cores: float | None = None
    memory_bytes: int | None = None
    memory_usage_bytes: int | None = None
    memory_available_bytes: int | None = None
    fs_used_bytes: int | None = None
    fs_capacity_bytes: int | None = None
    fs_available_bytes: int | None = None
    network_receive_bytes: int | None = None
    network_transmit_bytes: int | None = None
    node: str | None = None


class Usage(Struct, frozen=True, gc=False):
    """The newest usage of one object. Measures that were not asked for, or are not stored, are None.

    Network rates are taken between the two newest points and None where there is only one, or the counter was reset.
    """

    time_ns: int
    cpu_cores: float | None = None
    memory_bytes: int | None = None
    memory_usage_bytes: int | None = None
    memory_available_bytes: int | None = None
    fs_used_bytes: int | None = None
    fs_capacity_bytes: int | None = None
    fs_available_bytes: int | None = None
    network_receive_bytes_per_second: float | None = None
    network_transmit_bytes_per_second: float | None = None


class TimeRange(Struct, frozen=True, gc=False):
    """A span of time cut into steps: [start, end), step i is [start + i*step, start + (i+1)*step).

    `start_ns` is a multiple of `step_ns` so that the same question a moment later has the same steps, and the last step
    is the one that holds the asked-for end.
    """

    start_ns: int
    end_ns: int
    step_ns: int

    @property
    def steps(self) -> int:
        return -((self.start_ns - self.end_ns) // self.step_ns)

    def times_ns(self) -> list[int]:
        return [self.start_ns + index * self.step_ns for index in range(self.steps)]


Column = tuple[Measure, Aggregate]


class History(Struct, frozen=True, gc=False):
    """Columns of one object over a time range: each has `time_range.steps` values, None where a step has no point.

    A counter's column is its rate in units per second: the increase within the step and from the last point before it,
    resets taken as a start from zero. `resolution_ns` is the length of the spans that the values are made of: the
    distance of stored points, or what points were rolled up to.
    """

    time_range: TimeRange
    columns: Mapping[Column, list[float | None]]
    resolution_ns: int = 0


class UsageList(list[Usage | None]):
    """Usages in step with objects; `problems` as of `Measured`."""

    problems: Mapping[str, str] = {}


class Measured(dict[K, V]):
    """What a store answers of objects, and of which clusters that may not be all: `problems` says why, by cluster."""

    def __init__(self, found: Mapping[K, V], problems: Mapping[str, str]) -> None:
        super().__init__(found)
        self.problems = problems


def find_problems(found: Mapping[Any, Any]) -> Mapping[str, str]:
    """Why something may be missing of what a store answered, by cluster; of most answers nothing may be."""
    if not isinstance(found, Measured):
        return {}
    return {name: tell("measurements of {} are missing: {}", name, why) for name, why in found.problems.items()}
