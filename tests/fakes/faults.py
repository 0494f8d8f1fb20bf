"""A TCP proxy on loopback that makes a line bad: slow, cut, reset, refused, or silent."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

_CHUNK = 64 * 1024
_UNDER_WAY = 1024  # chunks
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: closing sends RST instead of FIN


class Faults:
    """What the line does now; every attribute may be changed while it runs.

    `latency` (seconds) is each way, and holds up no chunk behind another. `black_hole` takes connections and bytes and
    passes nothing on. `refusing` closes new connections at once, `resetting` resets them. `cut_after` ends each one
    after so many bytes of answers.
    """

    def __init__(self, host: str, port: int) -> None:
        self.latency = 0.0
        self.refusing = False
        self.resetting = False
        self.cut_after: int | None = None
        self.connections = 0
        self.waiting = 0
        """Pieces that a black hole keeps."""
        self._target = (host, port)
        self._passing = asyncio.Event()
        self._passing.set()
        self._lines: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def black_hole(self) -> bool:
        return not self._passing.is_set()

    @black_hole.setter
    def black_hole(self, silent: bool) -> None:
        (self._passing.clear if silent else self._passing.set)()

    def reset(self) -> None:
        """Ends every open connection with a reset."""
        for line in self._lines:
            for writer in line:
                _set_reset(writer)
                writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.refusing or self.resetting:
                if self.resetting:
                    _set_reset(writer)
                return
            self.connections += 1
            with contextlib.suppress(OSError):
                await self._carry(reader, writer)
        except asyncio.CancelledError:
            pass  # the proxy is being closed; asyncio would report it as a fault of the connection
        finally:
            self._tasks.discard(task)
            writer.close()

    async def close(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)
        line = (writer, upstream_writer)
        self._lines.add(line)
        try:
            up = asyncio.create_task(self._copy(reader, upstream_writer, None))
            down = asyncio.create_task(self._copy(upstream_reader, writer, self.cut_after))
            try:
                await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            finally:
                up.cancel()
                down.cancel()
                await asyncio.gather(up, down, return_exceptions=True)
        finally:
            self._lines.discard(line)
            upstream_writer.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_UNDER_WAY)
        reading = asyncio.create_task(self._read(reader, under_way))
        try:
            while chunk := await self._take(under_way):
                if left is not None:
                    chunk, left = chunk[:left], left - len(chunk)
                writer.write(chunk)
                await writer.drain()
                if left is not None and left <= 0:
                    return
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, reader: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]]) -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = await reader.read(_CHUNK)
            except OSError:
                chunk = b""
            await under_way.put((time.monotonic() + self.latency, chunk))

    async def _take(self, under_way: asyncio.Queue[tuple[float, bytes]]) -> bytes:
        due, chunk = await under_way.get()
        if chunk:
            self.waiting += 1
            await self._passing.wait()
            self.waiting -= 1
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        return chunk


def _set_reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


@contextlib.asynccontextmanager
async def open_proxy(url: str) -> AsyncIterator[tuple[str, Faults]]:
    """A bad line to the host and port of a URL; gives the URL to use instead, and the line's faults."""
    parts = urlsplit(url)
    faults = Faults(parts.hostname or "", parts.port or 443)
    server = await asyncio.start_server(faults.serve, "127.0.0.1", 0)
    try:
        yield f"{parts.scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", faults
    finally:
        server.close()
        await faults.close()
        await server.wait_closed()
