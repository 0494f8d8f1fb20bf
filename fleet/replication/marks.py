"""The watermark of a stream: what was known of its member is before it, and how the member stands is in it."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from fleet.members.standing import Standing
from fleet.model.unreadable import UNREADABLE
from fleet.replication.records import NEWEST, RecordUnreadable, read_form


class Mark(Struct, frozen=True, kw_only=True):
    """`writer` is a replica's id; `age` the seconds since the member's last sign of life when this was sent.

    `age` is None where there was none yet. The stream is `complete` once it holds all that the member has, in bodies of
    this `form` alone.
    """

    writer: str
    complete: bool
    age: Annotated[float, Meta(ge=0)] | None
    standing: Standing
    form: int = NEWEST


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Mark)


def encode_mark(mark: Mark) -> bytes:
    return bytes((mark.form,)) + _ENCODER.encode(mark)


def decode_mark(body: bytes) -> Mark:
    """Raises RecordUnreadable."""
    rest = read_form(body)
    try:
        return _DECODER.decode(rest)
    except UNREADABLE as error:
        raise RecordUnreadable(f"not a watermark: {error}") from error
