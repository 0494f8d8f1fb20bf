"""History out of the metric file: of each object the blocks of one tier, then the rows that are newer."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from fleet.aio.recorder import note_rows
from fleet.metrics.aggregate import Series, build_histories, counter_lead_ns
from fleet.metrics.embedded.blocks import history
from fleet.metrics.embedded.blocks.history import SHAPE_OF
from fleet.metrics.embedded.blocks.raw import decode_points, decode_spans
from fleet.metrics.embedded.blocks.rolled import decode_rolled
from fleet.metrics.embedded.blocks.spans import NO_RUNS, Spans, from_series, join, roll_up, select
from fleet.metrics.embedded.facts import SEALED_TO, build_reach, load_facts
from fleet.metrics.embedded.merging import find_before, merge_series
from fleet.metrics.embedded.tiers import EVER, RAW, Tier, choose_tier
from fleet.metrics.embedded.view import View, columns_of
from fleet.model.objects import K
from fleet.model.usage import Aggregate, Column, History, Kind, Measure, TimeRange


def load_history(
    view: View, kind: Kind, keys: Sequence[K], window: TimeRange, columns: Collection[Column]
) -> Mapping[K, History]:
    """The columns of each object that has a point in the window, of one moment of the file. Raises sqlite3.Error."""
    chosen = sorted({measure for measure, _ in columns}, key=lambda measure: measure.value)
    with view.snapshot():
        lead_ns = counter_lead_ns(window, chosen)
        facts = load_facts(view.connection)
        tier = choose_tier(window, build_reach(facts), lead_ns)
        load = _Parts(view, tier, window.start_ns - lead_ns, window.end_ns, chosen, {of for _, of in columns})
        series = [(keys[position], series_id) for position, series_id in view.find_series(kind, keys)]
        if window.start_ns - lead_ns >= facts.get(SEALED_TO, EVER):
            # Of rows alone, which are few, plain lists take half the time that arrays do.
            rows = ((key, load.rows(series_id)) for key, series_id in series)
            return build_histories(((key, head) for key, head in rows if head is not None), window, columns)
        return history.build_histories(((key, load(series_id)) for key, series_id in series), window, columns)


class _Parts:
    """Loads the parts of one series after the other, each ascending."""

    def __init__(
        self,
        view: View,
        tier: Tier,
        start_ns: int,
        end_ns: int,
        measures: Sequence[Measure],
        aggregates: Collection[Aggregate],
    ) -> None:
        self._view, self._tier, self._measures = view, tier, measures
        self._counters = [measure for measure in measures if measure.is_counter] if tier.number else []
        self._span = (start_ns, end_ns)
        self._text = (
            f"SELECT points.time_ns{columns_of(measures)} FROM points "  # noqa: S608 - constants only
            "WHERE series_id = ? AND time_ns >= ? AND time_ns < ? ORDER BY time_ns"
        )
        shapes = [name for aggregate, name in SHAPE_OF.items() if aggregate in aggregates]
        self._decode: Callable[[bytes], Spans] = lambda data: (
            decode_rolled(data, measures, shapes) if tier.number else decode_spans(data, measures)
        )

    def rows(self, series_id: int) -> Series | None:
        """The points that are rows, where there is one."""
        self._view.check_time()
        rows = self._view.connection.execute(self._text, (series_id, *self._span)).fetchall()
        if not rows:
            return None
        note_rows(len(rows))
        times, *values = zip(*rows, strict=True)
        return Series(times, dict(zip(self._measures, values, strict=True)))

    def __call__(self, series_id: int) -> list[Spans]:
        sealed = [*self._view.blocks(series_id, self._tier, *self._span, self._decode)][::-1]
        if sealed and not self._tier.number:
            # Rows from before are not read, so no counter may count from what was before these.
            begin = int(np.searchsorted(sealed[0].starts_ns, self._span[0]))
            sealed = [select(sealed[0], slice(begin, None), NO_RUNS), *sealed[1:]][begin == len(sealed[0].starts_ns) :]
        head = self.rows(series_id)
        if head is None:
            return sealed
        times = head.times_ns
        if not sealed or times[0] > sealed[-1].last_ns[-1]:
            before = find_before(self._view, series_id, times[0], self._counters) if self._counters and sealed else None
            if before is not None and before.times_ns[0] >= self._span[0]:
                none = {measure: [None] for measure in self._measures}
                head = merge_series([Series(before.times_ns, {**none, **before.values}), head])
            return [*sealed, from_series(head, start_ns=times[0])]
        # Points that came late, of a time that has blocks already.
        if self._tier.number:
            return [join([*sealed, roll_up(from_series(head), self._tier.span_ns)])]
        blocks = self._view.blocks(series_id, RAW, *self._span, lambda data: decode_points(data, self._measures))
        merged = merge_series([*blocks, head])
        begin = bisect_left(merged.times_ns, self._span[0])
        kept = {measure: values[begin:] for measure, values in merged.values.items()}
        return [from_series(Series(merged.times_ns[begin:], kept))]
