"""From `history`'s arguments to a time range: a span cut into steps."""

import math
from typing import NamedTuple

from fleet.model.errors import InvalidQuery
from fleet.model.usage import NANOSECONDS, TimeRange
from graph.scalars import format_duration

DEFAULT_LAST = 3600.0
"""Seconds of history where nothing is said."""

MAX_POINTS = 2_000
"""More points a series than this are refused."""

GOOD_POINTS = 100
"""About how many points a series gets where no step is asked for; at most 500 in any case."""

SMALLEST_CHOSEN_STEP = 15.0
"""Seconds. Collectors report about this often; smaller steps would mostly be gaps, so they have to be asked for."""

NICE_STEPS = (
    *(5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10800, 21600, 43200),
    *(86400, 172800, 604800),
)
"""Seconds. The steps that are chosen and suggested, the shortest first."""

_MAX_SPAN = 20 * 366 * 86400.0


class TimeRangeRequest(NamedTuple):
    """The arguments of `history`, in seconds and Unix seconds; equal requests are one time range."""

    last: float | None = None
    start: float | None = None
    end: float | None = None
    step: float | None = None


def build_time_range(request: TimeRangeRequest, now: float) -> TimeRange:
    """The time range that is asked for at `now` (Unix seconds). Raises InvalidQuery that says what would do.

    Steps begin at multiples of their length, the first at or before the start; after it where that would be a step
    more than `MAX_POINTS`.
    """
    start, end = _span(request, now)
    span = end - start
    if span > _MAX_SPAN:
        raise InvalidQuery("history reaches back 20 years at most")
    step = (
        _checked_step(request.step, span)
        if request.step is not None
        else _nice_step(max(span / GOOD_POINTS, SMALLEST_CHOSEN_STEP))
    )
    step_ns = round(step * NANOSECONDS)
    end_ns = round(end * NANOSECONDS)
    earliest = -((MAX_POINTS * step_ns - end_ns) // step_ns)
    first = max(round(start * NANOSECONDS) // step_ns, earliest)
    return TimeRange(start_ns=first * step_ns, end_ns=end_ns, step_ns=step_ns)


def _span(request: TimeRangeRequest, now: float) -> tuple[float, float]:
    if request.last is not None and request.start is not None:
        raise InvalidQuery("history takes `last` or `start`, not both")
    if request.last is not None and request.last <= 0:
        raise InvalidQuery('`last` has to be longer than nothing, for example "1h"')
    end = now if request.end is None else request.end
    start = end - (request.last or DEFAULT_LAST) if request.start is None else request.start
    if start < 0:
        raise InvalidQuery("history starts in 1970 at the earliest")
    if start >= end:
        raise InvalidQuery("`start` has to be before `end`" if request.end is not None else "`start` is in the future")
    return start, end


def _checked_step(step: float, span: float) -> float:
    if step < 1:
        raise InvalidQuery("`step` is 1s at least")
    points = math.ceil(round(span / step, 6))  # Unix seconds are floats: a span is some 100 ns longer at times
    if points > MAX_POINTS:
        would_do = format_duration(_nice_step(span / MAX_POINTS))
        raise InvalidQuery(
            f"{points:,} points a series are too many ({MAX_POINTS:,} at most): "
            f'a step of "{would_do}" would do, or leave `step` out'
        )
    return step


def _nice_step(at_least: float) -> float:
    nice = next((step for step in NICE_STEPS if step >= at_least), None)
    return float(nice if nice is not None else math.ceil(at_least / 604800) * 604800)
