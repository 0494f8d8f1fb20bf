"""Expressions by which a Prometheus sums containers and devices up to pods and nodes. Pure."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from fleet.metrics.prometheus.ways import Way
from fleet.model.usage import Aggregate

Select = Callable[[str], str]
"""The selector of a metric's series."""

_OVER = {
    Aggregate.MIN: "min_over_time(",
    Aggregate.MAX: "max_over_time(",
    Aggregate.P50: "quantile_over_time(0.5,",
    Aggregate.P95: "quantile_over_time(0.95,",
    Aggregate.P99: "quantile_over_time(0.99,",
}


class Span(Struct, frozen=True):
    """What a value is made of; milliseconds.

    `aggregate`: None is the newest sample. `range_ms` is the step that the value is of, `growth_ms` the span in which a
    counter's growth over the step shows, `newest_ms` one that has its two newest samples, `interval_ms` the distance
    of samples.
    """

    newest_ms: int
    aggregate: Aggregate | None = None
    range_ms: int = 0
    growth_ms: int = 0
    interval_ms: int = 15_000


class Levels(Struct, frozen=True):
    """The labels of an object, and those of its parts (empty: it has none).

    A part may have two series for a while, where a container began anew; with `twice` it may at any time, where two
    jobs scrape one machine.
    """

    by: str
    part: str = ""
    twice: bool = False


def build_expression(ways: Sequence[Way], select: Select, levels: Levels, span: Span, *, is_counter: bool) -> str:
    """The values of the objects by the first of the ways that an object has series of."""
    text = " or ".join(f"({_build_way(way, select, levels, span, is_counter=is_counter)})" for way in ways)
    if span.aggregate in _OVER:
        return f"{_OVER[span.aggregate]}({text})[{span.range_ms}ms:{span.interval_ms}ms])"
    return text


def build_times(ways: Sequence[Way], select: Select, levels: Levels) -> str:
    """The times of the objects' newest samples, in seconds."""
    return " or ".join(f"(max by ({levels.by}) (timestamp({select(way.name)})))" for way in ways)


def _build_way(way: Way, select: Select, levels: Levels, span: Span, *, is_counter: bool) -> str:
    def total(name: str) -> str:
        text, seconds = _build_part(select(name), span, is_counter=is_counter or way.rate)
        if levels.part and (levels.twice or seconds > 2 * span.interval_ms):
            text = f"max by ({levels.by},{levels.part}) ({text})"
        return f"{'max' if way.largest else 'sum'} by ({levels.by}) ({f'1 - {text}' if way.idle else text})"

    if not way.less:
        return total(way.name)
    return f"{total(way.name)} - {total(way.less)} unless min by ({levels.by}) ({select(way.name)}) == 0"


def _build_part(selector: str, span: Span, *, is_counter: bool) -> tuple[str, int]:
    """The value of each series, and how far back it looks."""
    if is_counter:
        if span.aggregate is Aggregate.MEAN:
            return f"rate({selector}[{span.growth_ms}ms])", span.growth_ms
        if span.aggregate is Aggregate.LAST:
            return f"irate({selector}[{span.growth_ms}ms])", span.growth_ms
        # What has ended has no newest sample, but samples in the span still.
        return f"(irate({selector}[{span.newest_ms}ms]) and {selector})", span.newest_ms
    if span.aggregate is Aggregate.MEAN:
        return f"avg_over_time({selector}[{span.range_ms}ms])", span.range_ms
    if span.aggregate is Aggregate.LAST:
        return f"last_over_time({selector}[{span.range_ms}ms])", span.range_ms
    return selector, span.newest_ms
