"""Answers that look like success and are not, and answers that never end: each is named, none is taken for data."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fleet.metrics.influx.cells import CellReader
from fleet.metrics.influx.influxql_answer import decode_answer
from fleet.metrics.influx.layout import LAYOUTS
from fleet.metrics.influx.opening import open_influx_store
from fleet.metrics.influx.options import InfluxOptions
from fleet.metrics.influx.pool import InfluxAnswer
from fleet.metrics.influx.rows import read_columns
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import PodKey
from fleet.model.told import detail_of
from fleet.model.usage import Kind, Measure

WEB = PodKey("cluster1", "default", "web-0")
SERIES = (
    '{"name":"Pods","tags":{"cluster":"cluster1","namespace":"default","pod":"web-0"},'
    '"columns":["time","CPUUsageNanoCores","MemoryWorkingSetBytes"],"values":[[1,"1","1"]]}'
)
WHOLE = f'{{"results":[{{"statement_id":0,"series":[{SERIES}]}}]}}'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"results":[{"statement_id":0,"error":"database not found: Metrics"}]}', "has no database 'Metrics'"),
        ('{"results":[{"error":"query-timeout limit exceeded"}]}', "longer than InfluxDB allows"),
        (
            '{"results":[{"error":"max-select-point limit exceeed: (21/20)"}]}',
            "limit of InfluxDB \\(max-select-point\\)",
        ),
        ('{"results":[{"error":"unsupported mean iterator type: SELECT secret"}]}', "reports an error for the query"),
        ('{"error":"unable to parse authentication credentials"}', "reports an error|does not allow"),
        ('{"results":[{"error":"nobody not authorized to execute statement SELECT"}]}', "does not allow this server's"),
        (f'{{"results":[{{"series":[{SERIES}],"partial":true}}]}}', "cut its answer short \\(max-row-limit\\)"),
        (WHOLE.replace('"values"', '"partial":true,"values"'), "cut its answer short \\(max-row-limit\\)"),
        ('{"results":[{"messages":[{"level":"warning","text":"deprecated"}]}]}', "answered with a warning"),
        ('{"results":[]}', "holds no result"),
        ("{}", "holds no result"),
        ("[]", "is not the answer of an InfluxDB"),
        ("", "is not the answer of an InfluxDB"),
        ("<html>Welcome</html>", "is not the answer of an InfluxDB"),
        (WHOLE[:-4], "cut short"),
        ('{"results":[{"series":[{"columns":1}]}]}', "is not the answer of an InfluxDB"),
        ("[" * 100_000, "is not the answer of an InfluxDB"),
    ],
)
def test_what_is_not_a_whole_answer_is_refused(body: str, said: str) -> None:
    with pytest.raises(MetricsUnavailable, match=said) as refused:
        decode_answer(InfluxAnswer(body.encode()), "Metrics")
    assert "SELECT" not in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('["time"', '["moment"'),
        ('"CPUUsageNanoCores"', '"Other"'),
        ('[1,"1","1"]', "[1]"),
        ('[1,"1","1"]', "[]"),
        ('[1,"1","1"]', '["soon","1","1"]'),
    ],
)
def test_rows_that_were_not_asked_for_are_refused(old: str, new: str) -> None:
    (answer,) = decode_answer(InfluxAnswer(WHOLE.replace(old, new).encode()), "Metrics")
    with pytest.raises(MetricsUnavailable, match="other columns than were asked for"):
        read_columns(answer, LAYOUTS[Kind.POD], {WEB}, {Measure.CPU_CORES}, CellReader())


def head(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


OK = head("200 OK", f"Content-Length: {len(WHOLE)}")
CHUNKED = head("200 OK", "Transfer-Encoding: chunked")


@asynccontextmanager
async def open_talker(*pieces: bytes, wait: float = 0, stay: bool = False) -> AsyncIterator[str]:
    """A server that answers each request with these pieces, waits between them, and hangs up (or stays silent)."""
    leaving = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                if wait:
                    await asyncio.sleep(wait)
            if stay:
                await leaving.wait()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client gave up, as it should
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        leaving.set()


async def ask(url: str, timeout: float = 2.0) -> str:
    """What the store says of a server that fails."""
    options = InfluxOptions(url, username="root", password="secret-word", timeout=timeout)
    async with open_influx_store(options) as store:
        with pytest.raises(MetricsUnavailable) as refused:
            await store.latest(Kind.POD, frozenset({WEB}), frozenset({Measure.CPU_CORES}))
    assert "secret-word" not in detail_of(refused.value)
    return detail_of(refused.value)


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([OK, WHOLE[:-9].encode()], "broke off its answer"),
        ([CHUNKED, b'5\r\n{"res\r\n'], "broke off its answer"),
        ([CHUNKED, b"zz\r\n"], "broke off its answer"),
        ([], "broke off its answer"),
        ([b"SSH-2.0-OpenSSH\r\n"], "broke off its answer"),
        ([head("200 OK", "Content-Length: 5"), b"hello"], "is not the answer of an InfluxDB"),
        ([head("200 OK", "Content-Length: 20", "Content-Encoding: gzip"), b"\x1f\x8b" * 10], "is not the answer"),
        ([head("302 Found", "Location: http://127.0.0.1:9/", "Content-Length: 0")], "answered 302"),
        ([head("404 Not Found", "Content-Length: 0")], "there is no InfluxDB 1.x"),
        ([head("503 Service Unavailable", "Content-Length: 999999999")], "answered 503"),
        ([head("403 Forbidden", "Content-Length: 6"), b"SELECT"], "does not let user 'root' read 'Metrics'"),
    ],
)
async def test_broken_answers_are_named(pieces: list[bytes], said: str) -> None:
    async with open_talker(*pieces) as url:
        assert said in await ask(url)


@pytest.mark.parametrize(
    ("pieces", "wait"),
    [([], 0.0), ([OK], 0.0), ([OK, *(bytes([byte]) for byte in WHOLE.encode())], 0.1)],
    ids=["silent", "silent after the head", "a byte now and then"],
)
async def test_an_answer_that_does_not_end_costs_the_timeout(pieces: list[bytes], wait: float) -> None:
    async with open_talker(*pieces, wait=wait, stay=True) as url:
        assert "did not answer within 0.4 s" in await ask(url, timeout=0.4)


async def test_a_refusal_that_does_not_end_is_named_at_once() -> None:
    async with open_talker(head("503 Service Unavailable", "Content-Length: 99"), b"x", stay=True) as url:
        assert "answered 503" in await ask(url)


async def test_a_kept_connection_that_was_closed_is_replaced() -> None:
    async with open_talker(OK, WHOLE.encode()) as url, open_influx_store(InfluxOptions(url)) as store:
        for _ in range(5):
            usage = await store.latest(Kind.POD, frozenset({WEB}), frozenset({Measure.CPU_CORES}))
            assert usage[WEB].cpu_cores == 1.0
