"""What the embedded store answers of points that are blocks and spans by now."""

from pathlib import Path

import pytest

from fleet.model.usage import Aggregate, Measure, TimeRange
from tests.fleet.metrics.embedded.aging import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    assert_near,
    build_points,
    expect,
    open_aging,
)

ALL_COLUMNS = frozenset((measure, aggregate) for measure in Measure for aggregate in Aggregate)
PRECISION = 0.001


@pytest.mark.parametrize("step", [15 * SECOND, 45 * SECOND, MINUTE, 10 * MINUTE])
async def test_two_hours_are_answered_from_points_as_they_were(tmp_path: Path, step: int) -> None:
    points = build_points(NOON - 3 * HOUR, 3 * 240)
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live(points)
        window = TimeRange((NOON - 2 * HOUR) // step * step + step, NOON, step)
        found = await aging.history(window, ALL_COLUMNS)
        assert_near(found, expect(points, window, ALL_COLUMNS))
        assert found.resolution_ns == 15 * SECOND
        assert await aging.points(NOON - 2 * HOUR) == points[240:]


@pytest.mark.parametrize(
    ("back", "step", "resolution"),
    [
        (20 * HOUR, MINUTE, MINUTE),
        (20 * HOUR, 5 * MINUTE, MINUTE),
        (20 * HOUR, 30 * MINUTE, 10 * MINUTE),
        (60 * HOUR, HOUR, 10 * MINUTE),
    ],
)
async def test_longer_windows_are_answered_from_spans(tmp_path: Path, back: int, step: int, resolution: int) -> None:
    points = build_points(NOON - 62 * HOUR, 62 * 240)
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live(points)
        window = TimeRange((NOON - back) // step * step, NOON, step)
        found = await aging.history(window)
        assert_near(found, expect(points, window), PRECISION)
        assert found.resolution_ns == resolution
