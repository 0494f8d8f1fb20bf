"""The bad line is as slow as it says, and no slower."""

import asyncio
import time

from tests.fakes.faults import open_proxy


async def test_a_slow_line_holds_up_no_chunk_behind_another() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1024):
            writer.write(piece)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, open_proxy(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}") as (url, line):
        line.latency = 0.2
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        began = time.monotonic()
        for number in range(50):
            writer.write(b"%03d" % number)
            await asyncio.sleep(0.01)  # so that each is a chunk
        said = await reader.readexactly(150)
        took = time.monotonic() - began
        writer.close()
    assert said == b"".join(b"%03d" % number for number in range(50))
    assert 0.4 <= took < 10  # one chunk behind another would take 20 s
