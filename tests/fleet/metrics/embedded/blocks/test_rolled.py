from collections.abc import Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleet.metrics.aggregate import Series
from fleet.metrics.embedded.blocks.columns import PRECISION
from fleet.metrics.embedded.blocks.raw import decode_runs, decode_spans, encode_points
from fleet.metrics.embedded.blocks.rolled import SHAPES, decode_rolled, encode_rolled
from fleet.metrics.embedded.blocks.spans import Spans, from_series, join, roll_up
from fleet.model.placements import GAP_NS
from fleet.model.usage import NANOSECONDS, Measure
from tests.fleet.metrics.embedded.blocks.drawn import BEGIN_NS, draw_series

MINUTE, TEN_MINUTES = 60 * NANOSECONDS, 600 * NANOSECONDS
MILLISECOND = 1_000_000


@given(draw_series())
def test_spans_come_back_within_their_precision(series: Series) -> None:
    spans = roll_up(from_series(series), MINUTE)
    back = decode_rolled(encode_rolled(spans))
    assert back.span_ns == MINUTE
    assert back.starts_ns.tolist() == spans.starts_ns.tolist()
    assert back.count.tolist() == spans.count.tolist()
    assert (spans.last_ns - back.last_ns).max() < MILLISECOND
    for measure, stats in spans.stats.items():
        kept = back.stats[measure]
        assert kept.count.tolist() == stats.count.tolist()
        assert (kept.value is None) == (stats.value is None)
        if kept.value is not None and stats.value is not None:
            least = stats.total[stats.total > 0].min(initial=2**52)
            assert ((stats.value - kept.value) <= least * PRECISION).all()
            assert (kept.value <= stats.value).all()
            assert kept.value[-1] == stats.value[-1]
        np.testing.assert_allclose(kept.total, stats.total, rtol=PRECISION)
        np.testing.assert_allclose(kept.weight, stats.weight, rtol=PRECISION)
        for name in ("low", "high", "last"):
            np.testing.assert_allclose(getattr(kept, name), getattr(stats, name), rtol=PRECISION, equal_nan=True)


@given(draw_series(), st.sets(st.sampled_from(SHAPES)))
def test_shapes_that_are_asked_for_are_as_among_all(series: Series, shapes: set[str]) -> None:
    block = encode_rolled(roll_up(from_series(series), MINUTE))
    every = decode_rolled(block)
    for measure, stats in decode_rolled(block, series.values, shapes).stats.items():
        for name in {"count", "total", "weight"} | shapes:
            np.testing.assert_array_equal(getattr(stats, name), getattr(every.stats[measure], name))
        assert all(np.isnan(getattr(stats, name)).all() for name in set(SHAPES) - shapes)


@given(draw_series(), st.integers(1, 79))
def test_a_block_made_of_blocks_loses_no_more(series: Series, cut: int) -> None:
    whole = decode_rolled(encode_rolled(roll_up(from_series(series), MINUTE)))
    parts = [part for part in _cut(whole, cut) if len(part.starts_ns)]
    again = decode_rolled(encode_rolled(join([decode_rolled(encode_rolled(part)) for part in parts])))
    assert_same(again, whole, counters=PRECISION)  # which bits are dropped is of each block


@given(draw_series())
def test_ten_minutes_are_the_same_from_minutes_as_from_points(series: Series) -> None:
    points = decode_spans(encode_points(series))
    assert_same(roll_up(roll_up(points, MINUTE), TEN_MINUTES), roll_up(points, TEN_MINUTES))


@given(draw_series(), st.data())
def test_late_points_find_their_span(series: Series, data: st.DataObject) -> None:
    size = len(series.times_ns)
    sizes = data.draw(st.lists(st.integers(0, 1000), min_size=size, max_size=size))
    gauges = Series(series.times_ns, {Measure.MEMORY_BYTES: sizes})
    chosen = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    parts = [
        roll_up(from_series(part), TEN_MINUTES)
        for part in (_pick(gauges, chosen), _pick(gauges, [not one for one in chosen]))
        if part.times_ns
    ]
    assert_same(join(parts), roll_up(from_series(gauges), TEN_MINUTES))


