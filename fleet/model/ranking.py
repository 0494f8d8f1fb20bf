"""Usage as something to order and to bound by: which measure, percent of what, and its values for objects. Pure.

Many objects are ranked at once, so values are read as columns: lists that are in step with the objects they are of.

The graph prints percentages by the same arithmetic of the same amounts, so an order never differs from what is shown.
"""

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import compress
from typing import Any, cast

from msgspec import Struct

from fleet.model.bounds import Bounds, build_bounds
from fleet.model.errors import InvalidQuery
from fleet.model.objects import Pod, Resources, T
from fleet.model.usage import Measure, Usage
from fleet.model.workloads import Workload

Reader = Callable[[Sequence[T], Sequence[Usage | None]], list[Any]]
"""Reads a value of each object; usages are in step with the objects, None for one that has none."""


class UsageField(enum.Enum):
    """What objects can be ordered and bounded by. Units: cores, bytes, bytes per second, percent."""

    CPU_CORES = "CPU_CORES"
    MEMORY_BYTES = "MEMORY_BYTES"
    FS_USED_BYTES = "FS_USED_BYTES"
    NETWORK_RECEIVE_BYTES_PER_SECOND = "NETWORK_RECEIVE_BYTES_PER_SECOND"
    NETWORK_TRANSMIT_BYTES_PER_SECOND = "NETWORK_TRANSMIT_BYTES_PER_SECOND"
    CPU_PERCENT = "CPU_PERCENT"
    MEMORY_PERCENT = "MEMORY_PERCENT"

    @property
    def measure(self) -> Measure:
        """What has to be asked of a metric store."""
        return _MEASURES[self]

    @property
    def is_percent(self) -> bool:
        """Whether its values are shares of an amount that the object has."""
        return self in _AMOUNTS


_MEASURES: Mapping[UsageField, Measure] = {
    UsageField.CPU_CORES: Measure.CPU_CORES,
    UsageField.MEMORY_BYTES: Measure.MEMORY_BYTES,
    UsageField.FS_USED_BYTES: Measure.FS_USED_BYTES,
    UsageField.NETWORK_RECEIVE_BYTES_PER_SECOND: Measure.NETWORK_RECEIVE_BYTES,
    UsageField.NETWORK_TRANSMIT_BYTES_PER_SECOND: Measure.NETWORK_TRANSMIT_BYTES,
    UsageField.CPU_PERCENT: Measure.CPU_CORES,
    UsageField.MEMORY_PERCENT: Measure.MEMORY_BYTES,
}
_AMOUNTS = {UsageField.CPU_PERCENT: "cpu_cores", UsageField.MEMORY_PERCENT: "memory_bytes"}
_AMOUNT = "usage and usage.{amount}"
_SHARE = (
    "usage.{amount} / whole * 100.0"
    " if usage and (whole := entry.{base}.{amount}) and usage.{amount} is not None else None"
)


class PercentOf(enum.Enum):
    """What a percentage is of. What an object does not have, such as a node's request, makes no percentage."""

    LIMIT = "LIMIT"
    REQUEST = "REQUEST"
    ALLOCATABLE = "ALLOCATABLE"
    CAPACITY = "CAPACITY"


POD_BASES = {PercentOf.LIMIT: "limits", PercentOf.REQUEST: "requests"}
NODE_BASES = {
    PercentOf.LIMIT: "allocatable",  # what its pods may use at most
    PercentOf.ALLOCATABLE: "allocatable",
    PercentOf.CAPACITY: "capacity",
}


def pod_bases(pod: Pod | Workload) -> dict[PercentOf, Resources]:
    """What percentages of the usage of a pod, or of a workload's pods together, can be of."""
    return {of: getattr(pod, name) for of, name in POD_BASES.items()}


def node_bases(allocatable: Resources, capacity: Resources) -> dict[PercentOf, Resources]:
    """What percentages of the usage of a node, or of a cluster's nodes together, can be of."""
    amounts = {"allocatable": allocatable, "capacity": capacity}
    return {of: amounts[name] for of, name in NODE_BASES.items()}


def percent(part: float | None, whole: float | None) -> float | None:
    """A share in percent, 0 to 100 and more; None where there is nothing to be of."""
    return part / whole * 100 if part is not None and whole else None


class UsageColumn(Struct, frozen=True):
    """One value of an object's usage; `percent_of` is set for percentages, and for nothing else."""

    field: UsageField
    percent_of: PercentOf | None = None

    @property
    def name(self) -> str:
        """How messages and cursors name it."""
        return self.field.value if self.percent_of is None else f"{self.field.value} of {self.percent_of.value}"


class UsageBound(Struct, frozen=True):
    """Bounds of one value. An object without the value is never within them."""

    column: UsageColumn
    bounds: Bounds


def build_column(field: UsageField, percent_of: PercentOf | None = None) -> UsageColumn:
    """The value that is asked for; percentages are of the LIMIT where nothing is said. Raises InvalidQuery."""
    if field.is_percent:
        return UsageColumn(field, percent_of or PercentOf.LIMIT)
    if percent_of is not None:
        percentages = " and ".join(other.value for other in UsageField if other.is_percent)
        raise InvalidQuery(f"`percentOf` belongs to {percentages}, not to {field.value}: leave it out")
    return UsageColumn(field)


def build_bound(
    column: UsageColumn,
    *,
    gt: float | None = None,
    gte: float | None = None,
    lt: float | None = None,
    lte: float | None = None,
) -> UsageBound:
    """A bound that something can be within. Raises InvalidQuery."""
    return UsageBound(column, build_bounds(column.name, gt=gt, gte=gte, lt=lt, lte=lte))


def keep_within(
    objects: Sequence[T],
    usages: Sequence[Usage | None],
    bounds: Iterable[UsageBound],
    bases: Mapping[PercentOf, str],
) -> tuple[Sequence[T], Sequence[Usage | None]]:
    """The objects that are within all bounds, and their usages; `bases` as in `build_reader`."""
    for bound in bounds:
        within = bound.bounds.matches(build_reader(bound.column, bases)(objects, usages))
        objects, usages = list(compress(objects, within)), list(compress(usages, within))
    return objects, usages


def build_reader(column: UsageColumn, bases: Mapping[PercentOf, str]) -> Reader[Any]:
    """What reads a column of objects; `bases` name the amounts that its percentages can be of."""
    amount = _AMOUNTS.get(column.field, column.field.value.lower())
    if column.percent_of is None:
        return _compile(_AMOUNT.format(amount=amount))
    base = bases.get(column.percent_of)
    return _compile("None" if base is None else _SHARE.format(amount=amount, base=base))


@lru_cache
def _compile(value: str) -> Reader[Any]:
    """What `value` is for each object. Attributes that are written out take a third of what `attrgetter` does."""
    text = f"lambda entries, usages: [{value} for entry, usage in zip(entries, usages, strict=True)]"
    return cast("Reader[Any]", eval(text))  # noqa: S307 - of names that this module and `fleet.model.kinds` hold
