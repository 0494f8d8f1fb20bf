import zlib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.metrics.aggregate import Series
from fleet.metrics.embedded.blocks.frames import DamagedBlock
from fleet.metrics.embedded.blocks.present import as_sightings
from fleet.metrics.embedded.blocks.raw import decode_places, decode_points, decode_runs, encode_points
from fleet.metrics.embedded.blocks.rolled import decode_rolled
from fleet.model.placements import GAP_NS
from fleet.model.usage import NANOSECONDS, Measure
from tests.fleet.metrics.embedded.blocks.drawn import BEGIN_NS, draw_series

HOUR = Series(
    [BEGIN_NS + number * 15 * NANOSECONDS for number in range(240)],
    {
        Measure.CPU_CORES: [number % 7 / 1000 for number in range(240)],
        Measure.MEMORY_BYTES: [None if number % 50 == 3 else number * 4096 for number in range(240)],
    },
)


@given(draw_series(wild=True), st.data())
def test_points_come_back_as_they_were(series: Series, data: st.DataObject) -> None:
    size = len(series.times_ns)
    places = data.draw(st.lists(st.one_of(st.none(), st.integers(1, 3)), min_size=size, max_size=size))
    block = encode_points(series, places)
    assert _exactly(decode_points(block, series.values)) == _exactly(series)
    assert decode_places(block) == places


def test_only_asked_measures_are_decoded() -> None:
    asked = decode_points(encode_points(HOUR), [Measure.MEMORY_BYTES, Measure.FS_USED_BYTES])
    assert asked.values == {
        Measure.MEMORY_BYTES: HOUR.values[Measure.MEMORY_BYTES],
        Measure.FS_USED_BYTES: [None] * 240,
    }


@pytest.mark.parametrize("number", range(3))
def test_a_whole_number_that_no_file_could_hold_is_refused(number: int) -> None:
    values = [5] * 3
    values[number] = 2**63
    with pytest.raises(OverflowError):
        encode_points(Series([1, 2, 3], {Measure.MEMORY_BYTES: values}))


def test_a_block_damaged_anywhere_is_refused() -> None:
    block = encode_points(HOUR, [1] * 240)
    for at in range(len(block)):
        for changed in (block[at] ^ 1, block[at] ^ 0x80):
            with pytest.raises(DamagedBlock):
                decode_points(block[:at] + bytes([changed]) + block[at + 1 :])
        with pytest.raises(DamagedBlock):
            decode_points(block[:at])
    with pytest.raises(DamagedBlock):
        decode_points(block + b"x")


@given(st.binary())
def test_other_bytes_are_refused(block: bytes) -> None:
    with pytest.raises(DamagedBlock):
        decode_points(block)


def test_a_block_of_another_form_is_named() -> None:
    block = bytearray(encode_points(HOUR))
    block[4] = 0x12
    block[:4] = zlib.crc32(block[4:]).to_bytes(4, "little")
    with pytest.raises(DamagedBlock, match="form 0x12, which this server does not know"):
        decode_points(bytes(block))
    with pytest.raises(DamagedBlock, match="where another is"):
        decode_rolled(encode_points(HOUR))


def test_runs_say_where_a_pod_was_from_its_first_to_its_last_point() -> None:
    places = [7] * 100 + [None] * 10 + [7] * 30 + [9] * 100
    times = HOUR.times_ns
    runs = decode_runs(encode_points(HOUR, places))
    assert runs == [(times[0], times[99], 7), (times[110], times[139], 7), (times[140], times[239], 9)]


def test_a_run_is_seen_at_both_ends_and_often_enough_to_be_one() -> None:
    runs = decode_runs(encode_points(HOUR, [7] * 240))
    seen = as_sightings(runs, HOUR.times_ns[10] + 1, HOUR.times_ns[200])
    times = [time_ns for time_ns, _ in seen]
    assert (times[0], times[-1]) == (HOUR.times_ns[10] + 1, HOUR.times_ns[200] - 1)
    assert all(after - before <= GAP_NS for before, after in pairwise(times))
    assert as_sightings(runs, HOUR.times_ns[-1] + 1, HOUR.times_ns[-1] + GAP_NS) == []


def _exactly(series: Series) -> tuple[list[int], dict[Measure, list[Any]]]:
    """With the sign of zeros, and what is whole told from what is not."""
    return list(series.times_ns), {measure: [repr(value) for value in of] for measure, of in series.values.items()}
