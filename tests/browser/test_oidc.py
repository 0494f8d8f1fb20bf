"""Signing in to GraphiQL at a real issuer: in a browser, back to where one was, renewed, and refused with words."""

import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import jwt
import pytest
from playwright.async_api import Page, Request

from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from tests.clients.serving import open_quiet_server
from tests.oidc.issuer import RunningIssuer, open_issuer
from tests.processes import RunningServer

pytestmark = pytest.mark.browser

SESSION = "openmcp-apiserver:session"
BUTTON = "button.issuer"


@dataclass(frozen=True)
class SignIns:
    server: RunningServer
    issuer: RunningIssuer


@pytest.fixture(scope="module")
async def sign_ins(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SignIns]:
    folder = tmp_path_factory.mktemp("oidc")
    save_users(folder / "users", [User("readers", "", Scope(Role.VIEW), is_group=True)])
    async with open_issuer(folder / "issuer") as issuer:
        settings = {
            "OPENMCP_OIDC_ISSUER": issuer.url,
            "OPENMCP_OIDC_AUDIENCE": "openmcp",
            "OPENMCP_USERS_FILE": str(folder / "users"),
        }
        async with open_quiet_server(folder, **settings) as server:
            yield SignIns(server, issuer)


async def go_to_issuer(page: Page, url: str) -> None:
    await page.goto(url)
    await page.click(BUTTON)


async def sign_in(page: Page, login: str) -> None:
    await page.fill("input[name=login]", login)
    await page.fill("input[name=password]", "any")
    await page.click("button[type=submit]")
    await page.click("button[type=submit]")  # the consent


async def read_session(page: Page) -> Any:
    return json.loads(await page.evaluate(f"localStorage.getItem('{SESSION}')"))


async def test_one_signs_in_at_the_issuer_and_is_renewed(sign_ins: SignIns, page: Page, tmp_path: Path) -> None:
    asked_for: list[str] = []

    def note(request: Request) -> None:
        if page.url.startswith(ours) and not request.is_navigation_request():
            asked_for.append(request.url)

    complaints: list[str] = []
    page.on("request", note)
    ours = sign_ins.server.url  # the issuer's own page asks for fonts and an icon that are not there
    page.on("console", lambda said: complaints.append(said.text) if said.location["url"].startswith(ours) else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    asked = f"{sign_ins.server.url}/graphql?query={quote('{ viewer { name groups } }')}"
    screenshots = Path(os.environ.get("OPENMCP_SCREENSHOTS", tmp_path))

    await page.goto(asked)
    await page.wait_for_selector(BUTTON)
    await page.screenshot(path=screenshots / "sign-in.png")
    assert await page.inner_text(BUTTON) == f"Sign in with {urlsplit(sign_ins.issuer.url).netloc}"
    await page.click(BUTTON)
    await sign_in(page, "bob")
    await page.wait_for_selector("header.session >> text=signed in as bob")
    assert page.url == asked
    await page.click("button.graphiql-execute-button")
    await page.wait_for_selector(".result-window .view-line >> text=readers")
    await page.screenshot(path=screenshots / "signed-in.png")

    first = await read_session(page)
    assert set(first) == {"user", "token", "issuer", "refreshToken"}
    assert {urlsplit(url).netloc for url in asked_for if url.startswith("http")} == {urlsplit(asked).netloc}
    assert not complaints

    now = int(time.time())
    old = jwt.encode({"iat": now - 300, "exp": now + 200}, "k" * 32, algorithm="HS256")
    await page.evaluate(f"kept => localStorage.setItem('{SESSION}', kept)", json.dumps(first | {"token": old}))
    async with page.expect_response(lambda answer: answer.url.endswith("/graphql")) as waiting:
        await page.click("button.graphiql-execute-button")
    assert (await waiting.value).status == 200
    renewed = await read_session(page)
    assert renewed["token"] != old
    assert renewed["refreshToken"] != first["refreshToken"]


async def test_who_is_granted_nothing_reads_why(sign_ins: SignIns, page: Page) -> None:
    await go_to_issuer(page, f"{sign_ins.server.url}/graphql")
    await sign_in(page, "eve")

    await page.wait_for_selector("[role=alert] >> text=signed in as 'eve' (groups: none), to whom nothing is granted")


async def test_who_declines_at_the_issuer_reads_it(sign_ins: SignIns, page: Page) -> None:
    await go_to_issuer(page, f"{sign_ins.server.url}/graphql")
    await page.click("text=Cancel")

    await page.wait_for_selector("[role=alert] >> text=refuses the sign-in")


@pytest.mark.parametrize("given", ["code=guessed&state=guessed", "error=access_denied&state=guessed"])
async def test_an_answer_that_nobody_asked_for_signs_nobody_in(sign_ins: SignIns, page: Page, given: str) -> None:
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    await page.goto(f"{sign_ins.server.url}/graphql?{given}")

    await page.wait_for_selector("[role=alert] >> text=no answer to a sign-in of this tab")
    assert page.url == f"{sign_ins.server.url}/graphql"
    assert not posted


async def test_an_issuer_that_is_down_costs_its_button_alone(sign_ins: SignIns, page: Page, tmp_path: Path) -> None:
    settings = {"OPENMCP_OIDC_ISSUER": "http://127.0.0.1:9", "OPENMCP_OIDC_AUDIENCE": "openmcp"}
    async with open_quiet_server(tmp_path, **settings) as server:
        await page.goto(f"{server.url}/graphql")
        await page.wait_for_selector(f"{BUTTON}[disabled]")
        await page.fill("input[name=username]", "openmcp")
        await page.fill("input[name=password]", "keti")
        await page.click("button[type=submit]")
        await page.wait_for_selector("header.session >> text=signed in as openmcp")
