"""Label selectors are read and matched as the API server does it."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.model.errors import InvalidQuery
from fleet.model.objects import Pairs
from fleet.model.selectors import parse_label_selector

WEB: Pairs = (("app", "web"), ("tier", "front"), ("example.com/release", "7"), ("empty", ""))


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("", True),
        ("  \t", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier=front", True),
        ("app=db", False),
        ("app!=db", True),
        ("app!=web", False),
        ("absent!=web", True),
        ("app", True),
        ("!app", False),
        ("absent", False),
        ("!absent", True),
        ("! absent", True),
        ("app in (web,db)", True),
        ("app in(db)", False),
        ("app notin (db)", True),
        ("app notin (web, db)", False),
        ("absent notin (web)", True),
        ("absent in (web)", False),
        ("empty=", True),
        ("empty", True),
        ("app=", False),
        ("empty in ()", True),
        ("empty in (a,,b)", True),
        ("empty in (,)", True),
        ("empty notin (a)", True),
        ("empty=,app=web", True),
        ("example.com/release>6", True),
        ("example.com/release > 7", False),
        ("example.com/release<10", True),
        ("app>1", False),
        ("absent<1", False),
        ("app=in", False),
        ("app notin (in,notin)", True),
        ("!in,!notin", True),
        ("app=web,app!=db,tier in (front),!legacy", True),
    ],
)
def test_selectors_select(selector: str, selected: bool) -> None:
    assert parse_label_selector(selector).matches(WEB) is selected


@pytest.mark.parametrize(
    ("selector", "position", "expected"),
    [
        ("app=web,", 9, "a label key or '!'"),
        (",app", 1, "a label key or '!'"),
        ("app,,tier", 5, "a label key or '!'"),
        ("app===web", 6, "a value"),
        ("app=web=db", 8, "',' or the end"),
        ("app web", 5, "one of = == != > < in notin"),
        ("app in web", 8, "'('"),
        ("app in (web", 12, "',' or ')'"),
        ("app in (", 9, "a value, ',' or ')'"),
        ("app in (web db)", 13, "',' or ')'"),
        ("app in (=)", 9, "a value, ',' or ')'"),
        ("!app in (web)", 6, "',' or the end"),
        ("!app=web", 5, "',' or the end"),
        ("!!app", 2, "a label key"),
        ("!", 2, "a label key"),
        ("app>web", 5, "an integer after '>'"),
        ("app<9223372036854775808", 5, "an integer after '<'"),
        ("app>", 5, "an integer after '>'"),
        ("app=-web", 5, "a letter or digit at both ends"),
        ("app>-1", 5, "a letter or digit at both ends"),
        ("app=wéb", 5, "a letter or digit at both ends"),
        (f"app={'a' * 64}", 5, "at most 63"),
        (f"{'a' * 64}=1", 1, "1 to 63"),
        ("a/b/c=1", 1, "lower-case DNS name"),
        ("/a=1", 1, "lower-case DNS name"),
        ("Example.com/a=1", 1, "lower-case DNS name"),
        ("example.com/=1", 1, "1 to 63"),
        (f"{'a' * 254}/b", 1, "at most 253"),
        ("app\x00=web", 1, "1 to 63"),
        ("tier=front,a b", 14, "one of"),
    ],
)
def test_what_the_api_server_refuses_is_refused_at_its_place(selector: str, position: int, expected: str) -> None:
    with pytest.raises(InvalidQuery, match=f"character {position}:.*{re.escape(expected)}"):
        parse_label_selector(selector)


def test_a_selector_without_end_is_refused() -> None:
    with pytest.raises(InvalidQuery, match="16384 at most"):
        parse_label_selector("a" * 20_000)


def test_an_index_is_told_what_must_be_equal() -> None:
    selector = parse_label_selector("app=web,tier in (front),zone in (a,b),env!=test,release")
    assert selector.equal == (("app", "web"), ("tier", "front"))


def test_selectors_are_equal_and_hash_by_their_text() -> None:
    texts = ("app=web", "app=web", "app=db")
    assert len({parse_label_selector(text) for text in texts}) == 2


KEYS = st.sampled_from(["app", "tier", "example.com/x"])
VALUES = st.sampled_from(["", "web", "db", "in", "notin"])


@given(st.dictionaries(KEYS, VALUES), KEYS, st.lists(VALUES, min_size=1, max_size=3))
def test_in_and_notin_part_all_objects_in_two(labels: dict[str, str], key: str, values: list[str]) -> None:
    within = parse_label_selector(f"{key} in ({','.join(values)})")
    outside = parse_label_selector(f"{key} notin ({','.join(values)})")
    pairs = tuple(labels.items())
    assert within.matches(pairs) is (labels.get(key) in values)
    assert within.matches(pairs) is not outside.matches(pairs)


@given(st.text(alphabet="ab=!<>(), inot/.-", max_size=14))
def test_any_text_is_a_selector_or_an_invalid_query(text: str) -> None:
    with contextlib.suppress(InvalidQuery):
        assert parse_label_selector(text).matches(WEB) in (True, False)
