"""A line says whose request it is of, begins where it seems to, and holds nobody up who has no time to wait."""

import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import BinaryIO, TextIO

import aiohttp
import pytest

from fleet.aio.request_context import RequestContext, begin_request
from fleet.model.told import Told
from server.log_handler import BURST, LogHandler, Repetition
from server.logs import JsonLines, TextLines, configure_logging, hide_credentials
from server.queued_lines import MOST_WAITING
from server.settings.groups import LoggingSettings
from tests.fakes.waiting import PATIENCE, until
from tests.processes import COMMAND
from tests.server.test_serve import ask, environ
from tests.server.workers.test_supervisor import list_workers


def build_record(text: str, *args: object, level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    record = logging.LogRecord("fleet.somewhere", level, "", 0, text, args, None)
    record.created = 1_700_000_000.5
    record.fields = fields
    return record


def test_a_line_has_the_request_it_was_written_in() -> None:
    record = build_record("%s is ill", Told("a member", "member c1"), took_ms=3, cluster="c 1")

    def format_in_request(form: logging.Formatter) -> str:
        begin_request(RequestContext("r-1", trace_id="0af7"))
        return form.format(record)

    text, line = (copy_context().run(format_in_request, form) for form in (TextLines(), JsonLines()))
    assert text == (
        '2023-11-14T22:13:20.500Z info fleet.somewhere: member c1 is ill cluster="c 1" trace_id=0af7 id=r-1'
    )
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.500Z",
        "level": "info",
        "logger": "fleet.somewhere",
        "message": "member c1 is ill",
        "took_ms": 3,
        "cluster": "c 1",
        "trace_id": "0af7",
        "id": "r-1",
    }


@pytest.mark.parametrize("form", [TextLines(), JsonLines(), TextLines(colours=True)])
def test_words_of_others_begin_no_line_and_colour_no_terminal(form: logging.Formatter) -> None:
    begin = "2026-01-31T12:00:00.000Z error server: all is lost"
    record = build_record("it said %s", f"a\n{begin}\x1b[31m\ud800", path="/x\n")
    record.exc_info = (ValueError, ValueError(f"no\n{begin}\x1b[2J"), None)
    lines = form.format(record).split("\n")
    assert not [line for line in lines if line.startswith("2026")]
    assert "\x1b[31m\ud800" not in lines[0]
    assert "\x1b[2J" not in "".join(lines)


CREDENTIALS = [
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlLW9mLWFubg",
    "omcp_0123456789abcdefghijklmnopqrstuvwxyz",
    "https://ann:correct-horse@influx.example:8086/query",
    "nats://correct-horse-of-nats@nats.example:4222",
    "Authorization: Bearer correct-horse-battery-staple",
    "Authorization: Token correct-horse-battery",
    "authorization: Basic dXNlcjpjb3JyZWN0LWhvcnNlLWJhdHRlcnk=",
    'denied: token=correct-horse, {"password": "correct-horse"} or \\"api_key\\":\\"correct-horse\\"',
    "-----BEGIN EC PRIVATE KEY-----\ncorrect-horse\n-----END EC PRIVATE KEY-----",
    "$argon2id$v=19$m=19456,t=2,p=1$correct-horse",
]


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("form", [TextLines(), JsonLines()])
def test_what_looks_like_a_credential_is_hidden_in_messages_and_tracebacks(
    form: logging.Formatter, credential: str
) -> None:
    record = build_record("the library says: %s", credential)
    record.exc_info = (ValueError, ValueError(credential), None)
    line = form.format(record)
    assert line.count("REDACTED") >= 2
    for secret in ("correct-horse", "dXNlcjpjb3JyZWN0", "eyJzdWIiOiJhbm4ifQ", "omcp_"):
        assert secret not in line


def test_a_message_without_a_credential_stays_as_it_is() -> None:
    text = "https://c1.example:6443/api?x=eyJ: mail ann@example.org, bearer of nothing, omcp_x, the token: expired"
    assert TextLines().format(build_record(text)).endswith(text)


