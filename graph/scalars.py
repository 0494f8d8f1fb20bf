"""Scalars of the graph, each with one text form and one Python form.

In Python a `Duration` is seconds, a `DateTime` Unix seconds, as everywhere in `fleet`; on the wire they are text.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NewType, cast

import strawberry
from graphql import GraphQLError
from strawberry.scalars import JSON
from strawberry.types.scalar import ScalarDefinition

from fleet.model.usage import NANOSECONDS

BigInt = NewType("BigInt", int)
Duration = NewType("Duration", float)
DateTime = NewType("DateTime", float)

SMALLEST_BIG_INT, LARGEST_BIG_INT = -(2**63), 2**64 - 1
"""The whole numbers that answers are written with: those of 64 bits, with a sign or without."""

LARGEST_INT = 2**31 - 1

UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|[smhdw])")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


class OutOfRange(Exception):
    """An amount that is more than its field's type holds: the field is null, and the error is at its path."""

    def __init__(self, amount: int, most: int) -> None:
        super().__init__(f"{amount} is out of the range of this field, whose values are {most:,} at most")


def serialize_big_int(value: object) -> int:
    """As a JSON number. Raises OutOfRange for one that can't be written."""
    number = int(value)  # type: ignore[call-overload]  # what is no number is refused by int itself
    if not SMALLEST_BIG_INT <= number <= LARGEST_BIG_INT:
        raise OutOfRange(number, LARGEST_BIG_INT)
    return cast("int", number)


def parse_duration(text: object) -> Duration:
    """`90s` -> 90.0, `1h30m` -> 5400.0, `7d` -> 604800.0. Raises GraphQLError that says what would be right."""
    parts = _PART.findall(text) if isinstance(text, str) and len(text) <= 100 else []
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise GraphQLError(f'{_shown(text)} is not a duration: write it as "90s", "5m" or "1h30m" (ms, s, m, h, d, w)')
    return Duration(sum(float(number) * UNIT_SECONDS[unit] for number, unit in parts))


def format_duration(seconds: float) -> str:
    """90.0 -> `1m30s`, 5400.0 -> `1h30m`, 0.5 -> `500ms`."""
    milliseconds = round(seconds * 1000)
    if milliseconds <= 0:
        return "0s"
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    whole, rest = divmod(rest, 1000)
    amounts = ((hours, "h"), (minutes, "m"), (whole, "s"), (rest, "ms"))
    return "".join(f"{amount}{unit}" for amount, unit in amounts if amount)


def parse_date_time(text: object) -> DateTime:
    """RFC 3339 with an offset -> Unix seconds. Raises GraphQLError that says what would be right."""
    if isinstance(text, str) and _DATE_TIME.fullmatch(text):
        try:
            return DateTime(datetime.fromisoformat(text.upper()).timestamp())
        except (ValueError, OverflowError):  # the 30th of February, the 25th hour
            pass
    raise GraphQLError(f'{_shown(text)} is not a time: write it in RFC 3339 with an offset, as "2026-01-31T09:30:00Z"')


@lru_cache(maxsize=8192)  # the steps of a history are the same for all its objects
def format_date_time(seconds: float) -> str:
    """Unix seconds -> RFC 3339 in UTC, to the millisecond, without a fraction where there is none."""
    moment = datetime.fromtimestamp(round(seconds, 3), UTC)
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return f"{text[:-6]}Z"


def from_nanoseconds(time_ns: int) -> DateTime:
    """A time as metric stores keep it."""
    return cast("DateTime", time_ns / NANOSECONDS)  # calling it would be a call more, and lists have thousands


def _parse_big_int(value: object) -> BigInt:
    if isinstance(value, int) and not isinstance(value, bool):
        return BigInt(value)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,30}", value):
        return BigInt(int(value))
    raise GraphQLError(f"{_shown(value)} is not a whole number")


def _shown(value: object) -> str:
    return repr(value)[:60]


SCALARS: dict[object, ScalarDefinition] = {
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A whole number of up to 64 bits, as a JSON number. Byte counts are BigInts.",
        serialize=serialize_big_int,
        parse_value=_parse_big_int,
    ),
    Duration: strawberry.scalar(
        name="Duration",
        description='A span of time as text: "500ms", "90s", "5m", "1h30m", "7d".',
        serialize=format_duration,
        parse_value=parse_duration,
    ),
    DateTime: strawberry.scalar(
        name="DateTime",
        description='A moment in RFC 3339; answers are in UTC: "2026-01-31T09:30:00Z".',
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=format_date_time,
        parse_value=parse_date_time,
    ),
}

__all__ = ["JSON", "SCALARS", "BigInt", "DateTime", "Duration"]
