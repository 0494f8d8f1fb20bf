"""Changes to an operation that would bring its cost under the limit, the one that takes away least first.

A coarser `step` keeps every object, a shorter page keeps every field and the rest is on the next pages; only then are
clusters or fields given up. Each change that is suggested was estimated and passes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from fleet.model.errors import InvalidQuery
from fleet.reads.counts import ObjectCounts
from graph.cost.cardinality import clusters_of, first_of
from graph.cost.estimate import estimate
from graph.cost.reading import Part
from graph.loading.time_range import NICE_STEPS, TimeRangeRequest, build_time_range
from graph.scalars import format_duration

WORK = 20_000
"""Fields that are visited at most to find a change: less than a tenth of a second."""

FEWEST_POINTS = 20
"""A history with fewer points than this is none that anybody wants: a shorter page is better."""

SMALLEST_SHARE = 0.005
"""A page cut to less than this share of what was asked for is worse than leaving something out."""

_PAGES = frozenset({"pods", "nodes", "workloads", "resources"})


class Change(Struct, frozen=True):
    """One argument to set at a path, or with no argument the field to leave out."""

    path: str
    argument: str | None = None
    value: Any = None

    @property
    def text(self) -> str:
        if self.argument is None:
            return f"leave out `{self.path}`"
        if self.argument == "step":
            return f'`step: "{format_duration(self.value)}"` at `{self.path}`'
        if self.argument == "clusters":
            return f'`clusters: ["{self.value}"]` in the filter of `{self.path}`'
        return f"`{self.argument}: {self.value}` at `{self.path}`"


class Suggestion(Struct, frozen=True):
    """Changes to make together, and the estimate after them."""

    changes: tuple[Change, ...]
    units: int

    @property
    def text(self) -> str:
        return " and ".join(change.text for change in self.changes)


def apply_changes(parts: Sequence[Part], changes: Iterable[Change]) -> tuple[Part, ...]:
    by_path: dict[str, list[Change]] = {}
    for change in changes:
        by_path.setdefault(change.path, []).append(change)
    return tuple(_changed(parts, by_path))


def _changed(parts: Iterable[Part], by_path: dict[str, list[Change]]) -> Iterator[Part]:
    for part in parts:
        changes = by_path.get(part.path, ())
        if any(change.argument is None for change in changes):
            continue
        arguments = dict(part.arguments)
        for change in changes:
            if change.argument == "clusters":
                arguments["filter"] = {**(arguments.get("filter") or {}), "clusters": [change.value]}
            elif change.argument is not None:
                arguments[change.argument] = change.value
        beneath = any(path.startswith(f"{part.path}.") for path in by_path)
        inner = tuple(_changed(part.inner, by_path)) if beneath else part.inner
        yield replace(part, arguments=arguments, inner=inner)


def suggest(parts: Sequence[Part], sizes: ObjectCounts, now: float, limit: int) -> Suggestion | None:
    """What would bring the operation under the limit, or None where nothing simple would."""
    return _Search(parts, sizes, now, limit).run()


class _Search:
    def __init__(self, parts: Sequence[Part], sizes: ObjectCounts, now: float, limit: int) -> None:
        self._parts = parts
        self._sizes = sizes
        self._now = now
        self._limit = limit
        self._known = {part.path: part for part in _walk(parts)}
        self._work = WORK
        # A path's own cost and that of all inside it: where a change can take most away.
        own = estimate(parts, sizes, now).paths
        self._inside = dict.fromkeys(self._known, 0)
        for path, units in own.items():
            for outer in _with_outer(path):
                self._inside[outer] += units

    def run(self) -> Suggestion | None:
        pages = self._dearest(lambda part: part.name in _PAGES)
        histories = self._dearest(lambda part: part.name == "history")
        for found in (
            self._first_passing(map(self._coarser, histories)),
            self._first_passing(map(self._shorter, pages)),
            self._first_passing(map(self._fewer_clusters, (part for part in pages if part.parent == "Query"))),
            self._first_passing(map(self._left_out, self._leaves_first())),
            self._all_shorter(pages),
        ):
            if found is not None:
                return found
        return None

    def _dearest(self, wanted: Callable[[Part], bool]) -> list[Part]:
        found = [part for part in self._known.values() if wanted(part)]
        return sorted(found, key=lambda part: -self._inside[part.path])[:3]

    def _passes(self, changes: Sequence[Change]) -> Suggestion | None:
        if self._work < 0:
            return None
        self._work -= len(self._known)
        units = estimate(apply_changes(self._parts, changes), self._sizes, self._now).units
        return Suggestion(tuple(changes), units) if units <= self._limit else None

    def _first_passing(self, tried: Iterable[Suggestion | None]) -> Suggestion | None:
        return next((found for found in tried if found is not None), None)

    def _coarser(self, history: Part) -> Suggestion | None:
        """The finest step that passes and leaves enough points."""
        try:
            time_range = build_time_range(TimeRangeRequest(**history.arguments), self._now)
        except InvalidQuery:  # costs nothing, and nothing would change that
            return None
        span = (time_range.end_ns - time_range.start_ns) / 1e9
        for step in NICE_STEPS:
            if step * 1e9 > time_range.step_ns and span / step >= FEWEST_POINTS:
                found = self._passes([Change(history.path, "step", float(step))])
                if found is not None:
                    return found
        return None

    def _shorter(self, page: Part) -> Suggestion | None:
        return self._longest(first_of(page.arguments), lambda first: [Change(page.path, "first", first)])

    def _all_shorter(self, pages: Sequence[Part]) -> Suggestion | None:
        lengths = {page.path: first_of(page.arguments) for page in pages}
        longest = max(lengths.values(), default=0)
        return self._longest(
            longest,
            lambda first: [Change(path, "first", min(first, length)) for path, length in lengths.items()],
            share=0,
        )

    def _longest(
        self, asked: int, changes: Callable[[int], list[Change]], share: float = SMALLEST_SHARE
    ) -> Suggestion | None:
        """The longest page of a round length that passes, by bisection: a longer one never costs less."""
        lengths = [length for length in _ROUND if max(1, asked * share) <= length < asked]
        best: Suggestion | None = None
        low, high = 0, len(lengths)
        while low < high:
            middle = (low + high) // 2
            found = self._passes(changes(lengths[middle]))
            if found is not None:
                best, low = found, middle + 1
            else:
                high = middle
        return best

    def _fewer_clusters(self, page: Part) -> Suggestion | None:
        """One cluster of those that are asked, the largest that passes of a few."""
        among = clusters_of(self._sizes, page.arguments.get("filter") or {})
        by_size = sorted(among, key=lambda name: -self._sizes.pods(name, None, None))
        return self._first_passing(self._passes([Change(page.path, "clusters", name)]) for name in by_size[:2])

    def _leaves_first(self) -> list[Part]:
        """The fields that cost enough for their absence to suffice, the cheapest first."""
        over = sum(self._inside[part.path] for part in self._parts) - self._limit
        enough = [part for part in self._known.values() if self._inside[part.path] >= over and not self._is_all(part)]
        return sorted(enough, key=lambda part: self._inside[part.path])[:5]

    def _is_all(self, part: Part) -> bool:
        """Whether nothing would be left of the operation, or of the object around the field."""
        outer = self._known.get(part.path.rpartition(".")[0])
        return len(self._parts if outer is None else outer.inner) == 1

    def _left_out(self, part: Part) -> Suggestion | None:
        return self._passes([Change(part.path)])


def _with_outer(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition(".")[0]


def _walk(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        yield from _walk(part.inner)


def _round_lengths() -> Iterator[int]:
    """1, 2, ... 99, 100, 110, ... 990, 1000, 1100, ... 10000: two digits that count."""
    yield from range(1, 100)
    for unit in (10, 100):
        yield from range(10 * unit, 100 * unit, unit)
    yield 10_000


_ROUND = tuple(_round_lengths())
