"""Users of a real issuer at a server: every face, rights by groups, streams that end with the token."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

from auth.oidc.issuer import Issuer
from auth.oidc.sign_in import Asking, build_authorization_url
from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from server.checks import run_checks
from server.settings.environment import load_settings
from tests.clients.serving import open_quiet_server
from tests.fakes.waiting import PATIENCE, until
from tests.oidc.issuer import RunningIssuer
from tests.processes import RunningServer

ENTRIES = [
    User("oidc:team-a", "", Scope(Role.EDIT, ("cluster1",)), is_group=True),
    User("oidc:readers", "", Scope(Role.VIEW), is_group=True),
]
CLUSTERS = "{ viewer { name groups role } clusters { name } }"


@dataclass(frozen=True)
class Serving:
    server: RunningServer
    users: Path

    async def get(self, path: str, token: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
            session.get(f"{self.server.url}{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def ask(self, token: str, query: str = CLUSTERS) -> Any:
        return await self.server.ask(token, query)


@pytest.fixture(scope="module")
async def serving(lasting_issuer: RunningIssuer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    folder = tmp_path_factory.mktemp("serving")
    save_users(folder / "users", ENTRIES)
    settings = {
        "OPENMCP_OIDC_ISSUER": lasting_issuer.url,
        "OPENMCP_OIDC_AUDIENCE": "openmcp",
        "OPENMCP_OIDC_GROUPS_PREFIX": "oidc:",
        "OPENMCP_USERS_FILE": str(folder / "users"),
    }
    async with open_quiet_server(folder, **settings) as server:
        yield Serving(server, folder / "users")


async def test_groups_give_what_the_users_file_says(serving: Serving, issuer: RunningIssuer) -> None:
    answer = await serving.ask(await issuer.sign(sub="ann", groups=["team-a", "others"]))

    assert answer["data"]["viewer"] == {"name": "ann", "groups": ["oidc:team-a", "oidc:others"], "role": "EDIT"}
    assert [cluster["name"] for cluster in answer["data"]["clusters"]] == ["cluster1"]
    both = await serving.ask(await issuer.sign(groups=["readers", "team-a"]))
    assert both["data"]["viewer"]["role"] == "EDIT"
    assert len(both["data"]["clusters"]) > 1


async def test_rest_routes_and_the_pass_through_take_it(serving: Serving, issuer: RunningIssuer) -> None:
    token = await issuer.sign(groups=["team-a"])

    assert (await serving.get("/api/v1/pods?clustername=cluster1", token))[0] == 200
    assert (await serving.get("/clusters/cluster1/api/v1/namespaces", token))[0] == 200
    assert (await serving.get("/clusters/cluster2/api/v1/namespaces", token))[0] == 404
    assert (await serving.get("/metrics/namespaces/default/pods/a?clustername=cluster1", token))[0] != 401


async def test_who_is_granted_nothing_is_told_so(serving: Serving, issuer: RunningIssuer) -> None:
    token = await issuer.sign(sub="eve", groups=["nobody"])

    for path in (
        "/api/v1/pods?clustername=cluster1",
        "/clusters/cluster1/api/v1/pods",
        "/graphql?query={clusters{name}}",
    ):
        status, text = await serving.get(path, token)
        assert status == 403, path
        assert "signed in as 'eve' (groups: 'oidc:nobody'), to whom nothing is granted" in text


async def test_tokens_that_do_not_count_are_refused_everywhere(serving: Serving, issuer: RunningIssuer) -> None:
    wrong = [
        await issuer.sign(groups=["team-a"], exp=1),
        await issuer.sign(groups=["team-a"], aud="another"),
        await issuer.sign(groups=["team-a"], iss="https://other.example.org"),
    ]
    for token in wrong:
        for path in ("/api/v1/pods?clustername=cluster1", "/clusters/cluster1/api", "/graphql?query={clusters{name}}"):
            assert (await serving.get(path, token))[0] == 401


async def test_tokens_of_our_own_are_no_other_than_before(serving: Serving) -> None:
    assert "errors" not in await serving.ask(await serving.server.sign_in())


async def test_an_issuer_that_is_down_is_told_and_known_keys_go_on(serving: Serving, issuer: RunningIssuer) -> None:
    token, unknown = await issuer.sign(groups=["team-a"]), await issuer.sign(header={"kid": "unknown"})
    assert "errors" not in await serving.ask(token)
    await issuer.order(mode="error")

    async def is_unavailable() -> bool:
        return (await serving.get("/clusters/cluster1/api", unknown))[0] == 503

    await until(is_unavailable, every=0.5)
    status, text = await serving.get("/graphql?query={clusters{name}}", unknown)
    assert (status, json.loads(text)["errors"][0]["extensions"]["code"]) == (503, "IDENTITY_UNAVAILABLE")
    for path in ("/graphql?query={clusters{name}}", "/clusters/cluster1/api", "/api?clustername=cluster1", "/status"):
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {unknown}"}) as session,
            session.get(f"{serving.server.url}{path}") as answer,
        ):
            assert (answer.status, answer.headers.get("retry-after")) == (503, "1"), path
    assert "errors" not in await serving.ask(token)
    status, text = await serving.get("/readyz", "")
    assert (status, json.loads(text)["issuers"]) == (
        200,
        "whoever vouches for callers can't be asked: what is known of them counts",
    )


async def test_a_subscription_ends_with_the_token(serving: Serving, issuer: RunningIssuer) -> None:
    expires = int(time.time()) + 10
    token = await issuer.sign(groups=["team-a"], exp=expires)
    async with (
        asyncio.timeout(PATIENCE),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{serving.server.url}/graphql", protocols=["graphql-transport-ws"]) as socket,
    ):
        await socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
        assert (await socket.receive_json())["type"] == "connection_ack"
        await socket.send_json(
            {"id": "1", "type": "subscribe", "payload": {"query": "subscription { podEvents { type } }"}}
        )
        async for message in socket:
            assert message.type is aiohttp.WSMsgType.TEXT

    assert socket.close_code == 4403
    assert time.time() >= expires


async def test_a_passed_on_watch_ends_with_the_token(serving: Serving, issuer: RunningIssuer) -> None:
    expires = int(time.time()) + 10
    token = await issuer.sign(groups=["team-a"], exp=expires)
    url = f"{serving.server.url}/clusters/cluster1/api/v1/pods?watch=1"
    async with (
        asyncio.timeout(PATIENCE),
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(url) as answer,
    ):
        lines = [json.loads(line) async for line in answer.content]

    assert lines[-1]["object"]["message"] == "Token is expired"
    assert time.time() >= expires


async def test_a_socket_of_who_is_granted_nothing_is_refused(serving: Serving, issuer: RunningIssuer) -> None:
    token = await issuer.sign(sub="eve")
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{serving.server.url}/graphql", protocols=["graphql-transport-ws"]) as socket,
    ):
        await socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
        await socket.receive()

    assert socket.close_code == 4403


async def test_a_group_that_is_taken_out_ends_what_is_open(serving: Serving, issuer: RunningIssuer) -> None:
    token = await issuer.sign(groups=["team-a"])
    save_users(serving.users, [*ENTRIES, User("oidc:soon-gone", "", Scope(Role.VIEW), is_group=True)])

    async def is_there() -> bool:
        return "errors" not in await serving.ask(await issuer.sign(groups=["soon-gone"]))

    await until(is_there)
    token = await issuer.sign(groups=["soon-gone"])
    events = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    query = {"query": "subscription { podEvents { type } }"}
    async with (
        asyncio.timeout(PATIENCE),
        aiohttp.ClientSession(headers=events) as session,
        session.post(f"{serving.server.url}/graphql", json=query) as answer,
    ):
        assert answer.status == 200
        save_users(serving.users, ENTRIES)
        text = (await answer.content.read()).decode()

    assert "to whom nothing is granted" in text


async def test_check_asks_the_issuer(issuer: RunningIssuer) -> None:
    settings = load_settings(
        {"OPENMCP_SIGNING_KEY": "k" * 32, "OPENMCP_OIDC_ISSUER": issuer.url, "OPENMCP_OIDC_AUDIENCE": "a"}
    )

    async def said() -> tuple[bool, str]:
        row = next(row for row in await run_checks(settings) if row.what == f"issuer {issuer.url}")
        return row.works, row.said

    assert await said() == (True, "publishes 1 keys")
    await issuer.order(mode="other")
    works, words = await said()
    assert not works
    assert "is of issuer 'https://other.example.org'" in words


async def exchange(serving: Serving, given: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(f"{serving.server.url}/oidc", json=given) as answer:
        return answer.status, await answer.json()


async def test_pages_are_told_where_to_sign_in(serving: Serving, issuer: RunningIssuer) -> None:
    async def offers() -> Any:
        return json.loads((await serving.get("/oidc", ""))[1])["issuers"]

    assert await offers() == [
        {
            "issuer": issuer.url,
            "clientId": "openmcp",
            "scope": "openid profile email groups offline_access",
            "authorizationEndpoint": f"{issuer.url}/auth",
        }
    ]


async def test_a_code_is_exchanged_and_renewed(serving: Serving, issuer: RunningIssuer) -> None:
    asking, redirect = Asking.new(), "http://127.0.0.1/callback"
    document = {"authorization_endpoint": f"{issuer.url}/auth"}
    described = Issuer(issuer.url, ("openmcp",), scope="openid offline_access")
    save_users(serving.users, [*ENTRIES, User("bob", "", Scope(Role.VIEW))])
    url = build_authorization_url(described, document, redirect, asking)
    back = dict(parse_qsl(urlsplit(await issuer.browse(url, "bob")).query))
    given = {"issuer": issuer.url, "code": back["code"], "redirect_uri": redirect}
    assert back["state"] == asking.state

    status, wrong = await exchange(serving, given | {"code_verifier": Asking.new().verifier})
    assert (status, "refuses the sign-in" in wrong["error"]) == (400, True)

    back = dict(parse_qsl(urlsplit(await issuer.browse(url, "bob")).query))
    status, said = await exchange(serving, given | {"code": back["code"], "code_verifier": asking.verifier})
    assert (status, said["user"]) == (200, "bob")
    assert "errors" not in await serving.ask(said["token"])
    status, again = await exchange(serving, {"issuer": issuer.url, "refresh_token": said["refreshToken"]})
    assert (status, again["user"]) == (200, "bob")
    save_users(serving.users, ENTRIES)

    async def is_refused() -> bool:
        nonlocal again
        status, again = await exchange(serving, {"issuer": issuer.url, "refresh_token": again["refreshToken"]})
        return status == 403

    await until(is_refused)
    assert "to whom nothing is granted" in again["message"]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, 400),
        ([], 400),
        ({"issuer": 7}, 400),
        ({"issuer": "https://other.example.org", "refresh_token": "a"}, 400),
        ({"issuer": "http://127.0.0.1:1", "code": "a", "code_verifier": "b", "redirect_uri": "c"}, 400),
        ({"pad": "x" * 70_000}, 413),
    ],
)
async def test_what_is_no_sign_in_is_refused(serving: Serving, given: Any, status: int) -> None:
    assert (await exchange(serving, given))[0] == status


async def test_many_exchanges_of_one_address_leave_room(serving: Serving, issuer: RunningIssuer) -> None:
    await serving.ask(await issuer.sign())
    await issuer.order(mode="hang")
    given = {"issuer": issuer.url, "refresh_token": "a"}

    statuses = [status for status, _ in await asyncio.gather(*(exchange(serving, given) for _ in range(40)))]

    assert set(statuses) == {429, 503}
    assert 4 <= statuses.count(503) <= 24
