"""The tutorial ends with a chart of the real fleet, on a page that asks the server alone."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Page

from pages.site import DOCS
from realfleet.fleet import Fleet
from tests.browser.static import serve_folder
from tests.processes import free_port, open_server

pytestmark = [pytest.mark.browser, pytest.mark.real]

TUTORIAL = (DOCS / "tutorial.md").read_text()


async def test_the_tutorial_ends_with_a_chart(real_fleet: Fleet, page: Page, tmp_path: Path) -> None:
    (chart,) = re.findall(r"^```html chart\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL)
    port = free_port()
    (tmp_path / "chart.html").write_text(chart.replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
    with serve_folder(tmp_path) as url:
        environment = {
            **real_fleet.environment(),
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(free_port()),
            "OPENMCP_CORS_ORIGINS": url,
        }
        async with open_server("serve", environment=environment, port=port, log=tmp_path / "serve.log") as server:
            asked = set[str]()
            page.on("request", lambda request: asked.add(request.url.rpartition("/")[0]))
            await draw(page, url)
    assert asked == {url, server.url}


async def draw(page: Page, url: str) -> None:
    await page.goto(f"{url}/chart.html")
    await page.fill("input[name=username]", "openmcp")
    await page.fill("input[name=password]", "keti")
    await page.click("button")
    await page.wait_for_function("document.querySelectorAll('polyline[points*=\",\"]').length > 1")
