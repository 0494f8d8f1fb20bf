"""How the server ends: what a signal sets going, and that it is over by a bound, whatever hangs.

First `/readyz` is 503 and each answer closes its connection, while new requests are served for a while, so that proxies
go elsewhere. Then no connection is taken any more, streams end with a word, and requests have the rest of the time.
"""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress

from fleet.aio.stopping import Stopping
from graph.subscriptions.hub import Hub
from server.settings.groups import HttpSettings

CLOSE_SECONDS = 1.5
"""How long all may take to close once requests have ended."""

LAST_WORD_SECONDS = 0.5
"""What is ended or cut off has this long to be told so."""
_BACKLOG_SECONDS = 0.1
_SO_ATTACH_FILTER = 26
# Drops what begins a connection (SYN without ACK), lets all else pass. Source: Documentation/networking/filter.rst.
_NO_NEW = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))

_log = logging.getLogger(__name__)


class Stop:
    """What signals ask for: SIGTERM to end, after a while for proxies; SIGINT to end; a second one, at once.

    Made by the task that opens the server, which the first signal cancels unless `opened` was called.
    """

    def __init__(self, http: HttpSettings) -> None:
        self.at_once = asyncio.Event()
        self._http = http
        self._opening = asyncio.current_task()
        self._asked = asyncio.Event()
        self._drains = True

    def opened(self) -> None:
        self._opening = None

    def __call__(self, number: int = signal.SIGTERM) -> None:
        """The signal's handler."""
        if self._asked.is_set():
            self.at_once.set()
            return
        self._asked.set()
        self._drains = number == signal.SIGTERM
        last = threading.Timer(self._http.shutdown_grace + CLOSE_SECONDS, _leave)
        last.daemon = True
        last.start()
        if self._opening is not None:
            self._opening.cancel()

    async def wait(self, stopping: Stopping, live: Hub, ports: Iterable[socket.socket]) -> float:
        """Until requests are to end; by when, in the loop's time. Streams are ended, and `ports` take no connection."""
        await self._asked.wait()
        ends_at = asyncio.get_running_loop().time() + self._http.shutdown_grace
        stopping.begin()
        if self._drains:
            with suppress(TimeoutError):
                drain = min(self._http.shutdown_drain, self._http.shutdown_grace)
                await asyncio.wait_for(self.at_once.wait(), drain)
        for port in ports:
            _take_no_more(port)
        await asyncio.sleep(_BACKLOG_SECONDS)
        stopping.end_streams()
        live.shut_down()
        await asyncio.sleep(LAST_WORD_SECONDS if live.connections else 0)  # uvicorn would close them without why
        return ends_at


def _take_no_more(port: socket.socket) -> None:
    """Keeps new connections out while those that a client takes for open are still accepted: closing would reset them.

    Who connects meanwhile tries again, finds the port closed, and goes elsewhere. Only on Linux.
    """
    if not sys.platform.startswith("linux"):
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _NO_NEW))
    try:
        port.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_NO_NEW), ctypes.addressof(program))
        )
    except OSError as error:
        _log.debug("connections that arrive while the port is closed may be reset: %s", error)


def _leave() -> None:
    _log.error("what is still being closed does not end: left as it is")
    logging.shutdown()  # lines that wait are written, if anybody reads them
    os._exit(1)
