"""Points of now: those of the table of cases are of when the tests were collected, which may be long ago."""

import time
from collections.abc import Iterable

from msgspec.structs import replace

from fleet.model.usage import NANOSECONDS, Point
from tests.fleet.metrics.test_contract import NOW


def passed_ns() -> int:
    """Since the time of the cases."""
    return time.time_ns() // NANOSECONDS * NANOSECONDS - NOW


def fresh(points: Iterable[Point]) -> list[Point]:
    """The same as many seconds before now as they are before the time of the cases."""
    since_ns = passed_ns()
    return [replace(point, time_ns=point.time_ns + since_ns) for point in points]
