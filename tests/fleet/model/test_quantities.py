"""Kubernetes quantities become numbers exactly, and numbers the documented shapes."""

import contextlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.model.quantities import (
    MAX_BINARY,
    format_kibibytes,
    format_nanocores,
    parse_bytes,
    parse_cores,
    parse_count,
)

FACTORS = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    **{suffix: Fraction(10 ** (3 * power)) for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", 1)},
}


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("218250189n", 0.218250189),
        ("21825u", 0.021825),
        ("500m", 0.5),
        ("2", 2.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("+1.5", 1.5),
        ("-250m", -0.25),
        ("1e3", 1000.0),
        ("1E-3", 0.001),
        ("0.1n", 1e-9),
        ("1k", 1000.0),
        ("00012", 12.0),
    ],
)
def test_cores_are_the_nearest_float_of_the_exact_value(text: str, cores: float) -> None:
    assert parse_cores(text) == cores


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("14692232Ki", 15044845568),
        ("3Gi", 3 * 1024**3),
        ("512Mi", 512 * 1024**2),
        ("1234567", 1234567),
        ("0", 0),
        ("1G", 10**9),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("1Ei", 1024**6),
        ("1.5Gi", 3 * 1024**3 // 2),
        (".5Ki", 512),
        ("1.", 1),
        ("100m", 1),
        ("1500m", 2),
        ("-1500m", -2),
        ("9Ei", MAX_BINARY),
        ("9E", 9 * 10**18),
    ],
)
def test_bytes_are_whole_and_round_away_from_zero(text: str, amount: int) -> None:
    assert parse_bytes(text) == amount


@pytest.mark.parametrize(("text", "count"), [("110", 110), ("1k", 1000), ("1e2", 100), ("500m", 1)])
def test_counts_are_whole(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "1 ", " 1", "1\n", "-", "+", ".", "1..2", "--1", "1_000", "0x10", "1K", "1ki", "1Gb", "1mi", "1ni"),
        *("1e", "1e+", "1e1.5", "1e3Ki", "m", "Ki", "inf", "nan", "\u0661", "1\u00a0", "1e101", "1" * 200),
    ],
)
def test_what_is_no_quantity_is_refused_with_what_would_be_right(text: str) -> None:
    for parse in (parse_cores, parse_bytes, parse_count):
        with pytest.raises(ValueError, match=r"is not a quantity|is too large"):
            parse(text)


@given(st.integers(0, 10**30), st.integers(0, 12), st.sampled_from(sorted(FACTORS)), st.booleans())
def test_every_suffix_and_fraction_is_exact(digits: int, places: int, suffix: str, negative: bool) -> None:
    text = f"{digits:0{places + 1}d}"
    text = f"{text[: len(text) - places]}.{text[len(text) - places :]}{suffix}" if places else f"{text}{suffix}"
    value = Fraction(digits, 10**places) * FACTORS[suffix]
    expected = min(-(-value // 1), MAX_BINARY) if suffix.endswith("i") else -(-value // 1)
    assert parse_bytes(text) == expected
    assert parse_bytes(f"-{text}") == -expected


@given(st.integers(0, 10**15))
def test_nanocores_survive_a_round_trip(nanos: int) -> None:
    text = f"{nanos}n"
    assert format_nanocores(parse_cores(text)) == text


@given(st.integers(0, 2**50))
def test_kibibytes_survive_a_round_trip(kibibytes: int) -> None:
    text = f"{kibibytes}Ki"
    assert format_kibibytes(parse_bytes(text)) == text


def test_bytes_between_two_kibibytes_become_the_nearest() -> None:
    assert [format_kibibytes(amount) for amount in (0, 511, 512, 1024, 1535, 1536)] == [
        *("0Ki", "0Ki", "1Ki", "1Ki", "1Ki", "2Ki"),
    ]


@given(st.text(max_size=12))
def test_any_text_is_a_number_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_bytes(text) == pytest.approx(parse_cores(text), abs=1)
