"""GraphiQL in a real browser on the demo: sign in, ask the opening query, see usage move; no other host is asked."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import jwt
import pytest
from playwright.async_api import Page, Request, Route

from tests.clients.serving import SIGNING_KEY, open_quiet_server
from tests.fakes.waiting import PATIENCE
from tests.processes import RunningServer, free_port, open_server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    port = free_port()
    log = tmp_path_factory.mktemp("demo") / "demo.log"
    async with open_server("demo", "--port", str(port), environment={}, port=port, log=log) as server:
        yield server


async def sign_in(page: Page, demo: RunningServer) -> None:
    await page.goto(f"{demo.url}/graphql")
    await page.fill("input[name=username]", "openmcp")
    await page.fill("input[name=password]", "keti")
    await page.click("button[type=submit]")
    await page.wait_for_selector(".graphiql-query-editor .view-line")


async def wait_for_more_events(page: Page, than: int) -> int:
    """How many the result says were received, once it is more."""
    shown = page.locator(".result-window .view-line", has_text='"received"')
    async with asyncio.timeout(PATIENCE):
        while True:
            text = await shown.first.inner_text()
            received = int("".join(filter(str.isdigit, text)) or "0")
            if received > than:
                return received
            await asyncio.sleep(0.1)


async def run_opening_query(page: Page) -> dict[str, Any]:
    async with page.expect_response(lambda answer: "query Fleet" in (answer.request.post_data or "")) as waiting:
        await page.click("button.graphiql-execute-button")
    answer = json.loads(await (await waiting.value).text())
    await page.wait_for_selector(".result-window .view-line >> text=totalCount")
    return cast("dict[str, Any]", answer["data"]["pods"])


def usage_by_pod(pods: dict[str, Any]) -> dict[str, Any]:
    return {pod["name"]: pod["usage"] for pod in pods["items"]}


def has_moved(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether a pod that is in both uses something else: pods come and go as well."""
    before, now = usage_by_pod(first), usage_by_pod(second)
    return any(before[pod] != now[pod] for pod in before.keys() & now.keys())


async def test_pods_with_moving_usage_and_no_other_host(demo: RunningServer, page: Page, tmp_path: Path) -> None:
    requests: list[Request] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    await sign_in(page, demo)

    first = await run_opening_query(page)
    second = first
    async with asyncio.timeout(PATIENCE):
        while not has_moved(first, second):
            second = await run_opening_query(page)

    screenshot = Path(os.environ.get("OPENMCP_SCREENSHOTS", tmp_path)) / "graphiql.png"
    await page.screenshot(path=screenshot)
    assert screenshot.stat().st_size > 50_000

    assert first["totalCount"] > 0
    assert any(outcome["state"] != "OK" for outcome in first["clusters"])
    assert {urlsplit(request.url).hostname for request in requests if request.url.startswith("http")} == {"127.0.0.1"}
    assert not complaints


async def test_the_live_tab_moves_by_itself_until_it_is_ended(demo: RunningServer, page: Page) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await sign_in(page, demo)
    await page.click(".graphiql-tab >> text=Live")
    await page.click("button.graphiql-execute-button")
    first = await wait_for_more_events(page, 0)
    assert await wait_for_more_events(page, first) > first
    await page.wait_for_selector(".result-window .view-line >> text=podEvents")
    async with page.expect_event("requestfailed", lambda request: request.url.endswith("/graphql")):
        await page.click("button.graphiql-execute-button")
    assert not [text for text in complaints if "ERR_ABORTED" not in text]


def make_session(seconds: int) -> dict[str, str]:
    now = int(time.time())
    token = jwt.encode({"user": "openmcp", "iat": now, "exp": now + seconds}, SIGNING_KEY, algorithm="HS256")
    return {"user": "openmcp", "token": token}


async def test_a_token_that_ends_while_the_live_tab_moves_asks_for_a_sign_in(page: Page, tmp_path: Path) -> None:
    seconds, token = 2, ""

    async def end_soon(route: Route) -> None:
        nonlocal token
        headers = dict(route.request.headers)
        if "text/event-stream" in headers["accept"]:
            token = token or make_session(seconds)["token"]
            headers["authorization"] = f"Bearer {token}"
        await route.continue_(headers=headers)

    session = json.dumps(json.dumps(make_session(3600)))
    await page.add_init_script(f"localStorage.setItem('openmcp-apiserver:session', {session})")
    moving = page.locator(".result-window .view-line", has_text="podEvents").first
    ended = page.locator("[role=alert]", has_text="Your sign-in has expired. Sign in again.")
    async with open_quiet_server(tmp_path) as server:
        await page.route(f"{server.url}/graphql", end_soon)
        while not await moving.is_visible():  # the browser may need longer than the token lives
            seconds, token = seconds * 2, ""
            await page.goto(f"{server.url}/graphql")
            await page.click(".graphiql-tab >> text=Live")
            await page.click("button.graphiql-execute-button")
            await moving.or_(ended).wait_for()
        await ended.wait_for()


async def test_a_wrong_password_is_said_in_words(demo: RunningServer, page: Page) -> None:
    await page.goto(f"{demo.url}/graphql")
    await page.fill("input[name=username]", "openmcp")
    await page.fill("input[name=password]", "wrong")
    await page.click("button[type=submit]")
    await page.wait_for_selector("[role=alert] >> text=The user name or the password is wrong.")
