"""Points of one series that are in several parts, as one."""

from collections.abc import Collection, Sequence

from fleet.metrics.aggregate import Series
from fleet.metrics.embedded.blocks.raw import decode_points
from fleet.metrics.embedded.tiers import EVER, RAW
from fleet.metrics.embedded.view import View
from fleet.model.usage import Measure


def merge_series(parts: Sequence[Series]) -> Series:
    """All points in the order of time; of two of the same time the one of the later part counts. Same measures."""
    rows: dict[int, tuple[float | None, ...]] = {}
    for part in parts:
        rows.update(zip(part.times_ns, zip(*part.values.values(), strict=True), strict=True))
    times = sorted(rows)
    columns = zip(*map(rows.__getitem__, times), strict=True)
    return Series(times, dict(zip(parts[0].values, columns, strict=True)))


def find_before(view: View, series_id: int, time_ns: int, counters: Collection[Measure]) -> Series | None:
    """The last point with a counter before that time which is kept as it was: what counters count from."""
    for block in view.blocks(series_id, RAW, EVER, time_ns, lambda data: decode_points(data, counters)):
        for at in reversed(range(len(block.times_ns))):
            if any(column[at] is not None for column in block.values.values()):
                found = {measure: column[at : at + 1] for measure, column in block.values.items()}
                return Series(block.times_ns[at : at + 1], found)
    return None
