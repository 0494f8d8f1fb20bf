"""What machines send where text is expected: samples that were spoilt, and texts made of what a grammar is made of."""

import copy
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

_LONG = {
    "@lists@": "[" * 20_000,
    "@objects@": '{"a":' * 20_000,
    '"@deep@"': "[" * 20_000 + "]" * 20_000,
    '"@shallow@"': "[" * 1_050 + "]" * 1_050,
    "@long@": "a" * 5_000,
    "@digits@": "9" * 5_000,
    "@items@": "- " * 5_000,
    "@fields@": "X: y\r\n" * 300,
}
"""What is written late, so that what hypothesis holds and shows stays small."""

ODD_TEXTS = (
    *("", " ", "\x00", "\ud800", "é", "٣", "%00", "../..", "1e999", "-1", "NaN"),
    *("@long@", "@digits@", "@deep@", "@shallow@"),
)
ODD_VALUES: Sequence[Any] = (
    *(None, True, False, 0, -1, 2**31, 2**63, 2**64, -(2**70), 10**400, 1.5, 1e308, float("nan"), float("inf")),
    *([], {}, [None], [[]], {"": None}, {"a": {"b": []}}),
    *ODD_TEXTS,
)
ODD_BYTES = (b"", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"@lists@", b"@objects@", b"\r\n\r\n")
ODD_YAML = (
    *(
        "!!timestamp x",
        '!!int ""',
        "!!int x",
        '!!float ""',
        "!!bool x",
        "!!binary é",
        "!!null x",
        "2026-99-99",
        "@digits@",
    ),
    *("&a [*a]", "&a {? *a : b}", "? [a]\n: b", "{<<: a}", "!!set {a}", "!!omap [a]", "!!python/object:os.system {}"),
    *("@lists@", "@items@", "*a", "\t", "1:30", "y", "0x", "%", "\x00", "!mine a", "--- a\n--- b"),
)


def texts(*pieces: str) -> st.SearchStrategy[str]:
    """Any text, odd ones, and what can be put together of `pieces`."""
    parts = st.lists(st.sampled_from([*pieces, *ODD_TEXTS]) | st.text(max_size=3), max_size=8)
    return parts.map(lambda drawn: _lengthened("".join(drawn))) | st.text(st.characters(codec=None), max_size=40)


def blobs(*pieces: bytes) -> st.SearchStrategy[bytes]:
    put_together = st.lists(st.sampled_from([*pieces, *ODD_BYTES]) | st.binary(max_size=3), max_size=8).map(b"".join)
    return st.one_of(put_together, st.binary(max_size=60)).map(_lengthened_bytes)


@st.composite
def spoilt(draw: st.DrawFn, sample: Any) -> Any:
    """The sample with up to three of its values, at any depth, replaced by odd ones or left out."""
    value = copy.deepcopy(sample)
    for _ in range(draw(st.integers(0, 3))):
        value = _spoil(draw, value)
    return value


def spoilt_json(sample: Any) -> st.SearchStrategy[bytes]:
    """The same as JSON, sometimes cut or with odd bytes in it."""
    whole = spoilt(sample).map(as_json)
    return whole.flatmap(lambda body: st.just(body) | _cut_into(body)) | blobs(b'{"a":', b"}", b"[", b"]", b"null")


def spoilt_bytes(sample: bytes) -> st.SearchStrategy[bytes]:
    return _cut_into(sample) | blobs(*sample.split(b"\n"))


def yaml_of(*lines: str) -> st.SearchStrategy[bytes]:
    """Files of these lines, of which some have an odd value or are not there."""
    values = st.sampled_from(ODD_YAML) | st.just("") | texts(":", "-", "\n  ")
    line = st.tuples(st.sampled_from(lines), values).map(lambda parts: f"{parts[0].partition(':')[0]}: {parts[1]}")
    files = st.lists(st.sampled_from(lines) | line | st.sampled_from(ODD_YAML), max_size=8).map("\n".join)
    return files.map(lambda text: _lengthened(text).encode("utf-8", "surrogatepass")) | blobs(
        b"a: ", b"- ", b"{", b"\n", b"!!"
    )


def as_json(value: Any) -> bytes:
    return _lengthened(json.dumps(value, ensure_ascii=False)).encode("utf-8", "surrogatepass")


def _lengthened(text: str) -> str:
    for named, long in _LONG.items():
        text = text.replace(named, long)
    return text


def _lengthened_bytes(text: bytes) -> bytes:
    return _lengthened(text.decode("latin-1")).encode("latin-1")


def _spoil(draw: st.DrawFn, value: Any) -> Any:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not keys or draw(st.integers(0, 9)) == 0:
        return copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
    key = draw(st.sampled_from(keys))
    if draw(st.integers(0, 9)) == 0:
        del value[key]
    else:
        value[key] = _spoil(draw, value[key])
    return value


@st.composite
def _cut_into(draw: st.DrawFn, whole: bytes) -> bytes:
    begin = draw(st.integers(0, len(whole)))
    end = draw(st.integers(begin, min(begin + 4, len(whole))))
    return _lengthened_bytes(whole[:begin] + draw(st.sampled_from(ODD_BYTES) | st.binary(max_size=3)) + whole[end:])
