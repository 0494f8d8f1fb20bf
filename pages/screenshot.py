"""The picture of the README, `docs/images/graphiql.png`: `python -m pages.screenshot` asks the demo in GraphiQL."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from playwright.async_api import async_playwright

from pages.site import DOCS
from tests.processes import free_port, open_server

PICTURE = DOCS / "images" / "graphiql.png"
QUERY = """# The busiest pods of all clusters, and what is wrong
query Busiest {
  pods(
    filter: { phases: [RUNNING] }
    orderBy: { usage: CPU_CORES, direction: DESC }
    first: 2
  ) {
    totalCount
    clusters { name state }
    items {
      name
      cluster { name }
      node { name zone }
      usage { cpuCores memoryBytes }
      history(last: "30m", step: "10m") {
        cpuCores
      }
    }
  }
  problems(first: 2) { items { title severity } }
}
"""


async def draw(url: str, picture: Path) -> None:
    async with async_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light")
        await page.goto(f"{url}/graphql?query={quote(QUERY)}")
        await page.fill("input[name=username]", "openmcp")
        await page.fill("input[name=password]", "keti")
        await page.click("button[type=submit]")
        await page.wait_for_selector(".graphiql-query-editor .view-line")
        await page.click("button.graphiql-execute-button")
        await page.wait_for_selector(".result-window .view-line >> text=totalCount")
        await page.mouse.move(640, 855)  # off all that shows a tooltip
        await page.screenshot(path=picture)
        await browser.close()


async def main() -> None:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "demo.log")
        async with open_server("demo", "--port", str(port), environment={}, port=port, log=log) as server:
            PICTURE.parent.mkdir(exist_ok=True)
            await draw(server.url, PICTURE)
    sys.stdout.write(f"{PICTURE}: {PICTURE.stat().st_size // 1024} KiB\n")


if __name__ == "__main__":
    asyncio.run(main())
