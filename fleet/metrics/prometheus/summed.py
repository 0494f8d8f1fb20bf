"""Usage and history of many objects, summed up by their Prometheus: an expression a measure, however many samples.

What differs from samples: newest usage has each measure's newest value of the last minutes, though they be of several
times; MEAN of a counter is over the samples that the server counts to a step; MIN, MAX and percentiles are of sums at
distances of the interval, and percentiles lie between two of them.
"""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Generic, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from fleet.metrics.prometheus.answer import Found, Rows
from fleet.metrics.prometheus.asking import Asking, find_missing
from fleet.metrics.prometheus.expressions import Levels, Select, Span, build_expression, build_times
from fleet.metrics.prometheus.nodes import NodeNames
from fleet.metrics.prometheus.objects import CONTAINERS, OF_KUBELETS, REAL_DEVICES, Build, Key, Wording, match_whole
from fleet.metrics.prometheus.text import select
from fleet.metrics.prometheus.ways import Way
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Column, History, Kind, Measure, TimeRange, Usage, V

_IMAGE = 'image!=""'
"""Tells cAdvisor's containers from those of `/metrics/resource`, which have the same names."""

_NETWORK = "container_network"
_MILLISECOND = 1_000_000
_MANY = 300
_WIDE_SECONDS = 300.0

What = TypeVar("What")
Told = tuple[dict[Key, V], str]
"""What was found of each object, and what is said to be missing (or empty)."""

Write = Callable[[Sequence[Way], Select, Levels], str]


class _Query(Struct, Generic[What], frozen=True):
    """An expression, what its values are, and how they rank among those of others for the same."""

    what: What
    rank: int
    text: str


class _Style(Struct, frozen=True):
    """`odd`: for clusters where the usual series are not there; `wide`: by namespaces, and not by names of pods.

    `further`: of the network those devices that count where a pod has no first one.
    """

    odd: bool
    wide: bool = False
    further: bool = False


