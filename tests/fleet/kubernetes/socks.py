"""A SOCKS5 proxy on loopback that says which hosts it was asked for (RFC 1928, RFC 1929)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_DONE = bytes((5, 0, 0, 1, 0, 0, 0, 0, 0, 0))


@asynccontextmanager
async def open_socks(user_and_password: str = "") -> AsyncIterator[tuple[int, list[str]]]:
    """Its port, and the names that it looked up; whoever signs in otherwise is sent away."""
    asked: list[str] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            serving.add(task)
        ends = (OSError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*ends), contextlib.closing(writer):
            _, count = await reader.readexactly(2)
            method = 2 if user_and_password else 0
            offered = await reader.readexactly(count)
            writer.write(bytes((5, method if method in offered else 0xFF)))
            if method not in offered or (method and not await _sign_in(reader, writer, user_and_password)):
                return
            await reader.readexactly(4)
            host = (await _read_text(reader)).decode()
            port = int.from_bytes(await reader.readexactly(2))
            asked.append(host)
            there, back = await asyncio.open_connection(host, port)
            with contextlib.closing(back):
                writer.write(_DONE)
                await asyncio.gather(_relay(reader, back), _relay(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1")
    async with server:
        yield server.sockets[0].getsockname()[1], asked
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)


async def _sign_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, expected: str) -> bool:
    await reader.readexactly(1)
    given = [await _read_text(reader), await _read_text(reader)]
    right = b":".join(given).decode() == expected
    writer.write(bytes((1, 0 if right else 1)))
    return right


async def _read_text(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly((await reader.readexactly(1))[0])


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
