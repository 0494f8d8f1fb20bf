"""What newcomers stumbled over in GraphiQL: width, tabs, the keyboard, links, sign-ins; in a browser on the demo."""

import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from playwright.async_api import BrowserContext, Page, async_playwright

from tests.browser.conftest import FLAGS
from tests.browser.test_page import sign_in, wait_for_more_events
from tests.clients.serving import SIGNING_KEY, open_quiet_server
from tests.fakes.waiting import PATIENCE
from tests.processes import RunningServer, free_port, open_server
from tests.required import need

pytestmark = pytest.mark.browser

EDITOR = ".graphiql-query-editor"
RUN = "button.graphiql-execute-button"


@pytest.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    port, log = free_port(), tmp_path_factory.mktemp("demo") / "demo.log"
    async with open_server("demo", "--port", str(port), environment={}, port=port, log=log) as server:
        yield server


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=need("chromium"), args=FLAGS)
        try:
            context = await browser.new_context(viewport={"width": 1280, "height": 800})
            context.set_default_timeout(PATIENCE * 1000)
            yield context
        finally:
            await browser.close()


@pytest.fixture
async def page(context: BrowserContext, demo: RunningServer) -> Page:
    page = await context.new_page()
    await sign_in(page, demo)
    return page


async def read_editor(page: Page) -> str:
    lines = await page.locator(f"{EDITOR} .view-line").all_inner_texts()
    return " ".join(lines).replace("\xa0", " ")


async def test_no_line_of_any_tab_is_cut_off(page: Page) -> None:
    for tab in await page.locator(".graphiql-tab").all():
        await tab.click()
        await page.wait_for_function(
            """selector => {
              const editor = document.querySelector(selector + ' .overflow-guard').getBoundingClientRect();
              const words = [...document.querySelectorAll(selector + ' .view-line > span > span')];
              return words.length && words.every(word => word.getBoundingClientRect().right <= editor.right);
            }""",
            arg=EDITOR,
        )


async def test_the_history_tab_has_values_in_a_young_demo(page: Page) -> None:
    await page.click(".graphiql-tab >> text=History")
    async with page.expect_response(lambda answer: "query History" in (answer.request.post_data or "")) as waiting:
        await page.click(RUN)
    items = json.loads(await (await waiting.value).text())["data"]["nodes"]["items"]
    assert all(any(value is not None for value in item["history"]["cpuCores"]) for item in items)


async def test_the_headers_of_a_tab_outlive_a_reload(page: Page) -> None:
    await page.click(".graphiql-tab >> text=CostAndExplain")
    await page.wait_for_function("() => localStorage.getItem('graphiql:headers')?.includes('X-Explain')")
    await page.wait_for_function("() => JSON.parse(localStorage.getItem('graphiql:tabState')).activeTabIndex === 4")
    await page.reload()
    await page.wait_for_selector(f"{EDITOR} .view-line >> text=CostAndExplain")
    async with page.expect_response(lambda answer: "CostAndExplain" in (answer.request.post_data or "")) as waiting:
        await page.click(RUN)
    assert {"cost", "explain"} <= json.loads(await (await waiting.value).text())["extensions"].keys()


async def test_a_live_tab_goes_on_while_another_is_looked_at(page: Page) -> None:
    streams: list[str] = []
    ended: list[str] = []
    page.on("request", lambda asked: streams.append(asked.url) if "event-stream" in asked.headers["accept"] else None)
    page.on("requestfailed", lambda asked: ended.append(asked.url))
    await page.click(".graphiql-tab >> text=Live")
    await page.click(RUN)
    before = await wait_for_more_events(page, 0)
    await page.click(".graphiql-tab >> text=Fleet")
    await page.click(RUN)
    await page.wait_for_selector(".result-window .view-line >> text=totalCount")
    await page.click(".graphiql-tab >> text=Live")
    assert await wait_for_more_events(page, before) > before
    assert (len(streams), ended) == (1, [])  # the page's other requests are whole
    await page.click(".graphiql-tab-add")
    assert await page.locator(".result-window .view-line >> text=received").count() == 0
    await page.click(".graphiql-tab >> text=Live")
    await wait_for_more_events(page, before)
    await page.click(".graphiql-tab >> text=Fleet")
    async with page.expect_event("requestfailed"):
        await page.locator(".graphiql-tab", has_text="Live").hover()
        await page.locator(".graphiql-tab", has_text="Live").locator("[aria-label='Close Tab']").click()
    assert len(streams) == 1


