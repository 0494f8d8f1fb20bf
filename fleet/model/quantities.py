"""Kubernetes quantities: text to numbers and back.

Source: apimachinery `resource.Quantity`. The grammar is its documented one: an optional sign, decimal digits with an
optional point, then nothing, a decimal suffix (n u m k M G T P E), a binary suffix (Ki Mi Gi Ti Pi Ei), or an exponent
(`e3`, `E-2`). Arithmetic is exact, on integers of billionths (no quantity is finer); what is finer rounds away from
zero, and a binary quantity is capped at 2**63-1, both as the original does.
"""

import re
from functools import lru_cache

NANO = 1_000_000_000
MAX_BINARY = 2**63 - 1
MAX_LENGTH = 128

_SHAPE = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)", re.ASCII)
_DECIMAL = {"": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_CORE_DIVISORS = {"n": NANO, "u": 1_000_000, "m": 1_000}
_BIGGEST_EXPONENT = 100
_SMALLEST_EXPONENT = -1_000


def parse_cores(text: str) -> float:
    """`218250189n` -> 0.218250189, `500m` -> 0.5, `2` -> 2.0. The nearest float of the exact value.

    Raises ValueError.
    """
    # The usual shapes first: a large fleet sends a hundred thousand of them at once.
    divisor = _CORE_DIVISORS.get(text[-1:])
    digits = text if divisor is None else text[:-1]
    if len(digits) <= 18 and digits.isdigit() and digits.isascii():
        return int(digits) / (divisor or 1)
    return parse_nanos(text) / NANO


def parse_bytes(text: str) -> int:
    """`14692232Ki` -> 15044845568, `1G` -> 1000000000, `1e3` -> 1000. Fractions of a byte round away from zero.

    Raises ValueError.
    """
    shift = _BINARY.get(text[-2:])
    digits = text if shift is None else text[:-2]
    if len(digits) <= 18 and digits.isdigit() and digits.isascii():
        return int(digits) if shift is None else min(int(digits) << shift, MAX_BINARY)
    return round_nanos(parse_nanos(text))


def parse_count(text: str) -> int:
    """`110` -> 110, `1k` -> 1000. Fractions round away from zero. Raises ValueError."""
    if len(text) <= 18 and text.isdigit() and text.isascii():
        return int(text)
    return round_nanos(parse_nanos(text))


def format_nanocores(cores: float) -> str:
    """0.218250189 -> `218250189n`: always billionths, for clients that cut at the suffix. Raises ValueError for NaN."""
    return f"{round(cores * NANO)}n"


def format_kibibytes(amount: int) -> str:
    """15044845568 bytes -> `14692232Ki`: always kibibytes, the nearest, for clients that cut at the suffix."""
    return f"{(amount + 512) // 1024}Ki"


def canonical_cores(cores: float) -> str:
    """0.218250189 -> `218250189n`, 0.021825 -> `21825u`, 2.0 -> `2`: as `resource.Quantity` prints it."""
    return _fold(round(cores * NANO), 1000, ("n", "u", "m", "", "k"))


def canonical_bytes(amount: int) -> str:
    """3221225472 -> `3Gi`, 1234567 -> `1234567`: as `resource.Quantity` prints a binary one."""
    return _fold(amount, 1024, ("", *_BINARY))


def _fold(amount: int, step: int, suffixes: tuple[str, ...]) -> str:
    power = 0
    while amount and amount % step == 0 and power < len(suffixes) - 1:
        amount //= step
        power += 1
    return f"{amount}{suffixes[power]}" if amount else "0"


@lru_cache(maxsize=4096)
def parse_nanos(text: str) -> int:
    """The quantity in billionths. Raises ValueError."""
    match = _SHAPE.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise ValueError(
            f"{text[:40]!r} is not a quantity: expected digits with an optional sign, point and one of the suffixes "
            "n u m k M G T P E Ki Mi Gi Ti Pi Ei or an exponent such as e3"
        )
    sign, number, suffix = match.groups()
    whole, _, fraction = number.partition(".")
    digits = int(whole + fraction)
    if suffix in _BINARY:
        nanos = min(_scaled(digits << _BINARY[suffix], -len(fraction)), MAX_BINARY * NANO)
    else:
        nanos = _scaled(digits, _exponent(suffix, text) - len(fraction))
    return -nanos if sign == "-" else nanos


def _exponent(suffix: str, text: str) -> int:
    if suffix in _DECIMAL:
        return _DECIMAL[suffix]
    exponent = int(suffix[1:])
    if exponent > _BIGGEST_EXPONENT:
        raise ValueError(f"{text[:40]!r} is too large: the exponent may be {_BIGGEST_EXPONENT} at most")
    return max(exponent, _SMALLEST_EXPONENT)


def _scaled(digits: int, exponent: int) -> int:
    """`digits * 10**exponent` in billionths, rounded up."""
    power = exponent + 9
    factor: int = 10 ** abs(power)
    return digits * factor if power >= 0 else -(-digits // factor)


def round_nanos(nanos: int) -> int:
    """Billionths to ones, rounded away from zero."""
    return -(-nanos // NANO) if nanos >= 0 else nanos // NANO
