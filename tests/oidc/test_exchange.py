"""`/oidc`: where people sign in, and codes of pages that are exchanged there."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

from auth.oidc.issuer import Issuer
from auth.oidc.sign_in import Asking, build_authorization_url
from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from tests.fakes.waiting import until
from tests.oidc.issuer import RunningIssuer
from tests.oidc.serving import ENTRIES, Serving


async def exchange(serving: Serving, given: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(f"{serving.server.url}/oidc", json=given) as answer:
        return answer.status, await answer.json()


async def test_pages_are_told_where_to_sign_in(serving: Serving, issuer: RunningIssuer) -> None:
    async def offers() -> Any:
        return json.loads((await serving.get("/oidc", ""))[1])["issuers"]

    async def is_known() -> bool:
        return (await offers())[0]["authorizationEndpoint"] is not None

    await until(is_known)
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

    async def is_there() -> bool:
        return "errors" not in await serving.ask(await issuer.sign(sub="bob"))

    await until(is_there)
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
