"""The connection to real nats-servers of both versions: made when it can be, made anew, and its failures named."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from nats.errors import Error

from fleet.aio.tasks import end_tasks
from fleet.model.told import detail_of, plain
from fleet.replication.connection import UNREACHABLE, Nats, StateUnavailable, open_nats, translated
from fleet.replication.options import NatsOptions
from realfleet.nats import NatsServer, NatsUser
from realfleet.nats_credentials import NatsOperator
from realfleet.pki import build_cluster_files
from tests.fakes.faults import open_proxy
from tests.fakes.waiting import until
from tests.required import both_versions

StartNats = Callable[..., NatsServer]


def connect(*servers: str, **options: Any) -> AbstractAsyncContextManager[Nats]:
    return open_nats(NatsOptions(servers=servers, replica="a", **options))


async def wait_connected(nats: Nats) -> None:
    await until(lambda: nats.is_connected, what=f"a connection ({detail_of(nats.problem or '')})")


async def wait_problem(nats: Nats, text: str) -> None:
    await until(lambda: text in detail_of(nats.problem or ""), what=f"{text!r} (now {detail_of(nats.problem or '')})")


@both_versions
async def test_it_comes_and_goes_with_the_server(nats_server: NatsServer, caplog: pytest.LogCaptureFixture) -> None:
    await asyncio.to_thread(nats_server.stop)
    turns: list[bool] = []
    async with connect(nats_server.url) as nats:
        unlisten = nats.listen(lambda: turns.append(nats.is_connected))
        await wait_problem(nats, "Connect call failed")
        assert plain(str(nats.problem)) == UNREACHABLE
        with pytest.raises(StateUnavailable):
            _ = nats.js
        await asyncio.to_thread(nats_server.start)
        await asyncio.wait_for(nats.wait_connected(), 60)
        assert (await nats.js.account_info()).streams == 0
        await asyncio.to_thread(nats_server.kill)
        await until(lambda: not nats.is_connected)
        await asyncio.to_thread(nats_server.start)
        await wait_connected(nats)
        assert turns == [True, False, True]
        unlisten()
    assert turns == [True, False, True]
    told = {record.message.partition(": ")[2] for record in caplog.records}
    assert {text for text in told if "Connect call failed" not in text} == {
        "the connection was lost; it is tried for ever"
    }


async def test_a_frozen_server_is_left_for_another_though_messages_wait_for_it(start_nats_server: StartNats) -> None:
    first, second = start_nats_server(), start_nats_server()
    async with connect(first.url, second.url) as nats:
        await wait_connected(nats)
        url = nats.client.connected_url
        assert url is not None
        taken = first if url.port == first.port else second
        taken.pause()
        publishing = asyncio.create_task(publish_for_ever(nats))
        try:
            await until(lambda: not nats.is_connected)
            await wait_connected(nats)
            assert (await nats.js.account_info()).streams == 0
        finally:
            taken.resume()
            await end_tasks(publishing)


async def publish_for_ever(nats: Nats) -> None:
    while True:
        with contextlib.suppress(Error, StateUnavailable):
            await nats.client.publish("x", bytes(500_000))
        await asyncio.sleep(0.01)


async def test_a_slow_line_is_no_lost_one(nats_server: NatsServer) -> None:
    async with open_proxy(nats_server.url) as (url, line):
        line.latency = 0.2
        turns: list[bool] = []
        async with connect(url) as nats:
            nats.listen(lambda: turns.append(nats.is_connected))
            await wait_connected(nats)
            await nats.js.add_stream(name="s", subjects=["s.>"])
            for _ in range(10):
                await nats.js.publish("s.a", b"x")
            assert turns == [True]
            line.reset()
            await until(lambda: turns == [True, False, True])


@both_versions
async def test_a_wrong_password_is_named_and_mended(start_nats_server: StartNats) -> None:
    right = NatsUser("writer")
    server = start_nats_server(users=(right,))
    async with connect(server.url, username="writer", password="wrong-password") as nats:
        await wait_problem(nats, "it refuses the user, the password or the credentials file")
        assert "wrong-password" not in detail_of(nats.problem or "")
        await asyncio.to_thread(server.restart, users=(NatsUser("writer", password="wrong-password"),))
        await wait_connected(nats)


@both_versions
async def test_what_the_account_may_not_is_remembered(start_nats_server: StartNats) -> None:
    server = start_nats_server(users=(NatsUser("follower", publish=("$JS.API.INFO",)),))
    user = server.user("follower")
    async with connect(server.url, username=user.username, password=user.password) as nats:
        await wait_connected(nats)
        assert (await nats.js.account_info()).streams == 0
        with pytest.raises(StateUnavailable, match=UNREACHABLE), translated("a stream"):
            await nats.js.stream_info("openmcp-a")
        assert "$js.api.stream.info.openmcp-a" in str(nats.refused).lower()
        assert nats.is_connected


@both_versions
async def test_tls_with_an_authority_and_a_certificate(start_nats_server: StartNats, tmp_path: Path) -> None:
    files, others = build_cluster_files(tmp_path / "a", "a"), build_cluster_files(tmp_path / "b", "b")
    server = start_nats_server(tls=files, client_certificates=True)
    both = {"cert_file": files.client_certificate, "key_file": files.client_key}
    async with connect(server.url, ca_file=files.ca, **both) as nats:
        await wait_connected(nats)
    async with connect(server.url, ca_file=others.ca, **both) as nats:
        await wait_problem(nats, "its certificate is not trusted here")
    async with connect(server.url, **both) as nats:
        await wait_problem(nats, "its certificate is not trusted here")
    async with connect(server.url, ca_file=files.ca) as nats:
        await wait_problem(nats, "does it want a client certificate?")
        assert not nats.is_connected
    async with connect(server.url, ca_file=tmp_path / "none.pem") as nats:
        await wait_problem(nats, "none.pem can't be used")


@both_versions
async def test_no_password_goes_to_a_server_without_tls(start_nats_server: StartNats, tmp_path: Path) -> None:
    files = build_cluster_files(tmp_path, "a")
    server = start_nats_server(users=(NatsUser("writer"),))
    user = server.user("writer")
    async with connect(server.url, ca_file=files.ca, username=user.username, password=user.password) as nats:
        await wait_problem(nats, "it speaks no TLS")
        assert server.ask("/varz")["total_connections"] >= 1
        assert server.ask("/connz")["connections"] == []


@both_versions
async def test_a_credentials_file_is_read_anew_for_a_new_connection(
    start_nats_server: StartNats, tmp_path: Path
) -> None:
    operator = NatsOperator()
    server = start_nats_server(further=operator.config, jetstream=False)
    path = operator.write_credentials(tmp_path / "user.creds", seconds=2)
    turns: list[bool] = []
    async with connect(server.url, credentials_file=path) as nats:
        nats.listen(lambda: turns.append(nats.is_connected))
        await wait_connected(nats)
        operator.write_credentials(path)
        await until(lambda: turns == [True, False, True], what="expiry and a new connection")


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "can't be read"), ("", "must hold a NATS USER JWT"), ("\xff" * 9, "must hold a NATS USER JWT")],
)
async def test_a_credentials_file_that_is_none(
    nats_server: NatsServer, tmp_path: Path, content: str | None, problem: str
) -> None:
    path = tmp_path / "user.creds"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    async with connect(nats_server.url, credentials_file=path) as nats:
        await wait_problem(nats, problem)


async def test_what_is_no_nats_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    connections: list[object] = []

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with connect(f"nats://127.0.0.1:{port}") as nats:
            await until(lambda: len(connections) > 3)
            assert "empty response from server" in detail_of(str(nats.problem))
    assert len([record for record in caplog.records if record.name == "fleet.replication.connection"]) == 1