def test_what_never_changes_is_kept_exactly_and_costs_nothing() -> None:
    size = 5760
    times = [BEGIN_NS + number * 15 * NANOSECONDS for number in range(size)]
    still = Series(times, {Measure.FS_CAPACITY_BYTES: [105_089_261_568 + 1] * size, Measure.CPU_CORES: [0.3] * size})
    block = encode_rolled(roll_up(from_series(still), MINUTE))
    kept = decode_rolled(block).stats[Measure.FS_CAPACITY_BYTES]
    assert {*kept.low.tolist(), *kept.last.tolist(), *(kept.total / kept.weight).tolist()} == {105_089_261_569.0}
    assert len(block) < 400


def test_a_counter_that_began_anew_keeps_what_it_grew_by() -> None:
    times = [BEGIN_NS // TEN_MINUTES * TEN_MINUTES + number * 15 * NANOSECONDS for number in range(80)]
    counted = [*range(10_000, 10_400, 10), *range(0, 400, 10)]
    block = encode_rolled(roll_up(from_series(Series(times, {Measure.NETWORK_RECEIVE_BYTES: counted})), TEN_MINUTES))
    stats = decode_rolled(block).stats[Measure.NETWORK_RECEIVE_BYTES]
    assert stats.total.tolist() == [390.0, 390.0]
    assert stats.weight.tolist() == [585.0, 600.0]
    assert stats.value is not None
    assert stats.value.tolist() == [10_390, 390]


def test_runs_stay_exact_when_points_are_rolled_up_and_blocks_are_joined() -> None:
    times = [BEGIN_NS + 1 + number * 15 * NANOSECONDS for number in range(480)]
    series = Series(times, {Measure.MEMORY_BYTES: [1] * 480})
    places = [4] * 300 + [5] * 180
    halves = [
        encode_rolled(roll_up(from_series(_rows(series, rows), places[rows]), TEN_MINUTES))
        for rows in (slice(0, 240), slice(240, 480))
    ]
    joined = encode_rolled(join([decode_rolled(half) for half in halves]))
    assert decode_runs(joined) == [(times[0], times[299], 4), (times[300], times[479], 5)]
    apart = Series([times[0], times[0] + GAP_NS + 1], {Measure.MEMORY_BYTES: [1, 1]})
    assert len(decode_runs(encode_rolled(roll_up(from_series(apart, [4, 4]), TEN_MINUTES)))) == 2


def assert_same(one: Spans, other: Spans, counters: float = 1e-12) -> None:
    for name in ("span_ns", "starts_ns", "last_ns", "count"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.stats.keys() == other.stats.keys()
    for measure, stats in one.stats.items():
        for name in stats.__struct_fields__:
            kept, expected = getattr(stats, name), getattr(other.stats[measure], name)
            assert (kept is None) == (expected is None)
            if kept is not None:
                precision = counters if name in ("total", "value") and measure.is_counter else 1e-12
                np.testing.assert_allclose(kept, expected, rtol=precision, equal_nan=True)


def _cut(spans: Spans, at: int) -> Iterable[Spans]:
    for rows in (slice(0, at), slice(at, None)):
        stats = {measure: of.each(lambda column, rows=rows: column[rows]) for measure, of in spans.stats.items()}  # type: ignore[misc]
        yield Spans(spans.span_ns, spans.starts_ns[rows], spans.last_ns[rows], spans.count[rows], stats)


def _pick(series: Series, chosen: Iterable[bool]) -> Series:
    kept = [at for at, one in enumerate(chosen) if one]
    return Series(
        [series.times_ns[at] for at in kept],
        {measure: [values[at] for at in kept] for measure, values in series.values.items()},
    )


def _rows(series: Series, rows: slice) -> Series:
    return Series(series.times_ns[rows], {measure: values[rows] for measure, values in series.values.items()})
