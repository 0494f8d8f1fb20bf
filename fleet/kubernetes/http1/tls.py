"""TLS between bytes and bytes, so that no event loop's TLS stands between a socket and the reader of an answer.

uvloop's loses up to 256 KiB of what has arrived when the other side closes while reading is paused, and keeps a buffer
of that size for each connection.
"""

import contextlib
import ssl
import threading
from collections.abc import Callable
from typing import cast

SCRATCH_BYTES = 256 * 1024
"""What is decrypted before it is handed on: as much as an event loop reads at once."""


class _Scratch(threading.local):
    """One for all connections of an event loop, each of which uses it up before the next has its turn."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(SCRATCH_BYTES))


_scratch = _Scratch()


class Tls:
    """The client's end. Without `received_close_notify`, the end of what arrives may be a cut."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self.received_close_notify = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)

    @property
    def peer_certificate(self) -> bytes | None:
        """In DER, verified or not; None before the handshake."""
        return self._object.getpeercert(binary_form=True)

    @property
    def due(self) -> bytes:
        """What is to be sent now; asking for it takes it out."""
        return self._outgoing.read()

    def send_close_notify(self) -> None:
        """Adds the end of what we say to what is `due`."""
        with contextlib.suppress(ssl.SSLError):  # it waits for the other side's, which nobody will read
            self._object.unwrap()

    def receive(self, data: bytes) -> None:
        self._incoming.write(data)

    def handshake(self) -> bool:
        """One more step; whether it was the last. Raises ssl.SSLError."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def encrypt(self, data: bytes) -> bytes:
        self._object.write(data)
        return self._outgoing.read()

    def decrypt(self, data: bytes, take: Callable[[memoryview], None]) -> None:
        """Gives `take` what can be read by now; the memory is its own only until it returns. Raises ssl.SSLError."""
        incoming, connection, scratch = self._incoming, self._object, _scratch.view
        incoming.write(data)
        while not self.received_close_notify and (incoming.pending or connection.pending()):
            size = 0
            try:
                while size < SCRATCH_BYTES and (incoming.pending or connection.pending()):
                    read = cast("int", connection.read(SCRATCH_BYTES - size, scratch[size:]))  # typeshed says bytes
                    if not read:  # as `ssl` says it to one who has not said it; to one who has, by an exception
                        self.received_close_notify = True
                        break
                    size += read
            except ssl.SSLWantReadError:
                pass  # the rest of a record has not come yet
            except ssl.SSLZeroReturnError:
                self.received_close_notify = True
            if size:
                take(scratch[:size])
