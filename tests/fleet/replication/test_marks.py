"""Watermarks as they travel."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.members.standing import KindStanding, Problem, Standing, Words
from fleet.model.told import tell
from fleet.replication.marks import Mark, decode_mark, encode_mark
from fleet.replication.records import NEWEST, RecordUnreadable

WORDS = Words.from_text(tell("it answers {}", "500"))
STANDING = Standing(
    failure=Problem("ClusterTimeout", Words("public", "detail")),
    unready=WORDS,
    cut_off=WORDS,
    version="v1.36.0",
    kinds={"pods": KindStanding(listed=True, problem=Problem("ClusterForbidden", WORDS), missing=WORDS)},
)
MARK = Mark(writer="replica-1", complete=True, age=0.25, standing=STANDING)


@pytest.mark.parametrize("mark", [MARK, Mark(writer="", complete=False, age=None, standing=Standing())])
def test_what_is_written_is_read(mark: Mark) -> None:
    assert decode_mark(encode_mark(mark)) == mark


def test_a_field_more_or_less_is_no_new_form() -> None:
    named = msgspec.msgpack.decode(encode_mark(MARK)[1:])
    named["standing"] |= {"added": 1}
    named["added"] = 1
    del named["form"]  # as if it had been added since
    assert decode_mark(bytes((NEWEST,)) + msgspec.msgpack.encode(named)) == MARK


def test_a_newer_form_says_to_upgrade() -> None:
    with pytest.raises(RecordUnreadable, match="upgrade this replica"):
        decode_mark(encode_mark(msgspec.structs.replace(MARK, form=NEWEST + 1)))


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(0, 200))
def test_other_bytes_are_unreadable(spoilt: bytes, place: int) -> None:
    for body in (spoilt, encode_mark(MARK)[:place] + spoilt):
        try:
            decode_mark(body)
        except RecordUnreadable:
            continue
