"""What is passed on ends when its caller may not have it any more; a watch in JSON says so by its last event."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace

from auth.authenticator import AuthOptions, open_authenticator
from auth.passwords import hash_password
from auth.token_review import ReviewedTokens
from auth.users import User, save_users
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.errors import ClusterUnreachable
from fleet.model.visibility import Role, Scope
from fleet.ports import Connection, ReviewedUser
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.servers import open_http_server
from tests.rest_compat.serving import Client, Clusters, Points, open_client, open_served
from tests.rest_compat.upstream import Upstream

EVE = User("eve", hash_password("eve's password"), Scope(Role.EDIT))
EVENT = b'{"type":"ADDED","object":{}}\n'
PODS = "/clusters/cluster1/api/v1/namespaces/shop/pods"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    save_users(tmp_path / "users", [EVE])
    return tmp_path / "users"


@pytest.fixture
async def eves(upstream: Upstream, users: Path) -> AsyncIterator[Client]:
    options = AuthOptions(signing_key=b"a key for these tests, long enough", users_file=users, poll_seconds=0.05)
    async with open_authenticator(options) as authenticator, open_http_server(upstream.serve) as endpoint:
        token = await authenticator.login("eve", "eve's password")
        connection = HttpConnection("cluster1", Target(endpoint))
        state = {
            "federation": Clusters({"cluster1": connection}),
            "metric_store": Points(),
            "authenticator": authenticator,
            "request_timeout": PATIENCE,
        }
        try:
            async with open_served(state) as url, open_client(url, token) as opened:
                yield opened
        finally:
            await connection.close()


@pytest.mark.parametrize(
    ("target", "content_type", "said", "told"),
    [
        (f"{PODS}?watch=true", "application/json", EVENT, True),
        (f"{PODS}?watch=true", "application/json;as=Table;v=v1", b"", True),
        (f"{PODS}?watch=true", "application/json", EVENT + EVENT[:9], False),
        (f"{PODS}?watch=true", "application/vnd.kubernetes.protobuf;stream=watch", EVENT, False),
        (f"{PODS}/web/log?follow=true", "text/plain", b"a line\n", False),
        (f"{PODS}/web/proxy/stream", "application/json", EVENT, False),
    ],
)
async def test_an_open_answer_ends_with_the_right_to_it(
    eves: Client, upstream: Upstream, users: Path, target: str, content_type: str, said: bytes, told: bool
) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        await response.write(said)
        await until(lambda: request.transport is None or request.transport.is_closing(), what="the end")
        return response

    upstream.answers[target.removeprefix("/clusters/cluster1").partition("?")[0]] = answer
    async with eves.session.get(eves.url + target, headers={"Authorization": f"Bearer {eves.token}"}) as open_answer:
        assert open_answer.status == 200
        save_users(users, [replace(EVE, signed_out_at=1)])
        got = bytearray()
        try:
            async for piece in open_answer.content.iter_any():
                got += piece
            whole = True
        except aiohttp.ClientPayloadError:
            whole = False
    assert (got.startswith(said), whole) == (True, told)
    last = bytes(got[len(said) :])
    if told:
        event = json.loads(last)
        assert (event["type"], event["object"]["kind"], event["object"]["code"]) == ("ERROR", "Status", 401)
    else:
        assert last == b""
    await until(lambda: upstream.ended == 1, what="the end of the member's work")


class Host:
    """Vouches for everybody until it is told not to, or can't be asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers: ReviewedUser | ClusterUnreachable | None = ReviewedUser("robot")

    async def review(self, host: Connection, token: str) -> ReviewedUser | None:
        self.asked += 1
        if isinstance(self.answers, ClusterUnreachable):
            raise self.answers
        return self.answers


async def test_what_is_open_goes_on_while_nobody_can_say_whose_it_is(upstream: Upstream, tmp_path: Path) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(EVENT)
        await until(lambda: request.transport is None or request.transport.is_closing(), what="the end")
        return response

    save_users(tmp_path / "users", [User("robot", "", Scope(Role.EDIT))])
    upstream.answers[PODS.removeprefix("/clusters/cluster1")] = answer
    host = Host()
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(open_http_server(upstream.serve))
        connection = HttpConnection("cluster1", Target(endpoint))
        stack.push_async_callback(connection.close)
        reviewed = ReviewedTokens(host, lambda: connection, kept=0.1, timeout=PATIENCE)
        options = AuthOptions(signing_key=b"a key for these tests, long enough", users_file=tmp_path / "users")
        state = {
            "federation": Clusters({"cluster1": connection}),
            "metric_store": Points(),
            "authenticator": await stack.enter_async_context(open_authenticator(options, reviewed)),
            "request_timeout": PATIENCE,
        }
        url = await stack.enter_async_context(open_served(state))
        session = await stack.enter_async_context(aiohttp.ClientSession(headers={"Authorization": "Bearer robots"}))
        watch = await stack.enter_async_context(session.get(f"{url}{PODS}?watch=true"))
        assert await watch.content.readline() == EVENT
        host.answers, asked = ClusterUnreachable("openmcp", "cluster openmcp: no connection"), host.asked
        await until(lambda: host.asked >= asked + 2, what="two looks at the rights")
        assert not watch.content.at_eof()
        host.answers = None
        last = json.loads(await watch.content.readline())
        assert (last["type"], last["object"]["code"]) == ("ERROR", 401)
