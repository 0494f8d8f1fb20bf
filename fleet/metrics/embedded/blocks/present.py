"""The values that are there of a measure, as an array, and which points have one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fleet.metrics.aggregate import Values
from fleet.metrics.embedded.blocks.columns import Ints
from fleet.model.placements import GAP_NS
from fleet.model.usage import Measure

Mask = NDArray[np.bool_]


class Present(NamedTuple):
    """Values in the order of time: cores are float64, all else int64. `mask` is None where each point has one."""

    values: NDArray[Any]
    mask: Mask | None = None

    def as_list(self) -> list[Any]:
        if self.mask is None:
            return list(self.values.tolist())
        spread = np.full(len(self.mask), None, np.object_)
        spread[self.mask] = self.values.tolist()
        return list(spread.tolist())


def find_present(columns: Mapping[Measure, Values]) -> dict[Measure, Present]:
    """Of the measures that have a value at all. Raises OverflowError for whole numbers beyond an int64."""
    found = {measure: _present(measure, values) for measure, values in columns.items()}
    return {measure: present for measure, present in found.items() if len(present.values)}


def _present(measure: Measure, values: Values) -> Present:
    kind = np.float64 if measure is Measure.CPU_CORES else np.int64
    mask = None
    if None in values:
        mask = np.array([value is not None for value in values], np.bool_)
        values = [value for value in values if value is not None]
    return Present(np.array(values, kind), mask)


class Run(NamedTuple):
    """A pod on a place from one point to another, none of those between elsewhere or further apart than `GAP_NS`."""

    first_ns: int
    last_ns: int
    place_id: int


def find_runs(times_ns: Ints, places: Sequence[int | None]) -> Ints:
    """Times of the first and the last point and the place of each run, a matrix of three rows. Places are above 0."""
    where = np.array([place or 0 for place in places], np.int64)
    changes = np.flatnonzero((np.diff(where) != 0) | (np.diff(times_ns) > GAP_NS)) + 1
    firsts, lasts = np.append(0, changes), np.append(changes, len(where)) - 1
    runs = np.array([times_ns[firsts], times_ns[lasts], where[firsts]])
    return runs[:, runs[2] != 0]


def join_runs(parts: Sequence[Ints]) -> Ints:
    """The runs of all, oldest first; those that go on in the next part are one."""
    runs = np.concatenate(parts, axis=1)
    runs = runs[:, np.argsort(runs[0], kind="stable")]
    goes_on = (runs[2, 1:] == runs[2, :-1]) & (runs[0, 1:] - runs[1, :-1] <= GAP_NS)
    firsts = np.flatnonzero(~np.append(False, goes_on)) if runs.shape[1] else np.empty(0, np.int64)
    if not len(firsts):
        return runs
    return np.array([runs[0, firsts], np.maximum.reduceat(runs[1], firsts), runs[2, firsts]])


def as_sightings(runs: Iterable[Run], start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """Times in [start, end) at which a run goes on, `GAP_NS` apart at most, and its place: both ends are among them."""
    found: list[tuple[int, int]] = []
    for first_ns, last_ns, place_id in runs:
        begin, end = max(first_ns, start_ns), min(last_ns, end_ns - 1)
        if begin <= end:
            found += [(time_ns, place_id) for time_ns in range(begin, end, GAP_NS)]
            found.append((end, place_id))
    return found
