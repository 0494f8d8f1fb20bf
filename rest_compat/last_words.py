"""What a stream that is passed on as bytes is told at its end by this server: where its messages end, and the message.

Sources: RFC 6455, section 5; SPDY/3.1, section 2; remotecommand of k8s.io/apimachinery: a command ends with a Status
(`v4.channel.k8s.io`, `v5.channel.k8s.io`), which has stream 3 of a WebSocket, named by a message's first byte. Over
SPDY it has the stream that the caller opened for it, which client-go does first; without one kubectl would take the
command for done.
"""

import struct

from rest_compat.errors import ErrorShape, ServerStopping, find_status

_SERVICE_RESTART = 1012
_ERROR_STREAM = b"\x03"
_SPDY_ERROR_STREAM = 1
_SPDY_FIN = 0x01 << 24
_GO_AWAY = struct.pack("!HHIII", 0x8003, 7, 8, 0x7FFFFFFF, 0)
_CONTROL = 0x08


class Frames:
    """Where frames end in what a member says, over `websocket` or `spdy/3.1`; `spoken` is what both speak in it."""

    def __init__(self, protocol: str, spoken: str) -> None:
        self._is_websocket = protocol == "websocket"
        self._is_command = spoken in ("v4.channel.k8s.io", "v5.channel.k8s.io")
        self._head = bytearray()
        self._left = 0
        self._inside_message = False

    @property
    def at_end(self) -> bool:
        """Whether a frame may follow what was fed."""
        return not self._left and not self._head

    def feed(self, data: bytes, *, one: bool = False) -> int:
        """Takes what the member said, to its end or, with `one`, to the first end of a frame; how much that was."""
        at = 0
        while at < len(data) and not (one and at and self.at_end):
            if self._left:
                taken = min(self._left, len(data) - at)
                self._left -= taken
            else:
                taken = min(self._head_size() - len(self._head), len(data) - at)
                self._head += data[at : at + taken]
                if len(self._head) == self._head_size():
                    self._begin_frame()
            at += taken
        return at

    def build(self, error: ServerStopping) -> bytes:
        """The last frames of a stream that is at the end of one."""
        status = ErrorShape(widened=False, with_spec=False).build_status(*find_status(error), str(error))
        if not self._is_websocket:
            told = struct.pack("!II", _SPDY_ERROR_STREAM, _SPDY_FIN | len(status)) + status
            return told + _GO_AWAY if self._is_command else _GO_AWAY
        close = _build_frame(0x8, struct.pack("!H", _SERVICE_RESTART) + str(error).encode()[:123])
        if not self._is_command or self._inside_message:
            return close
        return _build_frame(0x2, _ERROR_STREAM + status) + close

    def _head_size(self) -> int:
        if not self._is_websocket:
            return 8
        if len(self._head) < 2:
            return 2
        return 2 + {126: 2, 127: 8}.get(self._head[1] & 0x7F, 0) + (4 if self._head[1] & 0x80 else 0)

    def _begin_frame(self) -> None:
        head = self._head
        if not self._is_websocket:
            self._left = int.from_bytes(head[5:8], "big")
        else:
            short = head[1] & 0x7F
            self._left = int.from_bytes(head[2:4] if short == 126 else head[2:10], "big") if short > 125 else short
            if not head[0] & _CONTROL:
                self._inside_message = not head[0] & 0x80
        head.clear()


def _build_frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    length = struct.pack("!B", size) if size < 126 else struct.pack("!BH", 126, size)
    return struct.pack("!B", 0x80 | opcode) + length + payload
