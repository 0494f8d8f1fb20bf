"""From the arguments of `podsAt` and `placements` to a time and a span, and one call for all who ask the same."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from fleet.model.errors import InvalidQuery
from fleet.model.objects import NodeKey, PodKey
from fleet.model.placements import Placement
from fleet.model.usage import NANOSECONDS
from fleet.ports import MetricStore

DEFAULT_LAST = 86_400.0
"""Seconds that are looked at where nothing is said."""

MAX_SPAN = 7 * 86_400.0
"""Seconds. A longer look back reads more points than an answer is worth."""

MAX_POD_SECONDS = 30 * 86_400.0
"""Pods times seconds of one call, since each stored point of them is read."""

MAX_NODES = 100
"""Nodes of one call, for the same reason."""

Placements = Sequence[Placement]


class SpanRequest(NamedTuple):
    """The arguments of `placements`, in seconds and Unix seconds; equal requests are one call."""

    last: float | None = None
    start: float | None = None
    end: float | None = None


def build_span(request: SpanRequest, now: float) -> tuple[float, float]:
    """Start and end in Unix seconds. Raises InvalidQuery that says what would do."""
    if request.last is not None and request.start is not None:
        raise InvalidQuery("placements take `last` or `start`, not both")
    end = now if request.end is None else request.end
    start = end - (DEFAULT_LAST if request.last is None else request.last) if request.start is None else request.start
    if start < 0 or end > 2**33:
        raise InvalidQuery("placements are asked for times between 1970 and 2242")
    if start >= end:
        raise InvalidQuery("the span of placements is longer than nothing, and `start` is before `end`")
    if end - start > MAX_SPAN:
        raise InvalidQuery('placements are asked for "7d" at once at most: shorten `last`, or set `start` and `end`')
    return start, end


def ask_placements(
    store: MetricStore, request: SpanRequest, now: float
) -> Callable[[frozenset[PodKey]], Awaitable[Mapping[PodKey, Placements]]]:
    """The call for all pods that ask for the span. Raises InvalidQuery, at once or for too many pods."""
    start, end = build_span(request, now)

    async def ask(keys: frozenset[PodKey]) -> Mapping[PodKey, Placements]:
        most = int(MAX_POD_SECONDS / (end - start))
        if len(keys) > most:
            raise InvalidQuery(f"placements of {len(keys):,} pods over this span are too many: {most:,} would do")
        return await store.placements(keys, start_ns=round(start * NANOSECONDS), end_ns=round(end * NANOSECONDS))

    return ask


def ask_pods_at(
    store: MetricStore, at: float, now: float
) -> Callable[[frozenset[NodeKey]], Awaitable[Mapping[NodeKey, Placements]]]:
    """The call for all nodes that ask for the time (Unix seconds). Raises InvalidQuery, as `ask_placements`."""
    if not 0 <= at <= now:
        raise InvalidQuery("`time` is in the past, and not before 1970")

    async def ask(keys: frozenset[NodeKey]) -> Mapping[NodeKey, Placements]:
        if len(keys) > MAX_NODES:
            raise InvalidQuery(f"podsAt of {len(keys):,} nodes is too much for one query: {MAX_NODES} would do")
        return await store.pods_on_nodes(keys, round(at * NANOSECONDS))

    return ask
