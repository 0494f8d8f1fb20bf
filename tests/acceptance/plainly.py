"""Usage and history by their definitions, from the rows that InfluxDB has; answers are held against them."""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from realfleet.influx import Influx
from tests.acceptance.truth import Json, number, query_influx

SECOND = 10**9
AGGREGATES = ("MEAN", "MIN", "MAX", "LAST", "P50", "P95", "P99")
GAUGES = {"cpuCores": "CPUUsageNanoCores", "memoryBytes": "MemoryWorkingSetBytes", "fsUsedBytes": "FsUsedBytes"}
COUNTERS = {"networkReceiveBytesPerSecond": "NetworkRxBytes", "networkTransmitBytesPerSecond": "NetworkTxBytes"}
MEASURED = (*GAUGES, *COUNTERS)
Column = list[float | None]


class Steps(NamedTuple):
    """[start, end) in steps, all in whole seconds; a whole number of steps."""

    start: int
    end: int
    step: int

    def parts(self) -> Iterable[tuple[int, int]]:
        """Each step's bounds in nanoseconds."""
        return [(second * SECOND, (second + self.step) * SECOND) for second in range(self.start, self.end, self.step)]


async def list_rows(influx: Influx, measurement: str, tags: dict[str, str], start: int, end: int) -> list[Json]:
    """All stored rows of what the tags name in [start, end), Unix seconds, oldest first."""
    chosen = ",".join((*GAUGES.values(), *COUNTERS.values()))
    named = " AND ".join(f"{tag} = ${tag}" for tag in tags)
    bounds = f"time >= {start * SECOND} AND time < {end * SECOND}"
    return await query_influx(influx, f"SELECT {chosen} FROM {measurement} WHERE {named} AND {bounds}", tags)  # noqa: S608 - a test's own words


def column_of(rows: Sequence[Json], field: str, aggregate: str, steps: Steps) -> Column:
    """One column of a history."""
    if field in GAUGES:
        values = [(row["time"], number(row[GAUGES[field]])) for row in rows if row[GAUGES[field]] is not None]
        return [_reduced([value for at, value in values if low <= at < high], aggregate) for low, high in steps.parts()]
    increases = list(_increases(rows, COUNTERS[field]))
    column: Column = []
    for low, high in steps.parts():
        inside = [(grown, seconds) for at, grown, seconds in increases if low <= at < high]
        if aggregate == "MEAN" and inside:
            column.append(math.fsum(grown for grown, _ in inside) / math.fsum(seconds for _, seconds in inside))
        else:
            column.append(_reduced([grown / seconds for grown, seconds in inside], aggregate))
    return column


def usage_of(rows: Sequence[Json], index: int) -> dict[str, float | None]:
    """Usage while the row at the index is the newest."""
    row, before = rows[index], rows[index - 1] if index else None
    usage: dict[str, float | None] = {field: number(row[stored]) for field, stored in GAUGES.items()}
    for field, stored in COUNTERS.items():
        grown = number(row[stored]) - number(before[stored]) if before is not None else -1.0
        seconds = (row["time"] - before["time"]) / SECOND if before is not None else 1.0
        usage[field] = grown / seconds if grown >= 0 else None
    return usage


def added(columns: Iterable[Column]) -> Column:
    """Step by step, over those that have a value."""
    parts = [[value for value in step if value is not None] for step in zip(*columns, strict=True)]
    return [math.fsum(part) if part else None for part in parts]


def _increases(rows: Sequence[Json], stored: str) -> Iterable[tuple[int, float, float]]:
    """When a counter was seen, what it grew by since it was seen before, and the seconds between."""
    seen = [(row["time"], number(row[stored])) for row in rows if row[stored] is not None]
    for (earlier, before), (at, now) in itertools.pairwise(seen):
        yield at, now - before if now >= before else now, (at - earlier) / SECOND


def _reduced(values: list[float], aggregate: str) -> float | None:
    if not values:
        return None
    if aggregate == "MEAN":
        return math.fsum(values) / len(values)
    if aggregate == "LAST":
        return values[-1]
    share = {"MIN": 0.0, "P50": 0.5, "P95": 0.95, "P99": 0.99, "MAX": 1.0}[aggregate]
    return next(v for v in sorted(values) if sum(other <= v for other in values) >= share * len(values))