async def test_the_keyboard_finds_its_way_out_and_is_told_it(page: Page) -> None:
    inside = f"document.activeElement.closest('{EDITOR} .graphiql-editor') !== null"
    await page.click(f"{EDITOR} .view-lines")
    hint = f"getComputedStyle(document.querySelector('{EDITOR} .graphiql-editor'), '::after').content"
    assert "Escape, then Tab" in await page.evaluate(hint)
    assert "Escape, then Tab" in (await page.evaluate("document.activeElement.getAttribute('aria-label')") or "")
    await page.keyboard.press("Tab")
    assert await page.evaluate(inside)
    await page.keyboard.press("Escape")
    await page.keyboard.press("Tab")
    assert not await page.evaluate(inside)
    await page.click(f"{EDITOR} .view-lines")
    await page.keyboard.press("Tab")
    assert await page.evaluate(inside)


async def test_a_narrow_page_stacks_what_does_not_fit(page: Page, tmp_path: Path) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.wait_for_function(
        "() => document.querySelector('.graphiql-response').getBoundingClientRect().width > 300"
    )
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    query = await page.locator(".graphiql-editors").bounding_box()
    response = await page.locator(".graphiql-response").bounding_box()
    assert query is not None
    assert response is not None
    assert query["y"] + query["height"] <= response["y"]
    assert min(query["width"], response["width"]) > 300
    assert response["y"] + response["height"] <= 844
    folder = Path(os.environ.get("OPENMCP_SCREENSHOTS", tmp_path))
    await page.screenshot(path=folder / "graphiql-390.png")
    await page.click("button[aria-label='Show Documentation Explorer']")
    await page.wait_for_function(
        """() => {
          const [tools, response] = ['.graphiql-editor-tools', '.graphiql-response'].map(
            name => document.querySelector(name).getBoundingClientRect());
          const main = document.querySelector('.graphiql-main');
          return tools.bottom - response.top < 4 && main.scrollHeight > main.clientHeight;
        }"""
    )


async def test_one_sign_in_is_for_all_tabs_of_a_browser(
    context: BrowserContext, page: Page, demo: RunningServer
) -> None:
    second = await context.new_page()
    await second.goto(f"{demo.url}/graphql")
    await second.wait_for_selector(f"{EDITOR} .view-line")
    await second.click("text=Sign out")
    await page.wait_for_selector("input[name=password]")
    await page.set_viewport_size({"width": 360, "height": 740})
    card = await page.locator(".sign-in form").bounding_box()
    assert card is not None
    assert (card["x"], card["width"]) == (16, 328)


async def test_a_link_holds_the_operation_and_its_variables(
    context: BrowserContext, page: Page, demo: RunningServer
) -> None:
    linked = await context.new_page()
    variables = quote('{"n": 3}')
    await linked.goto(
        f"{demo.url}/graphql?query=query%20Linked(%24n%3A%20Int)%7Bclusters%7Bname%7D%7D&variables={variables}"
    )
    await linked.wait_for_selector(f"{EDITOR} .view-line >> text=Linked")
    await linked.click(f"{EDITOR} .view-lines")
    await linked.keyboard.press("Control+Home")
    await linked.keyboard.type("# changed\n")
    await linked.click("button.link")
    await linked.wait_for_url("**/graphql?query=*changed*")
    await page.goto(linked.url)
    await page.wait_for_selector(f"{EDITOR} .view-line >> text=changed")
    assert "variables=%7B%22n%22%3A+3%7D" in page.url


