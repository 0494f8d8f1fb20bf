"""Sums over objects: what they have or ask for, what they use, and what they used. Pure.

A part that does not say an amount counts as nothing in that amount's sum, which is None only where no part says it.
Units as in `fleet.model.objects` and `fleet.model.usage`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress, islice, pairwise
from operator import attrgetter, is_not, ne
from typing import Any

from msgspec.structs import fields

from fleet.model.objects import Pod, Resources
from fleet.model.usage import ALL_MEASURES, History, Measure, Usage

_CPU_DIGITS = 9
"""Amounts of CPU are whole nanocores: more digits would only be the noise of adding floats."""

_AMOUNTS = tuple(field.name for field in fields(Resources) if field.name != "extended")


def sum_resources(parts: Iterable[Resources]) -> Resources:
    """Each amount's sum; of no parts at all, 0 of everything."""
    every = _count(list(parts))
    if not every:
        return Resources(cpu_cores=0.0, memory_bytes=0, ephemeral_storage_bytes=0, pods=0)
    return Resources(
        **{name: _total(name, _multiplied(name, every)) for name in _AMOUNTS}, extended=_sum_extended(every)
    )


def sum_requests(pods: Iterable[Pod]) -> Resources:
    """What those of the pods ask for that are not finished, and how many they are."""
    running = [pod.requests for pod in pods if not pod.finished]
    total = sum_resources(running)
    return Resources(
        cpu_cores=total.cpu_cores or 0.0,
        memory_bytes=total.memory_bytes or 0,
        ephemeral_storage_bytes=total.ephemeral_storage_bytes or 0,
        pods=len(running),
        extended=total.extended,
    )


def sum_usages(parts: Iterable[Usage], measures: Iterable[Measure] = ALL_MEASURES) -> Usage | None:
    """Each measure's sum, of the time of the oldest part, so that nothing in it is older; None of no parts."""
    every = list(parts)
    if not every:
        return None
    sums = {
        measure.usage_field: _total(measure.usage_field, map(attrgetter(measure.usage_field), every))
        for measure in measures
    }
    return Usage(time_ns=min(map(attrgetter("time_ns"), every)), **sums)


def sum_histories(parts: Iterable[History]) -> History | None:
    """Each column's sums, step by step: a step is summed over the parts that have a value in it; None of no parts.

    All parts are of one time range and have the same columns; the resolution is that of the coarsest.

    What is added are the parts' own aggregates. The parts peak at different moments, so the sum of their MAX is no less
    than the peak of the sum, that of their MIN no more than its low, and that of percentiles is only near to one.
    """
    every = list(parts)
    if not every:
        return None
    first = every[0]
    return History(
        first.time_range,
        {column: _sum_steps([part.columns[column] for part in every]) for column in first.columns},
        max(part.resolution_ns for part in every),
    )


def find_runs(values: Sequence[Any], differ: Callable[[Any, Any], bool] = ne) -> Iterator[tuple[int, int]]:
    """Where values that are alike stand side by side: from, and to without."""
    starts = [0, *compress(range(1, len(values)), map(differ, values, islice(values, 1, None)))]
    return pairwise((*starts, len(values))) if values else iter(())


def _count(parts: Sequence[Resources]) -> Mapping[Resources, int]:
    """How often each is there. Pods of a workload, which stand side by side, have the same object."""
    counts: dict[Resources, int] = {}
    for start, end in find_runs(parts, is_not):
        counts[parts[start]] = counts.get(parts[start], 0) + end - start
    return counts


def _sum_extended(parts: Mapping[Resources, int]) -> tuple[tuple[str, int], ...]:
    totals: dict[str, int] = {}
    for part, times in parts.items():
        for name, amount in part.extended:
            totals[name] = totals.get(name, 0) + amount * times
    return tuple(sorted(totals.items()))


def _multiplied(name: str, parts: Mapping[Resources, int]) -> Iterator[float | None]:
    for part, times in parts.items():
        amount: float | None = getattr(part, name)
        yield None if amount is None else amount * times


def _total(name: str, values: Iterable[float | None]) -> Any:
    said = [value for value in values if value is not None]
    if not said:
        return None
    if name == "cpu_cores":
        return round(math.fsum(said), _CPU_DIGITS)
    return sum(said)


def _sum_steps(columns: Sequence[Sequence[float | None]]) -> list[float | None]:
    sums: list[float | None] = []
    for step in zip(*columns, strict=True):
        said = [value for value in step if value is not None]
        sums.append(math.fsum(said) if said else None)
    return sums
