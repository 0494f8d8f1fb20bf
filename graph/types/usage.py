"""Usage now, and its history as columns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import strawberry

from fleet.model import objects as models
from fleet.model import usage
from fleet.model.ranking import percent
from fleet.model.usage import NANOSECONDS, Measure
from graph.enums import Aggregate, PercentOf
from graph.scalars import BigInt, DateTime, Duration, from_nanoseconds
from graph.types.fields import of_model, resolved
from graph.types.views import View

Bases = Callable[[], Mapping[PercentOf, models.Resources]]
"""What percentages of one object can be of, found when one is asked for."""


def _read_time(self: "Usage") -> DateTime:
    return from_nanoseconds(self.model.time_ns)


def _read_times(found: Sequence[usage.Usage]) -> list[DateTime]:
    return [from_nanoseconds(each.time_ns) for each in found]


_TIME: Any = resolved("When it was measured.", column=_read_times)(_read_time)


@strawberry.type(
    description="The newest usage of a pod, a node, a cluster or a group. A measure that is not stored is null."
)
class Usage(View[usage.Usage]):
    """A view of `fleet.model.usage.Usage`."""

    model: strawberry.Private[usage.Usage]
    bases: strawberry.Private[Bases]
    time: DateTime = _TIME
    cpu_cores: float | None = of_model("CPU in cores.")
    memory_bytes: BigInt | None = of_model(
        "Memory in bytes: the working set, which cannot be reclaimed under pressure."
    )
    memory_usage_bytes: BigInt | None = of_model("Memory in bytes, with all caches.")
    memory_available_bytes: BigInt | None = of_model("Memory in bytes that is left.")
    fs_used_bytes: BigInt | None = of_model("Bytes used of the file system.")
    fs_capacity_bytes: BigInt | None = of_model("Size of the file system in bytes.")
    fs_available_bytes: BigInt | None = of_model("Bytes left on the file system.")
    network_receive_bytes_per_second: float | None = of_model("Bytes per second received, over the two newest points.")
    network_transmit_bytes_per_second: float | None = of_model("Bytes per second sent, over the two newest points.")

    @classmethod
    def from_model(cls, model: usage.Usage, bases: Bases) -> Self:
        """The view of it; `bases` gives the amounts of the object it belongs to."""
        return cls(model=model, bases=bases)

    @resolved("CPU in percent (0 to 100 and more); null where there is nothing to be of.")
    def cpu_percent(self, of: PercentOf | None = PercentOf.LIMIT) -> float | None:
        base = self.bases().get(of or PercentOf.LIMIT, models.NO_RESOURCES)
        return percent(self.model.cpu_cores, base.cpu_cores)

    @resolved("Memory in percent (the working set; 0 to 100 and more); null where there is nothing to be of.")
    def memory_percent(self, of: PercentOf | None = PercentOf.LIMIT) -> float | None:
        base = self.bases().get(of or PercentOf.LIMIT, models.NO_RESOURCES)
        return percent(self.model.memory_bytes, base.memory_bytes)


def _column(measure: Measure, description: str) -> Any:
    def read(self: "UsageHistory", aggregate: Aggregate | None = Aggregate.MEAN) -> list[float | None]:
        return self.model.columns.get((measure, aggregate or Aggregate.MEAN)) or [None] * self.model.time_range.steps

    return strawberry.field(resolver=read, description=f"{description} One value a step; null is a gap.")


@strawberry.type(description="History as columns, ready for a chart: each has one value for each of `times`.")
class UsageHistory:
    """A view of `fleet.model.usage.History`."""

    model: strawberry.Private[usage.History]
    start: DateTime = strawberry.field(description="Start of the first step.")
    end: DateTime = strawberry.field(description="End of the span; the last step holds it.")
    step: Duration = strawberry.field(description="Length of a step.")
    resolution: Duration = strawberry.field(
        description="Length of the spans of time that the values are made of: the usual distance of stored points, or "
        "what these were rolled up to. Of a sum it is that of its coarsest part."
    )

    cpu_cores: list[float | None] = _column(Measure.CPU_CORES, "CPU in cores.")
    memory_bytes: list[float | None] = _column(Measure.MEMORY_BYTES, "Memory in bytes: the working set.")
    memory_usage_bytes: list[float | None] = _column(Measure.MEMORY_USAGE_BYTES, "Memory in bytes, with all caches.")
    memory_available_bytes: list[float | None] = _column(
        Measure.MEMORY_AVAILABLE_BYTES, "Memory in bytes that is left."
    )
    fs_used_bytes: list[float | None] = _column(Measure.FS_USED_BYTES, "Bytes used of the file system.")
    fs_capacity_bytes: list[float | None] = _column(Measure.FS_CAPACITY_BYTES, "Size of the file system in bytes.")
    fs_available_bytes: list[float | None] = _column(Measure.FS_AVAILABLE_BYTES, "Bytes left on the file system.")
    network_receive_bytes_per_second: list[float | None] = _column(
        Measure.NETWORK_RECEIVE_BYTES, "Bytes per second received."
    )
    network_transmit_bytes_per_second: list[float | None] = _column(
        Measure.NETWORK_TRANSMIT_BYTES, "Bytes per second sent."
    )

    @classmethod
    def from_model(cls, model: usage.History) -> Self:
        time_range = model.time_range
        return cls(
            model=model,
            start=from_nanoseconds(time_range.start_ns),
            end=from_nanoseconds(time_range.end_ns),
            step=Duration(time_range.step_ns / NANOSECONDS),
            resolution=Duration(model.resolution_ns / NANOSECONDS),
        )

    @resolved("Start of each step.")
    def times(self) -> list[DateTime]:
        return [from_nanoseconds(time) for time in self.model.time_range.times_ns()]
