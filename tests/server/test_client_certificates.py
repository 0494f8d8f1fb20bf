"""Client certificates on the main port: who they are, what is refused when, and what a new authority ends."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from auth.users import User, load_users, save_users
from fleet.model.visibility import Role, Scope
from server.tls import AuthoritiesInvalid, ReloadingCertificate
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.certificates import Authority, Pair
from tests.server.test_cli import run
from tests.server.test_serve import ask, environ, open_process

VIEWER = "{ viewer { name groups role expiresAt } }"
FOLLOWED = "subscription { clusterEvents { type } }"
USERS = (
    User("ann", "", Scope(Role.EDIT)),
    User("ops", "", Scope(Role.ADMIN), is_group=True),
)


@dataclass
class Port:
    """A started server's main port, and who may vouch for its callers."""

    url: str
    server: Authority
    clients: Authority
    folder: Path

    def trust(self, pair: Pair | None = None, *, newest: bool = True) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.server.pem.decode())
        if not newest:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        if pair is not None:
            context.load_cert_chain(*pair.write(self.folder / "callers", f"{hash(pair)}"))
        return context

    async def ask(
        self, pair: Pair | None, headers: dict[str, str] | None = None, *, newest: bool = True
    ) -> tuple[int, Any]:
        """Status and content of a question of who asks."""
        tls = self.trust(pair, newest=newest)
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{self.url}/graphql", json={"query": VIEWER}, ssl=tls) as answer,
        ):
            content = await answer.json()
            return answer.status, content["data"]["viewer"] if content.get("data") else json.dumps(content)

    @asynccontextmanager
    async def open_socket(
        self, pair: Pair, headers: dict[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket that has said who it is by its certificate alone."""
        at, tls = f"{self.url}/graphql", self.trust(pair)
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.ws_connect(at, protocols=["graphql-transport-ws"], ssl=tls) as socket,
        ):
            await socket.send_json({"type": "connection_init"})
            yield socket

    def let_in(self, *authorities: Authority) -> None:
        pem = b"".join(authority.pem for authority in authorities)
        written = self.folder / "new.crt"
        written.write_bytes(pem)
        written.replace(self.folder / "clients.crt")


@pytest.fixture(scope="module")
async def port(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Port]:
    folder, server, clients = tmp_path_factory.mktemp("certified"), Authority(), Authority("clients")
    certificate, key = server.issue("127.0.0.1").write(folder, "tls")
    save_users(folder / "users", USERS)
    (folder / "clients.crt").write_bytes(clients.pem)
    variables = environ(
        folder,
        OPENMCP_TLS_CERT_FILE=str(certificate),
        OPENMCP_TLS_KEY_FILE=str(key),
        OPENMCP_TLS_CLIENT_CA_FILE=str(folder / "clients.crt"),
        OPENMCP_USERS_FILE=str(folder / "users"),
        OPENMCP_LOG_LEVEL="error",
    )
    opened = Port(f"https://127.0.0.1:{variables['OPENMCP_PORT']}", server, clients, folder)
    async with open_process(variables):
        await ask(f"{opened.url}/healthz", opened.trust())
        yield opened


@pytest.mark.parametrize("newest", [True, False])
async def test_a_certificate_names_user_and_groups(port: Port, *, newest: bool) -> None:
    by_name = port.clients.issue(common_name="ann", usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    status, viewer = await port.ask(by_name, newest=newest)
    assert (status, viewer["name"], viewer["groups"], viewer["role"]) == (200, "ann", [], "EDIT")
    assert viewer["expiresAt"]
    by_group = port.clients.issue(common_name="bob", groups=["ops", "dev"])
    status, viewer = await port.ask(by_group, newest=newest)
    assert (status, viewer["name"], viewer["groups"], viewer["role"]) == (200, "bob", ["ops", "dev"], "ADMIN")


async def test_who_has_none_signs_in_as_ever(port: Port) -> None:
    assert (await port.ask(None))[0] == 401
    async with aiohttp.ClientSession() as session:
        given = {"username": "openmcp", "password": "keti"}
        async with session.post(f"{port.url}/token", json=given, ssl=port.trust()) as answer:
            token = (await answer.json())["token"]
    assert (await port.ask(None, {"Authorization": f"Bearer {token}"}))[1]["name"] == "openmcp"
    # As an API server has it, see tests/kubectl.
    ann = port.clients.issue(common_name="ann")
    assert (await port.ask(ann, {"Authorization": f"Bearer {token}"}))[1]["name"] == "ann"


@pytest.mark.parametrize("why", ["another authority's", "expired", "a server's"])
async def test_what_can_not_count_is_refused_in_the_handshake(port: Port, why: str) -> None:
    pair = {
        "another authority's": Authority("clients").issue(common_name="ann"),
        "expired": port.clients.issue(common_name="ann", days=-1),
        "a server's": port.clients.issue(common_name="ann", usage=ExtendedKeyUsageOID.SERVER_AUTH),
    }[why]
    with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
        await port.ask(pair)


async def test_a_certificate_to_whom_nothing_is_given_is_told_so(port: Port) -> None:
    status, said = await port.ask(port.clients.issue(common_name="eve", groups=["team"]))
    assert (status, "signed in as 'eve' (groups: 'team')" in said) == (403, True)
    # A certificate does not make its holder a user who has a password here, the administrator for instance.
    assert (await port.ask(port.clients.issue(common_name="openmcp")))[0] == 403
    status, said = await port.ask(port.clients.issue(common_name="", groups=["ops"]))
    assert (status, "Required authorization token not found" in said) == (401, True)


@pytest.mark.parametrize(
    ("headers", "counts"),
    [
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
    ],
)
async def test_another_page_can_not_use_what_a_browser_sends_unasked(
    port: Port, headers: dict[str, str], *, counts: bool
) -> None:
    ann = port.clients.issue(common_name="ann")
    assert (await port.ask(ann, headers))[0] == (200 if counts else 401)
    async with port.open_socket(ann, headers) as socket:
        assert ((await socket.receive()).type is aiohttp.WSMsgType.TEXT) is counts


async def test_new_authorities_end_what_the_old_ones_let_in(port: Port) -> None:
    old, new = port.clients, Authority("new clients")
    ann = old.issue(common_name="ann")
    async with (
        port.open_socket(ann) as socket,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=port.trust(ann))) as kept,
    ):
        assert (await socket.receive_json())["type"] == "connection_ack"
        await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": FOLLOWED}})
        async with kept.get(f"{port.url}/graphql", params={"query": VIEWER}) as answer:
            assert answer.status == 200
        port.let_in(new)
        async with asyncio.timeout(PATIENCE):
            async for _ in socket:
                pass
        assert socket.close_code == 4403
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await kept.get(f"{port.url}/graphql", params={"query": VIEWER})
    assert (await port.ask(new.issue(common_name="ann")))[1]["name"] == "ann"
    port.let_in(old, new)
    await until(lambda: counts(port, ann), what="both authorities")


async def counts(port: Port, pair: Pair) -> bool:
    try:
        return (await port.ask(pair))[0] == 200
    except (aiohttp.ClientError, ssl.SSLError):
        return False


async def test_a_session_that_goes_on_brings_no_certificate_of_old_authorities(port: Port) -> None:
    """What is resumed (of TLS 1.2 alone) was verified when it began."""
    old = Authority("first")
    ann, authorities = old.issue(common_name="ann"), (old, port.clients)
    port.let_in(*authorities)
    await until(lambda: counts(port, ann), what="the authority")
    context = port.trust(ann, newest=False)
    session: ssl.SSLSession | None = None

    async def is_resumed() -> bool:
        nonlocal session
        _, session = await asyncio.to_thread(ask_by_tls, port, context, None)
        said, _ = await asyncio.to_thread(ask_by_tls, port, context, session)
        return b'"ann"' in said and b"resumed" in said

    await until(is_resumed, what="a session that is later than the authority")
    port.let_in(port.clients)

    async def is_out() -> bool:
        return not await counts(port, ann)

    await until(is_out, what="the end of the authority")
    said, _ = await asyncio.to_thread(ask_by_tls, port, context, session)
    assert (b'"ann"' in said, b"resumed" in said) == (False, True)


def ask_by_tls(port: Port, context: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[bytes, Any]:
    at = ("127.0.0.1", int(port.url.rpartition(":")[2]))
    with (
        socket.create_connection(at) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as tls,
    ):
        tls.sendall(b"GET /graphql?query={viewer{name}} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        said = b"resumed " if tls.session_reused else b""
        while piece := tls.recv(4096):
            said += piece
        return said, tls.session


@pytest.mark.parametrize("broken", [b"", b"no PEM", "é".encode()])
def test_authorities_that_can_not_be_read_leave_the_old_ones_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: bytes
) -> None:
    paths, authorities = Authority().issue("127.0.0.1").write(tmp_path, "tls"), tmp_path / "clients.crt"
    authorities.write_bytes(broken)
    with pytest.raises(AuthoritiesInvalid):
        ReloadingCertificate(*paths, authorities)
    authorities.write_bytes(Authority().pem)
    certificate = ReloadingCertificate(*paths, authorities)
    authorities.write_bytes(broken)
    assert [certificate.reload() for _ in range(3)] == [False] * 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_what_was_issued_before_a_user_was_added_counts(tmp_path: Path) -> None:
    users = tmp_path / "users"
    assert run("user", "add", "ann", "--role", "view", "--elsewhere", "--file", str(users)).exit_code == 0
    assert load_users(users)["ann"].signed_out_at == 0
