"""Series as hypothesis draws them: jitter, gaps, nulls, resets, and values from still to wild."""

from hypothesis import strategies as st

from fleet.metrics.aggregate import Series, Values
from fleet.model.usage import NANOSECONDS, Measure

BEGIN_NS = 1_790_000_000 * NANOSECONDS
GAUGES = (Measure.CPU_CORES, Measure.MEMORY_BYTES, Measure.FS_CAPACITY_BYTES)
COUNTERS = (Measure.NETWORK_RECEIVE_BYTES,)

_MOST = 2**63 - 1
_distances = st.one_of(
    st.just(15 * NANOSECONDS),
    st.integers(14 * NANOSECONDS, 16 * NANOSECONDS),
    st.integers(NANOSECONDS, 4000 * NANOSECONDS),
)
_whole = st.one_of(st.integers(0, 2**40).map(lambda pages: pages // 4096 * 4096), st.integers(0, 2**52))
_cores = st.one_of(
    st.integers(0, 2**36).map(lambda nanocores: nanocores / NANOSECONDS), st.floats(0, 1e6, allow_subnormal=False)
)


@st.composite
def draw_series(draw: st.DrawFn, most: int = 80, *, wild: bool = False) -> Series:
    """Of at most so many points; `wild` ones have whatever an int64 or a float holds."""
    distances = draw(st.lists(_distances, max_size=most - 1))
    times = [BEGIN_NS + draw(st.integers(0, 600 * NANOSECONDS))]
    for distance in distances:
        times.append(times[-1] + distance)
    whole = st.integers(-_MOST - 1, _MOST) if wild else _whole
    cores = st.floats(allow_nan=False, allow_infinity=False) if wild else _cores
    values: dict[Measure, Values] = {}
    for measure in draw(st.sets(st.sampled_from(GAUGES + COUNTERS), min_size=1)):
        kind = cores if measure is Measure.CPU_CORES else whole
        if not wild and measure.is_counter:
            values[measure] = _count(draw, len(times))
        else:
            each = st.one_of(st.just(draw(kind)), kind) if draw(st.booleans()) else kind
            values[measure] = draw(_column(each, len(times)))
    return Series(times, values)


def _column(each: st.SearchStrategy[float], size: int) -> st.SearchStrategy[list[float | None]]:
    whole = st.lists(each, min_size=size, max_size=size)
    return st.one_of(whole, st.lists(st.one_of(st.none(), each), min_size=size, max_size=size))


def _count(draw: st.DrawFn, size: int) -> list[float | None]:
    total, column = draw(st.integers(0, 2**50)), list[float | None]()
    for grown in draw(_column(st.one_of(st.just(-1), st.integers(0, 2**32)), size)):
        total = 0 if grown == -1 else total + int(grown or 0)
        column.append(None if grown is None else total)
    return column