async def test_a_tab_that_a_link_opened_is_whole_where_the_link_is_not(
    context: BrowserContext, page: Page, demo: RunningServer
) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.click(".graphiql-tab >> text=CostAndExplain")
    await page.wait_for_function("() => localStorage.getItem('graphiql:headers')?.includes('X-Explain')")
    linked = await context.new_page()
    await linked.goto(f"{demo.url}/graphql?query=query%20Linked%7Bclusters%7Bname%7D%7D")
    await linked.wait_for_selector(f"{EDITOR} .view-line >> text=Linked")
    async with linked.expect_request(lambda asked: "Linked" in (asked.post_data or "")) as waiting:
        await linked.click(RUN)
    assert "x-explain" not in (await waiting.value).headers  # these are another tab's
    await linked.wait_for_function("() => localStorage.getItem('graphiql:tabState')?.includes('Linked')")
    await page.reload()
    await page.wait_for_selector(f"{EDITOR} .view-line >> text=Linked")
    await page.wait_for_function(
        "() => document.querySelector('.graphiql-tab-active').getBoundingClientRect().right <= innerWidth"
    )
    assert await page.locator(".graphiql-tab >> text=Linked").count() == 1


async def test_the_builder_and_saved_operations_write_queries(page: Page) -> None:
    await page.click(".graphiql-tab-add")
    await page.click("button[aria-label='Show GraphiQL Explorer']")
    await page.locator(".graphiql-explorer-root >> text=viewer").first.click()
    await page.wait_for_selector(f"{EDITOR} .view-line >> text=viewer")
    await page.click("button[aria-label='Show Saved']")
    await page.fill(".saved input >> nth=0", "Mine")
    await page.fill(".saved input >> nth=1", "Weekly")
    await page.click("text=Save this operation")
    await page.reload()
    await page.wait_for_selector(".saved h3 >> text=Weekly")
    await page.click(".saved li button >> text=Mine")
    await page.wait_for_selector(f"{EDITOR} .view-line >> text=viewer")
    await page.click(".saved li button >> text=TopConsumers")
    await page.wait_for_selector(f"{EDITOR} .view-line >> text=TopConsumers")
    await page.click("button[aria-label='Forget Mine']")
    assert await page.locator(".saved h3").all_inner_texts() == ["Examples"]


def build_session(age: int, lifetime: int) -> dict[str, Any]:
    issued = int(time.time()) - age
    token = jwt.encode({"user": "openmcp", "iat": issued, "exp": issued + lifetime}, SIGNING_KEY, algorithm="HS256")
    return {"user": "openmcp", "token": token}


async def test_a_token_is_renewed_in_the_second_half_of_its_life(context: BrowserContext, tmp_path: Path) -> None:
    old = build_session(1900, 3600)
    async with open_quiet_server(tmp_path) as server:
        page = await context.new_page()
        await page.goto(f"{server.url}/graphql")
        await page.evaluate("value => localStorage.setItem('openmcp-apiserver:session', value)", json.dumps(old))
        await page.reload()
        asked: list[str | None] = []
        page.on("request", lambda one: asked.append(one.post_data) if one.url.endswith("/token") else None)
        await page.wait_for_selector(f"{EDITOR} .view-line")
        await page.click(RUN)
        await page.wait_for_selector(".result-window .view-line >> text=totalCount")
        kept = json.loads(await page.evaluate("localStorage.getItem('openmcp-apiserver:session')"))
    claims = jwt.decode(kept["token"], SIGNING_KEY, algorithms=["HS256"])
    assert kept["token"] != old["token"]
    assert claims["auth_time"] == jwt.decode(old["token"], SIGNING_KEY, algorithms=["HS256"])["iat"]
    assert set(asked) <= {None}
