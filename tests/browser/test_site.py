"""The documentation as a site: nothing of another host, a search that finds, a dark mode, phones."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, Route

from pages.site import build
from tests.browser.static import serve_folder

pytestmark = pytest.mark.browser

LOADS = re.compile(
    r"""<(?!a\b)[a-z]+\b[^>]*\b(?:src|href)=["']?(?:https?:)?//[^>]*>|url\(["']?(?:https?:)?//|@import"""
)
KINDS = ["index.html", "how-to/cookbook.html", "contributing/architecture.html", "decisions/README.html", "404.html"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    build(folder)  # strict: a link or an anchor that leads nowhere is an error here
    return folder


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    with serve_folder(site) as url:
        yield url


def test_no_page_loads_anything_of_another_host(site: Path) -> None:
    files = [file for file in site.rglob("*") if file.suffix in (".html", ".css")]
    assert len(files) > 100
    assert {str(file.relative_to(site)): found for file in files if (found := LOADS.findall(file.read_text()))} == {}


async def test_pages_of_each_kind_ask_their_own_host_alone(page: Page, url: str) -> None:
    elsewhere = list[str]()

    async def refuse(route: Route) -> None:
        elsewhere.append(route.request.url)
        await route.abort()

    await page.route(lambda asked: not asked.startswith((url, "data:", "blob:")), refuse)
    for kind in KINDS:
        await page.goto(f"{url}/{kind}", wait_until="networkidle")
        assert await page.locator("h1").count() == 1
    assert elsewhere == []


OPEN = (
    "const attach = Element.prototype.attachShadow; Element.prototype.attachShadow = function () {"
    " return attach.call(this, { mode: 'open' }) }"
)  # results are in a closed shadow root, which locators do not see


async def test_what_is_typed_is_found(page: Page, url: str) -> None:
    await page.add_init_script(OPEN)
    await page.goto(url)
    await page.get_by_role("button", name="Search").first.click()
    await page.get_by_role("combobox", name="Search").fill("who did what audit")
    await page.get_by_role("option", name="The audit log").first.click()
    await page.wait_for_url(re.compile("/how-to/audit-log.html"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_is_as_light_as_the_reader_likes_it(page: Page, url: str, scheme: str) -> None:
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # a Literal there
    await page.goto(url)
    shown = await page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number)")
    assert (sum(shown[:3]) > 600) == (scheme == "light")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_phone_scrolls_down_only(page: Page, url: str, kind: str) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto(f"{url}/{kind}")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
