"""HTTPS on the main port: certificates are replaced under open connections; connections come and go by thousands."""

import asyncio
import ssl
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import pytest

from server.tls import CertificateInvalid, ReloadingCertificate
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.certificates import Authority, Pair
from tests.processes import free_port
from tests.server.test_serve import ask, environ, open_process

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: here\r\n%s\r\n"
KEPT = REQUEST % b""
CLOSED = REQUEST % b"Connection: close\r\n"
AT_ONCE = 20


@dataclass
class Connection:
    """One connection to the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def certificate(self) -> bytes | None:
        shown: ssl.SSLObject = self.writer.get_extra_info("ssl_object")
        return shown.getpeercert(binary_form=True)

    async def ask(self, request: bytes = KEPT) -> bytes:
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        return head + await self.reader.readexactly(3)


@dataclass
class Served:
    """A started server: ports of HTTPS and of plain HTTP, and the files of its certificate."""

    process: Process
    port: int
    plain: int
    authority: Authority
    folder: Path

    def replace(self, pair: Pair) -> None:
        pair.write(self.folder, "tls")

    @cached_property
    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority.pem.decode())

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    @asynccontextmanager
    async def connect(self, *, plain: bool = False) -> AsyncIterator[Connection]:
        port, tls = (self.plain, None) if plain else (self.port, self.trusted)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        try:
            yield Connection(reader, writer)
        finally:
            writer.close()


@pytest.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    authority, folder = Authority(), tmp_path_factory.mktemp("served")
    certificate, key = authority.issue("127.0.0.1").write(folder, "tls")
    plain = free_port()
    variables = environ(
        folder,
        OPENMCP_TLS_CERT_FILE=str(certificate),
        OPENMCP_TLS_KEY_FILE=str(key),
        OPENMCP_PLAIN_PORT=str(plain),
        OPENMCP_LOG_LEVEL="error",
    )
    async with open_process(variables) as process:
        await ask(f"http://127.0.0.1:{plain}/healthz")
        yield Served(process, int(variables["OPENMCP_PORT"]), plain, authority, folder)


async def test_a_new_certificate_counts_for_new_connections_and_ends_none(served: Served) -> None:
    async with served.connect() as old:
        before = old.certificate
        served.replace(served.authority.issue("127.0.0.1"))
        after = before
        async with asyncio.timeout(PATIENCE):
            while after == before:
                async with served.connect() as new:
                    await new.ask()
                    after = new.certificate
                await asyncio.sleep(0.1)
        await old.ask()
        assert old.certificate == before


@pytest.mark.parametrize("broken", ["empty", "no PEM", "another key", "gone"])
def test_a_broken_new_file_keeps_the_old_certificate_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    authority = Authority()
    first, second = authority.issue("127.0.0.1"), authority.issue("127.0.0.1")
    paths = first.write(tmp_path, "tls")
    certificate = ReloadingCertificate(*paths)
    contents = {"empty": b"", "no PEM": b"certificate", "another key": second.certificate}
    if broken == "gone":
        paths[0].unlink()
    else:
        paths[0].write_bytes(contents[broken])
    assert [certificate.reload() for _ in range(3)] == [False] * 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert first.key.decode() not in caplog.text
    second.write(tmp_path, "tls")
    assert [certificate.reload() for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize(
    ("left", "levels", "said"),
    [
        (timedelta(days=60), [], ""),
        (timedelta(days=3), ["WARNING"], "renew it"),
        (-timedelta(minutes=5), ["ERROR"], "has expired"),
    ],
)
def test_a_certificate_that_has_ended_or_will_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, left: timedelta, levels: list[str], said: str
) -> None:
    ends = (datetime.now(UTC) + left).replace(microsecond=0)
    certificate = ReloadingCertificate(*Authority().issue("127.0.0.1", ends=ends).write(tmp_path, "tls"))

    for _ in range(3):
        certificate.warn()

    assert certificate.ends_at == ends
    assert (certificate.problem is not None) is (left < timedelta())
    assert [record.levelname for record in caplog.records] == levels
    assert said in caplog.text


@pytest.mark.parametrize("year", [2049, 2050, 9999])
def test_a_certificate_s_end_is_read_in_both_forms(tmp_path: Path, year: int) -> None:
    ends = datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert ReloadingCertificate(*Authority().issue("127.0.0.1", ends=ends).write(tmp_path, "tls")).ends_at == ends


def test_what_is_no_certificate_at_the_start_is_an_error(tmp_path: Path) -> None:
    paths = Pair(b"certificate", b"key").write(tmp_path, "tls")
    with pytest.raises(CertificateInvalid):
        ReloadingCertificate(*paths)


@pytest.mark.parametrize("plain", [False, True])
async def test_a_connection_a_call_leaves_no_descriptor_behind(served: Served, plain: bool) -> None:
    """The portals open a connection for each call: 3,000 of them, half of which say that they will close."""
    async with served.connect(plain=plain) as first:
        await first.ask()
        before = served.descriptors

        async def call(number: int) -> None:
            async with served.connect(plain=plain) as connection:
                await connection.ask(CLOSED if number % 2 else KEPT)
                if number % 2:
                    assert await connection.reader.read() == b""

        async def call_many(worker: int) -> None:
            for number in range(3_000 // AT_ONCE):
                await call(worker + number)
                if worker == 0:
                    await first.ask()  # one that says nothing is closed, however long all this takes

        await asyncio.gather(*(call_many(worker) for worker in range(AT_ONCE)))
        await until(lambda: served.descriptors <= before, what="the descriptors of before")
        await first.ask()


async def test_a_connection_is_kept_for_many_requests(served: Served) -> None:
    async with served.connect() as connection:
        for _ in range(2_000):
            await connection.ask()


async def test_a_connection_that_says_nothing_is_closed(served: Served) -> None:
    async with served.connect() as silent, served.connect() as slow:
        no_handshake, writer = await asyncio.open_connection("127.0.0.1", served.port)
        slow.writer.write(KEPT[:20])
        async with asyncio.timeout(PATIENCE):
            assert await no_handshake.read() == b""
            assert await silent.reader.read() == b""
            assert (await slow.reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_http_2_is_not_offered(served: Served) -> None:
    tls = ssl.create_default_context(cadata=served.authority.pem.decode())
    tls.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=tls)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() != "h2"
    writer.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_plain_http_on_https_is_told_so(served: Served, method: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(f"{method} /token HTTP/1.1\r\nHost: here\r\nContent-Length: 500000\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
        said = await reader.readline()
        writer.write(b"x" * 500_000)  # is read, so that no reset takes the answer away
        await writer.drain()
    assert head.startswith(b"HTTP/1.0 400 Bad Request\r\n")
    assert said == b"Client sent an HTTP request to an HTTPS server.\n"
    writer.close()


async def test_nonsense_on_https_ends_without_an_answer(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"\x00 nonsense of five hundred bytes" * 20)
    async with asyncio.timeout(PATIENCE):
        assert b"HTTP" not in await reader.read()
    writer.close()
