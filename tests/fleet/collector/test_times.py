"""A point's time is that of its measuring, whatever the clock of the node."""

from datetime import UTC, datetime, timedelta

import pytest

from fleet.collector.readings import ReadAt, decode_metrics, decode_summary
from fleet.model.usage import NANOSECONDS
from tests.fleet.collector.summaries import build_metrics, build_summary

SAID = datetime(2026, 7, 14, 7, 23, 8, tzinfo=UTC)
"""When the bytes of `summaries` say that they were measured, by the clock of their node."""

SAID_NS = int(SAID.timestamp()) * NANOSECONDS


def at(seconds: float) -> int:
    return SAID_NS + round(seconds * NANOSECONDS)


@pytest.mark.parametrize(
    ("read_after", "date_after", "expected"),
    [
        (9.7, 9, at(0)),
        (9.7, None, at(0)),
        (7.2, 9, at(0)),
        (90.0, 90, at(0)),
        (3609.5, 9, at(3600)),
        (-3590.5, 9, at(-3600)),
        (3600.0, None, at(3600)),
        (-3600.0, None, at(-3600)),
        (-1.0, 0, at(-1)),
    ],
    ids=[
        "ten seconds ago",
        "the server does not say what time it is",
        "clocks that agree but for seconds",
        "a kubelet that measures no more",
        "a node an hour behind",
        "a node an hour ahead",
        "behind, and it does not say",
        "ahead, and it does not say",
        "never later than it was read",
    ],
)
def test_the_time_is_that_of_measuring_by_our_clock(read_after: float, date_after: int | None, expected: int) -> None:
    date = None if date_after is None else SAID + timedelta(seconds=date_after)
    reading = decode_summary(build_summary("n1", ("shop", "p0")), "c1", "n1", ReadAt(at(read_after), date))
    assert [point.time_ns for _, point in (*reading.pods, *reading.nodes)] == [expected] * 2
    nodes, pods = build_metrics()
    reading = decode_metrics(nodes, pods, "c1", lambda _: None, ReadAt(at(read_after), date))
    assert [point.time_ns for _, point in (*reading.pods, *reading.nodes)] == [expected] * 2


def test_no_time_is_before_all_that_stores_count() -> None:
    """A member that says the zero time of Go would be refused with all that is delivered beside it."""
    said = build_summary("n1", ("shop", "p0")).replace(b"2026-07-14", b"0001-01-01")
    reading = decode_summary(said, "c1", "n1", ReadAt(at(9.7), SAID))
    assert {point.time_ns for _, point in (*reading.pods, *reading.nodes)} == {0}
