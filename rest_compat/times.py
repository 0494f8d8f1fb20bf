"""Times of the legacy metric routes: `YYYY-MM-DD_HH:MM:SS` in, RFC 3339 out; UTC both, Unix nanoseconds inside."""

import re
from datetime import UTC, datetime

from fleet.model.errors import InvalidQuery
from fleet.model.usage import NANOSECONDS

_SHAPE = re.compile(r"(\d{4}-\d{2}-\d{2})_(\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What a signed 64-bit count of nanoseconds can hold.
_FIRST_YEAR, _LAST_YEAR = 1678, 2261


def parse_time(text: str) -> int:
    """`2020-09-03_09:00:00` or `2020-09-03_09:00:00.25` in Unix nanoseconds. Raises InvalidQuery."""
    match = _SHAPE.fullmatch(text)
    try:
        whole = datetime.fromisoformat(f"{match[1]}T{match[2]}+00:00") if match else None
    except ValueError:
        whole = None
    if match is None or whole is None or not _FIRST_YEAR <= whole.year <= _LAST_YEAR:
        raise InvalidQuery(
            f"{text[:40]!r} is not a time: expected YYYY-MM-DD_HH:MM:SS in UTC, such as 2020-09-03_09:00:00, between "
            f"the years {_FIRST_YEAR} and {_LAST_YEAR}"
        )
    since = whole - _EPOCH
    return (since.days * 86_400 + since.seconds) * NANOSECONDS + int((match[3] or "0").ljust(9, "0"))


def format_time(time_ns: int) -> str:
    """Unix nanoseconds as `2020-07-14T07:23:08.917378367Z`, zeros at the end of the fraction cut, and it with them."""
    seconds, fraction = divmod(time_ns, NANOSECONDS)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"
