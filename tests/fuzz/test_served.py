"""Requests that schemathesis makes up of the two descriptions, against the server as `serve` starts it.

`FUZZ_CASES=1000 FUZZ_SEED=7` asks for more of each operation, and for others.
"""

import asyncio
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.clients.serving import open_quiet_server
from tests.fakes.waiting import PATIENCE
from tests.fuzz.hostile import blobs
from tests.processes import RunningServer

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("schemathesis")
CONFIG = Path(__file__).with_name("schemathesis.toml")
CASES = os.environ.get("FUZZ_CASES", "10")
SEED = os.environ.get("FUZZ_SEED", "1")
DESCRIBED = "status_code_conformance,content_type_conformance,response_schema_conformance,ignored_auth"
PIECES = (
    *(b"GET / HTTP/1.1\r\n", b"POST /graphql HTTP/1.1\r\n", b"GET /clusters/a/api HTTP/1.1\r\n"),
    *(b"PRI * HTTP/2.0\r\n\r\n", b"Host: a\r\n", b"Content-Length: 5\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"\r\n"),
    *(b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Upgrade: h2c\r\n"),
    *(b"Authorization: Bearer a.b.c\r\n", b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n"),
    *(b"ffffffffffffffffff\r\n", b";a=b", b"@fields@", b"GET", b" ", b"\x16\x03\x01"),
)
WENT_WRONG = re.compile(r"^\S+ error .*|^Traceback.*", re.MULTILINE)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with open_quiet_server(tmp_path) as running:
        yield running


async def test_what_is_made_up_of_openapi_is_answered_as_described(server: RunningServer, tmp_path: Path) -> None:
    phases = ("--phases", "coverage,fuzzing")
    await ask(
        server, f"{server.url}/openapi.json", "--checks", f"no_fault_of_ours,{DESCRIBED}", *phases, folder=tmp_path
    )


async def test_what_is_made_up_of_the_schema_is_no_fault_of_ours(server: RunningServer, tmp_path: Path) -> None:
    to = ("--url", f"{server.url}/graphql")
    await ask(server, str(ROOT / "schema.graphql"), *to, "--checks", "no_fault_of_ours", folder=tmp_path)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # it would hide what failed
async def test_bytes_that_are_hardly_http_end_nothing(server: RunningServer) -> None:
    @settings(max_examples=int(CASES) * 10, derandomize=True, database=None, deadline=None)
    @given(blobs(*PIECES))
    def send(fed: bytes) -> None:
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection, suppress(ConnectionError):
            connection.sendall(fed)
            with suppress(OSError):  # it may have been closed by now
                connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass

    await asyncio.to_thread(send)
    assert await server.sign_in()
    assert WENT_WRONG.findall(server.log.read_text(errors="replace")) == []


async def ask(server: RunningServer, description: str, *options: str, folder: Path) -> None:
    """Runs schemathesis, which says of each fault how to see it again; then looks into the server's log."""
    process = await asyncio.create_subprocess_exec(
        *(
            str(COMMAND),
            "--config-file",
            str(CONFIG),
            "run",
            description,
            *options,
            "--max-examples",
            CASES,
            "--seed",
            SEED,
        ),
        *("--header", f"Authorization: Bearer {await server.sign_in()}", "--generation-database", "none"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=folder,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode(errors="replace")[-8000:]
    assert WENT_WRONG.findall(server.log.read_text(errors="replace")) == []
