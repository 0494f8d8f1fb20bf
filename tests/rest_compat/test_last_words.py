"""The last words of a stream stand behind the frame that the member was at, wherever that was cut."""

import struct
from collections.abc import Callable

import pytest
from websockets.frames import Frame, Opcode

from rest_compat.errors import ServerStopping
from rest_compat.last_words import Frames

COMMAND = "v5.channel.k8s.io"


def websocket(payload: bytes, *, last: bool = True) -> bytes:
    return Frame(Opcode.BINARY, payload, fin=last).serialize(mask=False)


def spdy(payload: bytes) -> bytes:
    return struct.pack("!II", 5, len(payload)) + payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 70_000])
@pytest.mark.parametrize(("protocol", "build"), [("websocket", websocket), ("spdy/3.1", spdy)])
def test_frames_end_where_they_end_however_they_arrive(
    protocol: str, build: Callable[[bytes], bytes], size: int
) -> None:
    said = build(b"a") + build(b"x" * size)
    for piece in (1, 7, len(said)):
        frames = Frames(protocol, COMMAND)
        for at in range(0, len(said), piece):
            frames.feed(said[at : at + piece])
        assert frames.at_end
    frames = Frames(protocol, COMMAND)
    frames.feed(said[:-1])
    assert not frames.at_end
    assert frames.feed(said[-1:] + said, one=True) == 1
    assert frames.at_end


@pytest.mark.parametrize(
    ("protocol", "spoken", "said", "begins"),
    [
        ("websocket", COMMAND, websocket(b"\1out"), b'\x82\x7e\x00\xa6\x03{"kind":"Status"'),
        ("websocket", COMMAND, websocket(b"\1out", last=False), b"\x88\x2d\x03\xf4this server"),
        ("websocket", "SPDY/3.1+portforward.k8s.io", websocket(b"out"), b"\x88\x2d\x03\xf4this server"),
        ("spdy/3.1", "v4.channel.k8s.io", spdy(b"out"), b'\0\0\0\1\1\0\0\xa5{"kind":"Status"'),
        ("spdy/3.1", "portforward.k8s.io", spdy(b"out"), b"\x80\3\0\7\0\0\0\x08"),
    ],
)
def test_a_command_is_told_by_its_error_stream_and_all_by_the_close(
    protocol: str, spoken: str, said: bytes, begins: bytes
) -> None:
    frames = Frames(protocol, spoken)
    frames.feed(said)
    assert frames.build(ServerStopping()).startswith(begins)
