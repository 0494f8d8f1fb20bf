"""Points of one series that came in several parts, as one."""

from collections.abc import Sequence

from fleet.metrics.aggregate import Series


def merge_series(parts: Sequence[Series]) -> Series:
    """All points in the order of time; of two of the same time the one of the later part counts. Same measures."""
    rows: dict[int, tuple[float | None, ...]] = {}
    for part in parts:
        rows.update(zip(part.times_ns, zip(*part.values.values(), strict=True), strict=True))
    times = sorted(rows)
    columns = zip(*map(rows.__getitem__, times), strict=True)
    return Series(times, dict(zip(parts[0].values, columns, strict=True)))
