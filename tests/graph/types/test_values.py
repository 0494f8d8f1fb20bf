"""Scalars, ids and time ranges: from text and back."""

import pytest
from graphql import GraphQLError

from fleet.model.errors import InvalidQuery
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS
from graph.http.protocol import pick_answer_type, pick_weights
from graph.ids import decode_id, encode_node_id, encode_pod_id
from graph.loading.time_range import TimeRangeRequest, build_time_range
from graph.operation import Refused
from graph.scalars import format_date_time, format_duration, parse_date_time, parse_duration

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds", "printed"),
    [
        ("90s", 90, "1m30s"),
        ("5m", 300, "5m"),
        ("1h30m", 5400, "1h30m"),
        ("500ms", 0.5, "500ms"),
        ("1.5h", 5400, "1h30m"),
        ("1d", 86400, "24h"),
    ],
)
def test_durations(text: str, seconds: float, printed: str) -> None:
    assert parse_duration(text) == seconds
    assert format_duration(seconds) == printed


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5m ", "5 m", "1h-3m", "five", 5, None, "9" * 200 + "s"])
def test_no_durations(text: object) -> None:
    with pytest.raises(GraphQLError, match="duration"):
        parse_duration(text)


def test_times_are_utc() -> None:
    assert parse_date_time("2026-01-31T09:30:00+09:00") == parse_date_time("2026-01-31T00:30:00Z")
    assert format_date_time(1.0) == "1970-01-01T00:00:01Z"
    assert format_date_time(1.25) == "1970-01-01T00:00:01.250Z"
    for wrong in ("2026-01-31", "2026-01-31T09:30:00", "2026-02-30T09:30:00Z", 7):
        with pytest.raises(GraphQLError, match="RFC 3339"):
            parse_date_time(wrong)


@pytest.mark.parametrize("key", [PodKey("arn:aws/a:b", "shop", "p"), NodeKey("c1", "n1"), NodeKey("한국", "n")])
def test_ids_find_their_keys(key: PodKey | NodeKey) -> None:
    encoded = encode_pod_id(key) if isinstance(key, PodKey) else encode_node_id(key)
    assert decode_id(encoded) == key
    assert encoded.isascii()


@pytest.mark.parametrize("text", ["", "x", "!!!", "bnVsbA", "한", "A" * 5000, encode_node_id(NodeKey("c", "n"))[:-3]])
def test_no_ids(text: str) -> None:
    with pytest.raises(InvalidQuery):
        decode_id(text)


@pytest.mark.parametrize(
    ("request_", "step", "points"),
    [
        (TimeRangeRequest(), 60, 61),
        (TimeRangeRequest(last=300), 15, 21),
        (TimeRangeRequest(last=86400), 900, 97),
        (TimeRangeRequest(last=7 * 86400), 7200, 85),
        (TimeRangeRequest(last=3600, step=2), 2, 1800),
        (TimeRangeRequest(start=NOW - 600, end=NOW - 300, step=60), 60, 6),
        (TimeRangeRequest(last=600, end=NOW - 20, step=20), 20, 30),
    ],
)
def test_windows(request_: TimeRangeRequest, step: int, points: int) -> None:
    time_range = build_time_range(request_, NOW)
    assert time_range.step_ns == step * NANOSECONDS
    assert time_range.steps == points
    assert time_range.start_ns % time_range.step_ns == 0
    assert time_range.times_ns()[-1] < time_range.end_ns <= time_range.times_ns()[-1] + time_range.step_ns


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (TimeRangeRequest(last=0), "longer than nothing"),
        (TimeRangeRequest(last=60, start=NOW - 60), "not both"),
        (TimeRangeRequest(start=NOW, end=NOW), "before `end`"),
        (TimeRangeRequest(start=NOW + 5), "future"),
        (TimeRangeRequest(step=0), "1s at least"),
        (TimeRangeRequest(last=86400, step=10), 'a step of "1m" would do'),
        (TimeRangeRequest(end=5), "1970"),
        (TimeRangeRequest(start=0, end=4e9), "20 years"),
    ],
)
def test_no_windows(request_: TimeRangeRequest, words: str) -> None:
    with pytest.raises(InvalidQuery, match=words):
        build_time_range(request_, NOW)


@pytest.mark.parametrize("span", [1, 60, 599, 3600, 86400, 31 * 86400, 366 * 86400, 19 * 366 * 86400])
def test_a_chosen_step_gives_at_most_500_points(span: float) -> None:
    assert 1 <= build_time_range(TimeRangeRequest(last=span), NOW).steps <= 500


@pytest.mark.parametrize("step", [1, 1.5, 7, 60, 3600])
@pytest.mark.parametrize("after", [0, 0.1, 0.9999999, 1234.567891])
def test_as_many_steps_as_are_allowed_are_as_many_points(step: float, after: float) -> None:
    now = NOW + after
    for request in (
        TimeRangeRequest(last=2000 * step, step=step),
        TimeRangeRequest(start=now - 2000 * step, end=now, step=step),
    ):
        time_range = build_time_range(request, now)
        assert 1999 <= len(time_range.times_ns()) <= 2000
        assert time_range.times_ns()[-1] < time_range.end_ns <= time_range.times_ns()[-1] + time_range.step_ns


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/graphql-response+json", "application/graphql-response+json"),
        ("application/graphql-response+json, application/json;q=0.9", "application/graphql-response+json"),
        ("application/json, application/graphql-response+json;q=0.5", "application/json"),
        ("text/html, */*;q=0.8", "application/json"),
    ],
)
def test_the_answer_type_is_what_the_client_takes(accept: str | None, kind: str) -> None:
    assert pick_answer_type(accept) == kind


def test_an_answer_nobody_takes_is_refused() -> None:
    with pytest.raises(Refused):
        pick_answer_type("image/png")


def test_of_a_long_accept_only_the_beginning_is_read() -> None:
    weights = pick_weights("text/csv," + "a/b;q=0.5," * 6_000 + "text/plain")
    assert (weights.get("text/csv"), weights.get("text/plain")) == (1, None)
