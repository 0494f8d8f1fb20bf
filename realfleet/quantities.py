"""Canonical quantity text, as the platform's collectors store it. Source: apimachinery `resource.Quantity`."""

from decimal import Decimal, InvalidOperation

_DECIMAL_SUFFIXES = ("n", "u", "m", "", "k")
_BINARY_SUFFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi")
_FACTORS = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12} | {
    suffix: 1024**power for power, suffix in enumerate(_BINARY_SUFFIXES) if suffix
}


def format_nanocores(nanocores: int) -> str:
    """Zeros folded in steps of a thousand: 218250189 -> `218250189n`, 21825000 -> `21825u`, 0 -> `0`."""
    return _fold(nanocores, 1000, _DECIMAL_SUFFIXES)


def format_bytes(count: int) -> str:
    """Multiples of 1024 folded: 3221225472 -> `3Gi`, 1234567 -> `1234567`, 0 -> `0`."""
    return _fold(count, 1024, _BINARY_SUFFIXES)


def parse_bytes(text: str) -> int:
    """`128Mi` -> 134217728, `250M` -> 250000000, `0.5Gi` -> 536870912. Raises ValueError."""
    digits = text.rstrip("kKMGTPi")
    suffix = text[len(digits) :]
    try:
        return int(Decimal(digits) * (_FACTORS[suffix] if suffix else 1))
    except (KeyError, InvalidOperation) as error:
        raise ValueError(f"no quantity of bytes: {text!r}") from error


def _fold(value: int, step: int, suffixes: tuple[str, ...]) -> str:
    if value == 0:
        return "0"
    power = 0
    while value % step == 0 and power < len(suffixes) - 1:
        value //= step
        power += 1
    return f"{value}{suffixes[power]}"
