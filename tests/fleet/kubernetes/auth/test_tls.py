"""TLS towards a member: what is verified, what can be switched off, and what is said when it fails."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from fleet.kubernetes.auth.tls import TlsMaterial, TlsMaterialError, build_ssl_context
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.errors import ClusterUnreachable
from fleet.ports import Call
from tests.fleet.kubernetes.certificates import Authority, Pair, server_context
from tests.fleet.kubernetes.servers import open_http_server, open_raw_server

OURS = Authority("ours")
OTHER = Authority("other")


async def hello(request: web.BaseRequest) -> web.Response:
    del request
    return web.Response(text="hello")


@asynccontextmanager
async def open_tls_server(pair: Pair, folder: Path, client_ca: bytes | None = None) -> AsyncIterator[str]:
    async with open_http_server(hello, tls=server_context(pair, folder, client_ca)) as url:
        yield url


async def ask(url: str, material: TlsMaterial, server_name: str | None = None) -> bytes:
    connection = HttpConnection("cluster1", Target(url, build_ssl_context(material), server_name=server_name))
    try:
        return (await connection.request(Call("GET", "/", timeout=5))).body
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("pair", "material", "server_name"),
    [
        (OURS.issue("127.0.0.1"), TlsMaterial(OURS.pem), None),
        (OURS.issue("127.0.0.1"), TlsMaterial(OTHER.pem + OURS.pem), None),
        (OURS.issue("api.example"), TlsMaterial(OURS.pem), "api.example"),
        (OURS.issue("api.example"), TlsMaterial(OURS.pem, disabled=frozenset({"SubjectName"})), None),
        (OURS.issue("127.0.0.1", days=-2), TlsMaterial(OURS.pem, disabled=frozenset({"ValidityPeriod"})), None),
        (OURS.issue("api.example", days=-2), TlsMaterial(disabled=frozenset({"*"})), None),
    ],
    ids=["ca", "bundle", "server name", "SubjectName off", "ValidityPeriod off", "all off"],
)
async def test_accepted(pair: Pair, material: TlsMaterial, server_name: str | None, tmp_path: Path) -> None:
    async with open_tls_server(pair, tmp_path) as url:
        assert await ask(url, material, server_name) == b"hello"


async def test_the_servers_own_certificate_may_be_the_bundle(tmp_path: Path) -> None:
    pair = OURS.issue("127.0.0.1")
    async with open_tls_server(pair, tmp_path) as url:
        assert await ask(url, TlsMaterial(pair.certificate)) == b"hello"


@pytest.mark.parametrize(
    ("pair", "material", "words"),
    [
        (
            OURS.issue("127.0.0.1"),
            TlsMaterial(OTHER.pem),
            "TLS verification of .* CA bundle is not of the authority",
        ),
        (OURS.issue("127.0.0.1"), TlsMaterial(), "TLS verification of .* the CA bundle"),
        (OURS.issue("api.example"), TlsMaterial(OURS.pem), "TLS verification of .* another host name"),
        (OURS.issue("127.0.0.1", days=-2), TlsMaterial(OURS.pem), "TLS verification of .* expired: renew"),
        (
            OTHER.issue("api.example"),
            TlsMaterial(OURS.pem, disabled=frozenset({"SubjectName", "ValidityPeriod"})),
            "TLS verification of .* the CA bundle",
        ),
    ],
    ids=["wrong ca", "no ca", "wrong name", "expired", "wrong ca without names"],
)
async def test_refused(pair: Pair, material: TlsMaterial, words: str, tmp_path: Path) -> None:
    async with open_tls_server(pair, tmp_path) as url:
        with pytest.raises(ClusterUnreachable, match=words):
            await ask(url, material)


async def test_client_certificate_is_shown(tmp_path: Path) -> None:
    client = OTHER.issue(common_name="client")
    async with open_tls_server(OURS.issue("127.0.0.1"), tmp_path, OTHER.pem) as url:
        material = TlsMaterial(OURS.pem, client.certificate, client.key)
        assert await ask(url, material) == b"hello"
        with pytest.raises(ClusterUnreachable, match=r"TLS|cut"):
            await ask(url, TlsMaterial(OURS.pem))


async def test_plain_http_behind_https_says_so() -> None:
    async with open_http_server(hello) as url:
        with pytest.raises(ClusterUnreachable, match="is it an https endpoint"):
            await ask(url.replace("http:", "https:"), TlsMaterial(OURS.pem))


@pytest.mark.parametrize(
    "material",
    [
        TlsMaterial(b"nonsense"),
        TlsMaterial(b"\xff\xfe"),
        TlsMaterial(b""),
        TlsMaterial(OURS.pem, b"nonsense", b"nonsense"),
        TlsMaterial(OURS.pem, OURS.issue("a").certificate, OURS.issue("b").key),
    ],
    ids=["no pem", "not ascii", "empty", "no certificate", "key of another"],
)
def test_unusable_material_is_named(material: TlsMaterial) -> None:
    with pytest.raises(TlsMaterialError, match=r"CA bundle|client certificate"):
        build_ssl_context(material)


def test_verification_is_on_by_default() -> None:
    context = build_ssl_context(TlsMaterial(OURS.pem))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


async def test_a_proxy_is_asked_to_connect(tmp_path: Path) -> None:
    lines: list[bytes] = []

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        finally:
            writer.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readuntil(b"\r\n\r\n"))
        host, port = re.findall(rb"CONNECT (\S+):(\d+)", lines[0])[0]
        there = await asyncio.open_connection(host.decode(), int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))

    async with open_tls_server(OURS.issue("api.example"), tmp_path) as url, open_raw_server(proxy) as through:
        target = Target(
            url,
            build_ssl_context(TlsMaterial(OURS.pem)),
            server_name="api.example",
            proxy=through.replace("//", "//u:p@"),
        )
        connection = HttpConnection("cluster1", target)
        assert (await connection.request(Call("GET", "/", timeout=5))).body == b"hello"
        await connection.close()
    assert b"Proxy-Authorization: Basic dTpw" in lines[0]
