"""kubectl's streams through this server: terminals, followed logs, watches, forwarded ports, over both protocols."""

import asyncio
import contextlib
import os
import pty
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.fakes.waiting import PATIENCE
from tests.kubectl.conftest import Both
from tests.kubectl.running import Kubectl, stop

pytestmark = pytest.mark.real

SECONDS = PATIENCE
SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
# It waits for a second line, since the last words of a terminal may get lost at kwok over SPDY, directly as well.
TERMINAL = "exec -it box -c box -- sh -c 'sleep 1; stty size; read line; echo said $line; read line'"
OVER = pytest.mark.parametrize("over", [{}, SPDY], ids=["websocket", "spdy"])


@asynccontextmanager
async def running(kubectl: Kubectl, line: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await kubectl.start(line, **environment)
    try:
        async with asyncio.timeout(SECONDS):
            yield process
    finally:
        await stop(process)


async def read_until(process: asyncio.subprocess.Process, text: str) -> str:
    assert process.stdout is not None
    seen = ""
    while text not in seen:
        line = await process.stdout.readline()
        assert line, f"ended after {seen!r}"
        seen += line.decode()
    return seen


@OVER
async def test_a_pod_says_what_it_was_given(stage: Both, over: dict[str, str]) -> None:
    line = "exec -i box -c box -- sh -c 'while read line; do echo got $line; done'"
    async with running(stage.through, line, **over) as process:
        assert process.stdin is not None
        for word in ("one", "two"):
            process.stdin.write(f"{word}\n".encode())
            assert await read_until(process, word) == f"got {word}\n"


@OVER
async def test_much_output_arrives_whole(stage: Both, over: dict[str, str]) -> None:
    done = await stage.through.run("exec box -c box -- sh -c 'head -c 30000000 /dev/zero | tr \\\\0 x'", **over)
    assert (done.code, len(done.output), done.output.strip("x")) == (0, 30_000_000, "")


@OVER
async def test_a_terminal_has_the_callers_size(stage: Both, over: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    import termios

    termios.tcsetwinsize(theirs, (33, 101))
    try:
        process = await asyncio.create_subprocess_exec(
            *stage.through.arguments(TERMINAL),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={"PATH": "/usr/bin:/bin", "HOME": str(stage.through.cache), **over},
        )
        try:
            async with asyncio.timeout(SECONDS):
                seen = await _read_terminal(ours, "33 101")
                os.write(ours, b"hello\n")
                seen += await _read_terminal(ours, "said hello")
                os.write(ours, b"enough\n")
                assert await process.wait() == 0, seen
        finally:
            await stop(process)
    finally:
        os.close(ours)
        os.close(theirs)


async def _read_terminal(descriptor: int, text: str) -> str:
    seen = ""
    loop = asyncio.get_running_loop()
    while text not in seen:
        ready = asyncio.Event()
        loop.add_reader(descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(descriptor)
        with contextlib.suppress(BlockingIOError):
            seen += os.read(descriptor, 65536).decode(errors="replace")
    return seen


@OVER
async def test_a_forwarded_port_carries_bytes_both_ways(stage: Both, over: dict[str, str]) -> None:
    async with running(stage.through, "port-forward pod/box :8080 --address=127.0.0.1", **over) as process:
        found = re.search(r"127\.0\.0\.1:(\d+) -> 8080", await read_until(process, "-> 8080"))
        assert found is not None
        for word in (b"first", b"x" * 1_000_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(found[1]))
            sending = asyncio.ensure_future(_send(writer, word))
            assert await reader.readexactly(len(word)) == word
            await sending
            writer.close()


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


@OVER
async def test_attach_shows_what_a_pod_says_from_now_on(stage: Both, over: dict[str, str]) -> None:
    async with running(stage.through, "attach box -c box", **over) as process:
        assert await _read_while_writing(stage, process, "attached") != ""


async def test_followed_logs_arrive_at_once(stage: Both) -> None:
    async with running(stage.through, "logs -f box -c box --tail=0") as process:
        assert await _read_while_writing(stage, process, "followed") != ""


async def _read_while_writing(stage: Both, process: asyncio.subprocess.Process, word: str) -> str:
    """Writes lines until one is seen: nobody says when a follower has begun."""
    reading = asyncio.ensure_future(read_until(process, word))
    try:
        while not reading.done():
            with stage.member.container_log.open("a") as log:
                log.write(f"2030-01-01T00:00:00.000000000Z stdout F {word}\n")
            await asyncio.wait([reading], timeout=0.2)
        return reading.result()
    finally:
        reading.cancel()


async def test_a_watch_shows_a_change_at_once(stage: Both) -> None:
    async with running(stage.through, "get configmaps --watch -o name") as process:
        await read_until(process, "configmap/settings")
        await stage.directly.must("create configmap watched")
        try:
            assert "configmap/watched" in await read_until(process, "configmap/watched")
        finally:
            await stage.directly.must("delete configmap watched")


@pytest.mark.parametrize(
    "line",
    ["exec box -c box -- sleep 987", "logs -f box -c box", "get pods --watch", "port-forward pod/box :8080"],
)
async def test_who_leaves_leaves_nothing_open(stage: Both, line: str) -> None:
    before = await _count_streams(stage)
    async with running(stage.through, line):
        await _until_streams(stage, lambda count: count > before)
    await _until_streams(stage, lambda count: count <= before)


async def _until_streams(stage: Both, holds: Callable[[int], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not holds(await _count_streams(stage)):
            pass  # each count is a call to the API server


async def _count_streams(stage: Both) -> int:
    """Long-running requests that the member's API server is serving, without the watches of its own controllers."""
    text = await asyncio.to_thread(stage.member.client.read, "GET", "/metrics")
    streams = re.compile(
        rb'apiserver_longrunning_requests\{[^}]*resource="pods"[^}]*'
        rb'subresource="(?:exec|log|portforward|)"[^}]*verb="(?:CONNECT|WATCH)"[^}]*\} (\d+)'
    )
    return sum(int(count) for count in streams.findall(text[1]))
