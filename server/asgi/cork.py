"""The head of an answer leaves with the first piece of its body: one system call and TLS record instead of two."""

import asyncio
from typing import Any

_HEAD = b"HTTP/1.1 "


class Corked:
    """A transport that holds an answer's head back until the next write, or until the loop's next turn."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""
        self.written = 0
        """Bytes so far, of all answers."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends, in the order of the calls."""
        self.written += len(data)
        if self._held:
            held, self._held = self._held, b""
            self._transport.writelines((held, data))
        elif data.startswith(_HEAD):
            self._held = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def writelines(self, pieces: Any) -> None:
        self._flush()
        pieces = list(pieces)
        self.written += sum(map(len, pieces))
        self._transport.writelines(pieces)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, b""
        if held and not self._transport.is_closing():
            self._transport.write(held)
