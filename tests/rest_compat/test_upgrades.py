"""Streams in front of a small member that speaks the channel protocol: what passes, what does not, and who may."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from auth.authenticator import Authenticator
from fleet.kubernetes.auth.authorizers import bearer
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.errors import ClusterUnreachable
from rest_compat.disconnect import check_repeatedly
from rest_compat.open_streams import OpenStreams, TooManyStreams
from server.asgi.upgrade import UpgradeProtocol
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.servers import open_http_server
from tests.rest_compat.serving import Client, Clusters, Points, open_client, open_served
from tests.rest_compat.upstream import Upstream, answering

POD = "/api/v1/namespaces/shop/pods/web"
EXEC = f"{POD}/exec?command=x&stdout=true"
V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"
SECRET = "the member's own token"
EXIT_7 = {
    "status": "Failure",
    "reason": "NonZeroExitCode",
    "message": "command terminated with exit code 7",
    "details": {"causes": [{"reason": "ExitCode", "message": "7"}]},
}


@pytest.fixture
async def streams(authenticator: Authenticator, upstream: Upstream) -> AsyncIterator[Client]:
    """The routes on a server that lets them take connections over."""
    token = await authenticator.login("openmcp", "keti")
    async with open_http_server(upstream.serve) as endpoint:
        connection = HttpConnection("cluster1", Target(endpoint, authorizer=bearer(SECRET)))
        state = {
            "federation": Clusters({"cluster1": connection}),
            "metric_store": Points(),
            "authenticator": authenticator,
            "request_timeout": PATIENCE,
        }
        try:
            async with open_served(state, http=UpgradeProtocol) as url, open_client(url, token) as opened:
                yield opened
        finally:
            await connection.close()


def open_socket(
    client: Client, target: str, *protocols: str, token: str = ""
) -> "aiohttp.client._WSRequestContextManager":
    return client.session.ws_connect(
        client.url + target,
        protocols=protocols,
        headers={"Authorization": f"Bearer {token or client.token}"},
        max_msg_size=0,
    )


def speaking(upstream: Upstream) -> "asyncio.Queue[web.WebSocketResponse]":
    """A member that says what it is told (channel 1), an exit status of 7 (channel 3), and good-bye."""
    opened: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await upstream.record(request)
        socket = web.WebSocketResponse(protocols=(V5, V4), max_msg_size=0)
        await socket.prepare(request)
        opened.put_nowait(socket)
        async for message in socket:
            if message.data[1:] == b"end":
                await socket.send_bytes(b"\x03" + json.dumps(EXIT_7).encode())
                break
            await socket.send_bytes(b"\x01" + message.data[1:])
        await socket.close(code=1000)
        return socket

    upstream.answers[f"{POD}/exec"] = answer
    return opened


@pytest.mark.parametrize("target", [f"{EXEC}&clustername=cluster1", f"/clusters/cluster1{EXEC}"])
@pytest.mark.parametrize("protocol", [V4, V5])
async def test_a_stream_and_its_exit_status_arrive_as_they_were_sent(
    streams: Client, upstream: Upstream, target: str, protocol: str
) -> None:
    speaking(upstream)
    async with open_socket(streams, target, protocol) as socket:
        assert socket.protocol == protocol
        for said in (b"hello", b"x" * 3_000_000, b""):
            await socket.send_bytes(b"\x00" + said)
            assert await socket.receive_bytes() == b"\x01" + said
        await socket.send_bytes(b"\x00end")
        status = await socket.receive_bytes()
        closed = await socket.receive()
    assert (status[0], json.loads(status[1:])) == (3, EXIT_7)
    assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1000)


async def test_the_member_sees_this_servers_credential_and_no_other(streams: Client, upstream: Upstream) -> None:
    speaking(upstream)
    token = base64.urlsafe_b64encode(streams.token.encode()).decode().rstrip("=")
    told = f"base64url.bearer.authorization.k8s.io.{token}"
    # As a browser says its token, which can set no header.
    url = f"{streams.url}/clusters/cluster1{EXEC}"
    async with streams.session.ws_connect(url, protocols=(told, V4), headers={"Cookie": "a=b"}) as socket:
        assert socket.protocol == V4
    (seen,) = upstream.seen
    assert seen.header("authorization") == f"Bearer {SECRET}"
    assert (seen.header("sec-websocket-protocol"), seen.header("cookie")) == (V4, None)
    assert token not in str(seen)
    assert seen.target == EXEC


async def test_a_caller_who_leaves_ends_the_members_stream(streams: Client, upstream: Upstream) -> None:
    speaking(upstream)
    async with open_socket(streams, f"/clusters/cluster1{EXEC}", V4) as socket:
        assert (upstream.begun, upstream.ended) == (1, 0)
        # Without a good-bye, as a process that is killed.
        socket._response.close()
        await until(lambda: upstream.ended == 1, what="the end of the member's stream")


async def test_a_member_that_leaves_ends_the_callers_stream(streams: Client, upstream: Upstream) -> None:
    opened = speaking(upstream)
    async with open_socket(streams, f"/clusters/cluster1{EXEC}", V4) as socket:
        theirs = await opened.get()
        theirs._req.transport.abort()  # type: ignore[union-attr]
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def test_a_caller_who_does_not_read_holds_the_member_back(streams: Client, upstream: Upstream) -> None:
    written = 0

    async def flood(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal written
        socket = web.WebSocketResponse(protocols=(V4,))
        await socket.prepare(request)
        for _ in range(2000):
            await socket.send_bytes(b"\x01" + bytes(65_536))
            written += 65_536
        return socket

    upstream.answers[f"{POD}/exec"] = flood
    async with open_socket(streams, f"/clusters/cluster1{EXEC}", V4) as socket:
        assert len(await socket.receive_bytes()) == 65_537
        before = -1
        while before != written:  # until it stands still
            before = written
            await asyncio.sleep(0.2)
        # What the systems' and the libraries' buffers hold, and no more.
        assert written < 100 * 1024 * 1024
        for _ in range(1999):
            await socket.receive_bytes()
        assert written == 2000 * 65_536


@pytest.mark.parametrize(
    ("status", "target", "message"),
    [
        (400, f"/clusters/cluster1{EXEC}", "container x is not valid"),
        (404, f"{EXEC}&clustername=cluster1", "container x is not valid"),
        (502, f"/clusters/cluster1{EXEC}", "refused this server's credential"),
        (404, f"/clusters/nowhere{EXEC}", "no cluster is named 'nowhere'"),
        (503, f"/clusters/down{EXEC}", "cluster down"),
        (400, f"/clusters/cluster1{EXEC}&clustername=down", "name one of them"),
    ],
)
async def test_a_stream_that_is_not_opened_is_a_status(
    streams: Client, upstream: Upstream, status: int, target: str, message: str
) -> None:
    said = b'{"kind":"Status","status":"Failure","reason":"BadRequest","message":"container x is not valid"}'
    upstream.answers[f"{POD}/exec"] = answering(401 if status == 502 else status, said)
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Key": "x" * 22 + "==", "Accept": "*/*"}
    answer = await streams.ask("GET", target, Sec_WebSocket_Version="13", **headers)
    body = json.loads(answer.body)
    assert (answer.status, body["kind"]) == (status, "Status")
    assert message in body["message"]


async def test_who_may_not_open_a_stream_is_told_so(streams: Client, upstream: Upstream, viewer: str) -> None:
    headers = {"Upgrade": "SPDY/3.1", "Connection": "Upgrade", "Accept": "*/*"}
    refused = await streams.ask("POST", f"/clusters/cluster1{EXEC}", token=viewer, **headers)
    unknown = await streams.ask("POST", f"/clusters/cluster1{EXEC}", token="nonsense", **headers)
    assert (refused.status, json.loads(refused.body)["reason"]) == (403, "Forbidden")
    assert (unknown.status, json.loads(unknown.body)["reason"]) == (401, "Unauthorized")
    assert upstream.seen == []


def test_open_streams_are_counted_by_user_and_in_all() -> None:
    counted = OpenStreams(total=3, of_a_user=2)
    with counted.hold("ann"), counted.hold("ann"):
        with pytest.raises(TooManyStreams, match="'ann' has 2"), counted.hold("ann"):
            pass
        with counted.hold("bob"), pytest.raises(TooManyStreams, match="3 streams are open"), counted.hold("cy"):
            pass
    with counted.hold("ann"):
        pass


async def test_omcpctls_words_are_run_and_answered_as_a_message(streams: Client, upstream: Upstream) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await upstream.record(request)
        socket = web.WebSocketResponse(protocols=(V5,))
        await socket.prepare(request)
        await socket.send_bytes(b"\x01out\n")
        await socket.send_bytes(b"\x02err\n")
        await socket.send_bytes(b"\x03" + json.dumps(EXIT_7).encode())
        await socket.close()
        return socket

    upstream.answers[f"{POD}/exec"] = answer
    query = "clustername=cluster1&podname=web&podnamespace=shop&containername=side&stdin=true&tty=true&stdout=true"
    answer_ = await streams.ask("POST", f"{POD}/exec?{query}", body=b"sh,-c,ls /&x", Content_Type="application/yaml")
    assert (answer_.status, json.loads(answer_.body)) == (
        200,
        {"message": "out\nerr\n\ncommand terminated with exit code 7"},
    )
    (seen,) = upstream.seen
    assert (
        seen.target == f"{POD}/exec?command=sh&command=-c&command=ls%20%2F%26x&stdout=true&stderr=true&container=side"
    )


@pytest.mark.parametrize("switches", [True, False])
async def test_only_administrators_learn_where_a_command_was_sent(
    streams: Client, upstream: Upstream, editor: str, *, switches: bool
) -> None:
    failed = {"kind": "Status", "status": "Failure", "message": "dial tcp 10.0.0.5:10250: connection refused"}

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if not switches:
            return web.json_response(failed, status=500)
        socket = web.WebSocketResponse(protocols=(V5,))
        await socket.prepare(request)
        await socket.send_bytes(b"\x03" + json.dumps(failed).encode())
        await socket.close()
        return socket

    upstream.answers[f"{POD}/exec"] = answer
    for token, shown in ((editor, False), ("", True)):
        target = f"{POD}/exec?clustername=cluster1&podname=web"
        told = await streams.ask("POST", target, token=token, body=b"ls")
        assert "connection refused" in told.body.decode()
        assert ("10.0.0.5" in told.body.decode()) is shown


async def test_without_the_extension_a_stream_is_refused(client: Client) -> None:
    headers = {"Upgrade": "SPDY/3.1", "Connection": "Upgrade", "Accept": "*/*"}
    answer = await client.ask("POST", f"{EXEC}&clustername=cluster1", **headers)
    assert (answer.status, json.loads(answer.body)["reason"]) == (501, "NotImplemented")


async def test_a_watch_ends_when_its_member_is_known_to_be_ill() -> None:
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise ClusterUnreachable("cluster1", "cluster1: no answer, 3 times in a row")

    with pytest.raises(ClusterUnreachable, match="3 times in a row"):
        await asyncio.wait_for(check_repeatedly(check, every=0.01), PATIENCE)
    assert asked == 3
