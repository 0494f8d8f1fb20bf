"""Sums over a cluster's nodes: what they have, what they use, and what they used. Pure.

A part that does not say an amount counts as nothing in that amount's sum, which is None only where no part says it.
Units as in `fleet.model.objects` and `fleet.model.usage`.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import fields

from fleet.model.objects import Pod, Resources
from fleet.model.usage import History, Usage

_CPU_DIGITS = 9
"""Amounts of CPU are whole nanocores: more digits would only be the noise of adding floats."""

_AMOUNTS = tuple(field.name for field in fields(Resources) if field.name != "extended")
_MEASURED = tuple(field.name for field in fields(Usage) if field.name != "time_ns")


def sum_resources(parts: Iterable[Resources]) -> Resources:
    """Each amount's sum; of no parts at all, 0 of everything."""
    every = list(parts)
    if not every:
        return Resources(cpu_cores=0.0, memory_bytes=0, ephemeral_storage_bytes=0, pods=0)
    return Resources(**_sum_each(every, _AMOUNTS), extended=_sum_extended(every))


def sum_requests(pods: Iterable[Pod]) -> Resources:
    """What those of the pods ask for that are not finished, and how many they are."""
    running = [pod.requests for pod in pods if not pod.finished]
    return Resources(
        cpu_cores=round(math.fsum(entry.cpu_cores or 0.0 for entry in running), _CPU_DIGITS),
        memory_bytes=sum(entry.memory_bytes or 0 for entry in running),
        ephemeral_storage_bytes=sum(entry.ephemeral_storage_bytes or 0 for entry in running),
        pods=len(running),
        extended=_sum_extended(running),
    )


def sum_usages(parts: Iterable[Usage]) -> Usage | None:
    """Each measure's sum, of the time of the oldest part, so that nothing in it is older; None of no parts."""
    every = list(parts)
    if not every:
        return None
    return Usage(time_ns=min(part.time_ns for part in every), **_sum_each(every, _MEASURED))


def sum_histories(parts: Iterable[History]) -> History | None:
    """Each column's sums, step by step: a step is summed over the parts that have a value in it; None of no parts.

    All parts are of one time range and have the same columns.

    What is added are the parts' own aggregates. The parts peak at different moments, so the sum of their MAX is no less
    than the peak of the sum, that of their MIN no more than its low, and that of percentiles is only near to one.
    """
    every = list(parts)
    if not every:
        return None
    first = every[0]
    return History(
        first.time_range, {column: _sum_steps([part.columns[column] for part in every]) for column in first.columns}
    )


def _sum_extended(parts: Iterable[Resources]) -> tuple[tuple[str, int], ...]:
    totals: dict[str, int] = {}
    for extended in [part.extended for part in parts if part.extended]:
        for name, amount in extended:
            totals[name] = totals.get(name, 0) + amount
    return tuple(sorted(totals.items()))


def _sum_each(parts: Sequence[Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: _total(name, [getattr(part, name) for part in parts]) for name in names}


def _total(name: str, values: Iterable[float | None]) -> float | None:
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
