"""Whose trace a request is of: what callers say, rightly or wrongly. The cases are those of W3C's own test suite."""

import pytest

from server.tracing.context import Remote, read_remote

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
REMOTE = Remote(int(TRACE, 16), int(SPAN, 16), sampled=True)


@pytest.mark.parametrize(
    ("parent", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f" 00-{TRACE}-{SPAN}-01\t", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be", True),
    ],
)
def test_a_right_parent_is_followed(parent: str, sampled: bool) -> None:
    assert read_remote([(b"traceparent", parent.encode())]) == Remote(REMOTE.trace_id, REMOTE.span_id, sampled)


@pytest.mark.parametrize(
    "parents",
    [
        [],
        [""],
        [f"00-{TRACE}-{SPAN}"],
        [f"00-{TRACE}-{SPAN}-01-more"],
        [f"00-{TRACE}-{SPAN}-01."],
        [f"cc-{TRACE}-{SPAN}-01.what"],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"0-{TRACE}-{SPAN}-01"],
        [f"00-{TRACE.upper()}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE[1:]}-{SPAN}-01"],
        [f"00-{TRACE}-{SPAN}-1"],
        [f"00-{TRACE}-{SPAN}-.0"],
        [f"00-{TRACE}-{SPAN}-01\r\nX-Evil: 1"],
        [f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"],
    ],
)
def test_a_wrong_parent_begins_a_trace_of_our_own(parents: list[str]) -> None:
    assert read_remote([(b"traceparent", parent.encode()) for parent in parents]) is None


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (["foo=1,bar=2"], b"foo=1,bar=2"),
        (["foo=1", "bar=2"], b"foo=1,bar=2"),
        (["foo=1 \t , \t bar=2, \t baz=3,"], b"foo=1,bar=2,baz=3"),
        (["t-*_/a@sys=of a kind"], b"t-*_/a@sys=of a kind"),
        (["foo =1"], b""),
        (["FOO=1"], b""),
        (["foo=bar=baz"], b""),
        (["foo"], b""),
        (["foo=1\r\nX-Evil: 1"], b""),
        ([",".join(f"k{number}=1" for number in range(33))], b""),
        ([f"foo={'x' * 3_000}"], b""),
    ],
)
def test_a_state_goes_on_as_it_came_or_not_at_all(states: list[str], state: bytes) -> None:
    headers = [(b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())]
    found = read_remote([*headers, *((b"tracestate", each.encode()) for each in states)])
    assert found is not None
    assert found.state == state
