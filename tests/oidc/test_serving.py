"""Users of a real issuer at a server: every face, rights by groups, streams that end with the token."""

import asyncio
import json
import time

import aiohttp

from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from server.check.run import run_checks
from server.settings.environment import load_settings
from tests.fakes.waiting import PATIENCE, until
from tests.oidc.issuer import RunningIssuer
from tests.oidc.serving import ENTRIES, Serving


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


async def test_who_is_of_another_issuer_is_told_so(serving: Serving, issuer: RunningIssuer) -> None:
    _, text = await serving.get("/clusters/cluster1/api", await issuer.sign(iss="https://other.example.org"))

    assert "it is of issuer 'https://other.example.org', whose tokens do not count here" in text


async def test_an_issuers_token_is_not_renewed_as_our_own_are(serving: Serving, issuer: RunningIssuer) -> None:
    status, text = await serving.get("/token", await issuer.sign(groups=["team-a"]))

    assert (status, "an issuer's at /oidc, by a refresh token" in text) == (401, True)


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