def test_a_word_of_many_beginnings_is_looked_at_once() -> None:
    token = "eyJabcdefghij.abcdefghij.abc"
    assert hide_credentials("eyJaaaaaaaa" * 20_000) == "eyJaaaaaaaa" * 20_000
    assert hide_credentials(f"/a%20{token} {token}") == "/a%20REDACTED REDACTED"


def test_lines_of_a_kind_are_bounded_and_those_left_out_are_counted() -> None:
    now = 0.0
    repetition = Repetition(lambda: now)
    written = [repetition.takes(build_record("%s is ill", f"c{number}")) for number in range(BURST + 100)]
    assert sum(written) == BURST + 1
    assert repetition.takes(build_record("another kind"))
    assert repetition.takes(build_record("%s is ill", "c1", level=logging.DEBUG))
    assert repetition.tell() == []
    now = 10.0
    told = [(record.name, record.levelname, record.getMessage()) for record in repetition.tell()]
    assert told == [("fleet.somewhere", "INFO", "99 more lines like this were left out: %s is ill")]
    assert [repetition.takes(build_record("%s is ill", "c1")) for _ in range(12)].count(True) == 10


@contextmanager
def narrow_pipe() -> Iterator[tuple[BinaryIO, TextIO]]:
    """A pipe that is full with a page."""
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(ends[0], "rb") as read, os.fdopen(ends[1], "w") as write:
        yield read, write


def test_a_pipe_that_nobody_reads_stops_nobody_and_losses_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[bytes] = []
    with narrow_pipe() as (read, write):
        monkeypatch.setattr(sys, "stderr", write)
        handler = LogHandler()
        handler.setFormatter(TextLines())
        handler.start()
        for number in range(MOST_WAITING + 2_000):
            handler.emit(build_record("line %d", number, level=logging.DEBUG))
        assert handler.dropped > 0
        reader = threading.Thread(target=lambda: found.extend(read))
        reader.start()
        handler.stop()
        handler.emit(build_record("the end"))
        write.close()
        reader.join(PATIENCE)
    told = [line.decode() for line in found]
    lost = [int(line.split(": ")[1].split()[0]) for line in told if "lines are lost" in line]
    assert sum(lost) == handler.dropped
    assert len(found) - len(lost) - 1 + sum(lost) == MOST_WAITING + 2_000


def fill(pipe: int) -> None:
    """To the last byte; by a description of its own, since not to wait is a property of that."""
    own = os.open(f"/proc/self/fd/{pipe}", os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while os.write(own, b"x"):
            pass
    os.close(own)


@pytest.mark.skipif(sys.platform != "linux", reason="the size of a pipe is set as Linux has it")
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_server_whose_log_nobody_reads_serves_and_ends(tmp_path: Path, workers: str) -> None:
    variables = environ(tmp_path, OPENMCP_WORKERS=workers)
    url = f"http://127.0.0.1:{variables['OPENMCP_PORT']}"
    with narrow_pipe() as (read, write):
        process = await asyncio.create_subprocess_exec(COMMAND, "serve", env=variables, stderr=write)
        try:
            await ask(url)
            timeout = aiohttp.ClientTimeout(total=PATIENCE)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                for _ in range(100):
                    async with session.get(f"{url}/{'x' * 500}") as answer:
                        assert answer.status == 404
            if workers != "1":  # who started them has something to say as well
                fill(write.fileno())
                killed = list_workers(process)[0]
                os.kill(killed, signal.SIGKILL)
                await until(lambda: killed not in list_workers(process) and len(list_workers(process)) == 2)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert 0 < len(os.read(read.fileno(), 1 << 20)) <= 4096


def test_colours_are_a_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.openpty()
    for name, coloured in (("xterm", True), ("dumb", False)):
        monkeypatch.setenv("TERM", name)
        with os.fdopen(os.dup(write), "w") as stderr:
            monkeypatch.setattr(sys, "stderr", stderr)
            configure_logging(LoggingSettings())
            logging.getLogger("server.here").warning("look")
            logging.getLogger("uvicorn.error").warning("look")
        said = b""
        while said.count(b"\n") < 2:
            said += os.read(read, 4096)
        lines = said.decode().splitlines()
        assert [("\x1b[33mwarning" in line, "look" in line) for line in lines] == [(coloured, True)] * 2
    os.close(read)
    os.close(write)
