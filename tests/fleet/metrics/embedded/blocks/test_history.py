"""History from spans and points is held against `aggregate.build_history` over the points themselves."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.metrics.aggregate import Series, build_history, nearest_rank
from fleet.metrics.embedded.blocks.columns import PRECISION
from fleet.metrics.embedded.blocks.history import as_points, build_histories
from fleet.metrics.embedded.blocks.raw import decode_spans, encode_points
from fleet.metrics.embedded.blocks.rolled import decode_rolled, encode_rolled
from fleet.metrics.embedded.blocks.spans import Spans, from_series, roll_up
from fleet.model.usage import NANOSECONDS, Aggregate, Column, History, Measure, Point, TimeRange
from tests.fleet.metrics.embedded.blocks.drawn import BEGIN_NS, COUNTERS, GAUGES, draw_series

MINUTE, TEN_MINUTES = 60 * NANOSECONDS, 600 * NANOSECONDS
AGGREGATES = (Aggregate.MEAN, Aggregate.MIN, Aggregate.MAX, Aggregate.LAST)
COLUMNS = [(measure, aggregate) for measure in GAUGES + COUNTERS for aggregate in Aggregate]
KEPT = [column for column in COLUMNS if column[1] in AGGREGATES]


@st.composite
def draw_window(draw: st.DrawFn, unit_ns: int) -> TimeRange:
    step = draw(st.integers(1, 12)) * unit_ns
    start = (BEGIN_NS // step + draw(st.integers(-3, 30))) * step
    return TimeRange(start, start + draw(st.integers(1, 40 * step)), step)


@given(st.lists(draw_series(), max_size=3), draw_window(7 * NANOSECONDS))
def test_points_in_blocks_answer_as_points_do(page: list[Series], window: TimeRange) -> None:
    parts = [(number, [decode_spans(encode_points(series))]) for number, series in enumerate(page)]
    assert_alike(build_histories(parts, window, COLUMNS), _plainly(page, window, COLUMNS), 1e-12)


@pytest.mark.parametrize("span_ns", [MINUTE, TEN_MINUTES])
@given(data=st.data())
def test_spans_answer_as_points_do_where_they_divide_the_step(span_ns: int, data: st.DataObject) -> None:
    page = data.draw(st.lists(draw_series(), max_size=3))
    window = data.draw(draw_window(span_ns))
    # Of a step that is cut short, spans know the whole.
    window = TimeRange(window.start_ns, window.start_ns + window.steps * window.step_ns, window.step_ns)
    parts = [(number, [_kept(roll_up(from_series(series), span_ns))]) for number, series in enumerate(page)]
    histories = build_histories(parts, window, KEPT)
    assert_alike(histories, _plainly(page, window, KEPT), 2 * PRECISION)
    assert {history.resolution_ns for history in histories.values()} <= {span_ns}


@given(draw_series(), st.integers(0, 79), draw_window(MINUTE))
def test_points_after_spans_and_points_are_counted_from_these(series: Series, cut: int, window: TimeRange) -> None:
    window = TimeRange(window.start_ns, window.start_ns + window.steps * window.step_ns, window.step_ns)
    border = series.times_ns[min(cut, len(series.times_ns) - 1)] // TEN_MINUTES * TEN_MINUTES
    old, new = _halves(series, border)
    later, newest = _halves(new, border + 2 * TEN_MINUTES)
    parts = [_kept(roll_up(from_series(old), MINUTE))] if old.times_ns else []
    parts += [decode_spans(encode_points(later))] if later.times_ns else []
    parts.append(from_series(newest))
    assert_alike(build_histories([(0, parts)], window, KEPT), _plainly([series], window, KEPT), 2 * PRECISION)


def test_percentiles_of_spans_are_of_their_means() -> None:
    times = [BEGIN_NS // TEN_MINUTES * TEN_MINUTES + number * 15 * NANOSECONDS for number in range(40)]
    values = [float(number * number % 37) for number in range(40)]
    spans = roll_up(from_series(Series(times, {Measure.CPU_CORES: values})), MINUTE)
    window = TimeRange(times[0], times[0] + TEN_MINUTES, TEN_MINUTES)
    columns = [(Measure.CPU_CORES, aggregate) for aggregate in (Aggregate.P50, Aggregate.P95, Aggregate.P99)]
    history = build_histories([("pod", [spans])], window, columns)["pod"]
    means = [sum(values[begin : begin + 4]) / 4 for begin in range(0, 40, 4)]
    assert [history.columns[column] for column in columns] == [
        [nearest_rank(means, percent)] for percent in (50, 95, 99)
    ]


def test_spans_longer_than_a_step_say_so() -> None:
    times = [BEGIN_NS // TEN_MINUTES * TEN_MINUTES + number * 15 * NANOSECONDS for number in range(80)]
    spans = roll_up(from_series(Series(times, {Measure.CPU_CORES: [0.5] * 80})), TEN_MINUTES)
    window = TimeRange(times[0], times[0] + 2 * TEN_MINUTES, TEN_MINUTES // 2)
    column = (Measure.CPU_CORES, Aggregate.MEAN)
    history = build_histories([("pod", [spans])], window, [column])["pod"]
    assert history.columns[column] == [0.5, None, 0.5, None]
    assert history.resolution_ns == TEN_MINUTES


def test_an_object_without_a_point_in_the_window_has_no_history() -> None:
    spans = from_series(Series([BEGIN_NS], {Measure.CPU_CORES: [0.5]}))
    window = TimeRange(BEGIN_NS + 1, BEGIN_NS + 2, 1)
    assert build_histories([("pod", [spans]), ("other", [])], window, COLUMNS) == {}


def test_spans_still_tell_of_points_with_what_was_counted() -> None:
    begin = BEGIN_NS // TEN_MINUTES * TEN_MINUTES
    times = [begin + number * 15 * NANOSECONDS for number in range(80)]
    series = Series(
        times,
        {
            Measure.CPU_CORES: [number / 1024 for number in range(80)],
            Measure.MEMORY_BYTES: [4096 * number for number in range(79)] + [None],
            Measure.NETWORK_RECEIVE_BYTES: [10**12 + number for number in range(80)],
        },
    )
    assert as_points(_kept(roll_up(from_series(series), TEN_MINUTES))) == [
        Point(times[at], cpu_cores=at / 1024, memory_bytes=4096 * of, network_receive_bytes=10**12 + at)
        for at, of in ((39, 39), (79, 78))
    ]


def assert_alike(found: dict[int, History], expected: dict[int, History], precision: float) -> None:
    assert found.keys() == expected.keys()
    for key, history in found.items():
        assert history.time_range == expected[key].time_range
        for column, values in history.columns.items():
            wanted = expected[key].columns[column]
            assert [value is None for value in values] == [value is None for value in wanted], column
            present = [value for value in wanted if value is not None]
            assert [value for value in values if value is not None] == pytest.approx(present, rel=precision), column


def _plainly(page: list[Series], window: TimeRange, columns: list[Column]) -> dict[int, History]:
    found = {}
    for number, series in enumerate(page):
        none = [None] * len(series.times_ns)
        every = Series(series.times_ns, {measure: series.values.get(measure, none) for measure, _ in columns})
        if (history := build_history(every, window, columns)) is not None:
            found[number] = history
    return found


def _halves(series: Series, border_ns: int) -> Iterable[Series]:
    at = sum(time_ns < border_ns for time_ns in series.times_ns)
    for rows in (slice(0, at), slice(at, None)):
        yield Series(series.times_ns[rows], {measure: of[rows] for measure, of in series.values.items()})


def _kept(spans: Spans) -> Spans:
    return decode_rolled(encode_rolled(spans))