class SummedReader:
    """Asks for sums."""

    def __init__(self, asking: Asking, wording: Wording, nodes: NodeNames) -> None:
        self._asking = asking
        self._wording = wording
        self._nodes = nodes
        self._newest_ms = int(asking.options.rate_window * 1000)
        self._odd: set[str] = set()
        """The clusters whose containers have no image, or whose pods have series as a whole alone."""
        self._wide_due = 0.0

    async def latest(self, kind: Kind, keys: frozenset[Key], measures: frozenset[Measure]) -> Told[Usage]:
        """The newest usage of each object that was measured in the last minutes."""
        return await self._by_cluster(kind, keys, lambda some, odd: self._latest(kind, some, measures, odd=odd))

    async def _latest(
        self, kind: Kind, keys: frozenset[Key], measures: frozenset[Measure], *, odd: bool
    ) -> Told[Usage]:
        ways, span = self._wording.ways(kind), Span(self._newest_ms)
        # With names a selector of many pods is slower than with namespaces alone, unless most in these are others.
        wide = kind is Kind.POD and len(keys) > _MANY and time.monotonic() >= self._wide_due
        style = _Style(odd=odd, wide=wide)
        queries = list(self._word("", kind, keys, ways[Measure.MEMORY_BYTES], build_times, style))
        for measure in measures:
            queries += self._word(measure.usage_field, kind, keys, ways[measure], _writer(measure, span), style)
        found = await self._asking.newest(query.text for query in queries)

        def build() -> dict[Key, Usage]:
            fields: dict[Key, dict[str, Any]] = defaultdict(dict)
            for name, key, row in self._place(kind, keys, queries, found):
                fields[key][name] = round(row.values[0]) if name.endswith("_bytes") else row.values[0]
            times = {key: round(there.pop("") * 1000) for key, there in fields.items() if "" in there}
            return {key: Usage(time_ns=time_ms * _MILLISECOND, **fields[key]) for key, time_ms in times.items()}

        usages = await self._asking.work(build)
        if wide and 2 * len(usages) * len(queries) < sum(len(each.rows) for each in found):
            self._wide_due = time.monotonic() + _WIDE_SECONDS
        return usages, find_missing(found)

    async def history(
        self, kind: Kind, keys: frozenset[Key], window: TimeRange, columns: frozenset[Column], interval_ns: int
    ) -> Told[History]:
        """The columns of each object that has a value in the window."""
        engine = await self._asking.engine()
        step_ms, interval_ms = window.step_ns // _MILLISECOND, interval_ns // _MILLISECOND
        span = Span(
            self._newest_ms,
            range_ms=step_ms - 1 if engine.closed else step_ms,
            growth_ms=step_ms if engine.victoria else step_ms + interval_ms,
            interval_ms=interval_ms,
        )
        return await self._by_cluster(
            kind, keys, lambda some, odd: self._history(kind, some, window, columns, span, odd=odd)
        )

    async def _history(
        self, kind: Kind, keys: frozenset[Key], window: TimeRange, columns: frozenset[Column], span: Span, *, odd: bool
    ) -> Told[History]:
        ways, queries = self._wording.ways(kind), list[_Query[Column]]()
        for measure, aggregate in columns:
            write = _writer(measure, replace(span, aggregate=aggregate))
            queries += self._word((measure, aggregate), kind, keys, ways[measure], write, _Style(odd=odd))
        found = await self._asking.steps((query.text for query in queries), window)

        def build() -> dict[Key, History]:
            nothing: list[float | None] = [None] * window.steps
            made: dict[Key, dict[Column, list[float | None]]] = {}
            for column, key, row in self._place(kind, keys, queries, found):
                made.setdefault(key, dict.fromkeys(columns, nothing))[column] = _spread(row, window)
            resolution_ns = span.interval_ms * _MILLISECOND
            return {key: History(window, there, resolution_ns) for key, there in made.items()}

        return await self._asking.work(build), find_missing(found)

    async def _by_cluster(
        self,
        kind: Kind,
        keys: frozenset[Key],
        ask: Callable[[frozenset[Key], bool], Awaitable[tuple[dict[Key, V], str]]],
    ) -> tuple[dict[Key, V], str]:
        """Asks for the objects of usual and of odd clusters; clusters that have none as usual may be odd."""
        odd = frozenset(key for key in keys if key.cluster in self._odd)
        found, missing = await ask(keys - odd, False) if keys - odd else ({}, "")
        if kind is Kind.POD and not self._asking.options.recorded:
            silent = {key.cluster for key in keys - odd} - {key.cluster for key in found}
            odd |= {key for key in keys if key.cluster in silent}
            again, more = await ask(odd, True) if odd else ({}, "")
            self._odd |= {key.cluster for key in again}
            found, missing = found | again, missing or more
        return found, missing

    def _word(
        self, what: What, kind: Kind, keys: frozenset[Key], ways: Sequence[Way], write: Write, style: _Style
    ) -> Iterator[_Query[What]]:
        wording, options = self._wording, self._asking.options
        cluster = "" if options.only_cluster else options.cluster_label
        if kind is Kind.POD:
            part = "interface" if style.further else "container"
            levels = Levels(",".join(filter(None, (cluster, "namespace", "pod"))), "" if options.recorded else part)
            ways = [way for way in ways if style.odd or not way.name.startswith("pod_")]
            pods = cast("frozenset[PodKey]", keys)
            if ways:
                for text in wording.word_pods(pods, self._builder(ways, levels, write, style), named=not style.wide):
                    yield _Query(what, int(style.further), text)
            if not (options.recorded or style.further) and any(way.name.startswith(_NETWORK) for way in ways):
                yield from self._word(what, kind, keys, ways, write, replace(style, further=True))
            return
        nodes = cast("frozenset[NodeKey]", keys)
        of_kubelets = groupby(ways, lambda way: options.recorded or way.name.startswith(OF_KUBELETS))
        for rank, (by_name, some) in enumerate(of_kubelets):
            by = ",".join(filter(None, (cluster, "node" if by_name else "instance")))
            levels = Levels(by, "" if options.recorded else "interface,device,cpu", twice=True)
            hosts = None if by_name else self._nodes.hosts_of
            for text in wording.word_nodes(nodes, self._builder(list(some), levels, write, style), hosts):
                yield _Query(what, rank, text)

    def _builder(self, ways: Sequence[Way], levels: Levels, write: Write, style: _Style) -> Build:
        return lambda matched: write(
            ways, lambda name: select([name], (*matched, *self._matchers(name, levels, style))), levels
        )

    def _matchers(self, name: str, levels: Levels, style: _Style) -> tuple[str, ...]:
        if self._wording.options.recorded or name.startswith("pod_"):
            return ()
        if levels.twice:
            return match_whole(name)
        if name.startswith(_NETWORK):
            return ('interface!="eth0"', REAL_DEVICES[0]) if style.further else ('interface="eth0"',)
        return (CONTAINERS, "" if style.odd else _IMAGE)

    def _place(
        self, kind: Kind, keys: frozenset[Key], queries: Iterable[_Query[What]], found: Iterable[Found]
    ) -> Iterator[tuple[What, Key, Rows]]:
        """What the rows are, and whose; of several for the same those of the first rank."""
        names = self._wording.clusters_by_value({key.cluster for key in keys})
        seen: dict[tuple[What, Key], int] = {}
        for query, answer in sorted(zip(queries, found, strict=True), key=lambda pair: pair[0].rank):
            for row in answer.rows:
                key = self._nodes.key_of(kind, names, row.labels)
                if key in keys and seen.setdefault((query.what, key), query.rank) == query.rank:
                    yield query.what, key, row


def _writer(measure: Measure, span: Span) -> Write:
    return lambda ways, select, levels: build_expression(ways, select, levels, span, is_counter=measure.is_counter)


def _spread(row: Rows, window: TimeRange) -> list[float | None]:
    """The values of a row by their step; each is told at the last millisecond of it."""
    column: list[float | None] = [None] * window.steps
    for at, value in zip(row.times_ns, row.values, strict=True):
        if value == value:
            column[(at - window.start_ns) // window.step_ns] = value
    return column
