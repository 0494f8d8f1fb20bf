"""The first page of `docs/how-to/web-clients.md`, made from what is printed there, in a browser before the demo."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Page, async_playwright

from tests.browser.conftest import FLAGS
from tests.clients.npm import SOURCES, install_packages
from tests.clients.test_web_page import ADDRESS, PAGE
from tests.fakes.waiting import PATIENCE, until
from tests.processes import RunningServer, free_port
from tests.required import need

pytestmark = pytest.mark.browser

FILES = {
    name: body
    for name, body in re.findall(r"^```\w+ page (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    if "." in name
}
COMMANDS = dict(re.findall(r"^```sh page (\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
RECIPE = SOURCES / "page"


async def run(folder: Path, *command: str) -> None:
    """Runs a program to its end. AssertionError with its words where it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, f"{command}: {said.decode()[-3000:]}"


@pytest.fixture(scope="module")
async def folder(tmp_path_factory: pytest.TempPathFactory, demo: RunningServer) -> Path:
    """What a reader has who followed the page up to its build."""
    packages = install_packages(need("npm"), RECIPE)
    made = tmp_path_factory.mktemp("page")
    await asyncio.to_thread(shutil.copytree, packages, made / "node_modules", symlinks=True, copy_function=_link)
    shutil.copy(RECIPE / "package.json", made)
    for name, body in FILES.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(body.replace(ADDRESS, demo.url))
    for line in COMMANDS["build"].replace(ADDRESS, demo.url).splitlines():
        await run(made, *line.partition("#")[0].split())
    return made


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


@contextlib.asynccontextmanager
async def started(folder: Path, url: str, *command: str) -> AsyncIterator[str]:
    """A program that serves this URL until the block is left, with what it starts: `npx` ends before its child does."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.DEVNULL, start_new_session=True
    )
    try:
        async with aiohttp.ClientSession() as session:

            async def answers() -> bool:
                assert process.returncode is None, f"{command} ended with {process.returncode}"
                try:
                    async with session.get(url) as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await until(answers, what=f"{command[0]} serves")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=need("chromium"), args=FLAGS)
        try:
            page = await browser.new_page()
            page.set_default_timeout(PATIENCE * 1000)
            yield page
        finally:
            await browser.close()


async def use(page: Page, url: str) -> None:
    """Signs in, first with a wrong password, and sees pods and their changes."""
    await page.goto(url)
    await page.fill("input[name=user]", "openmcp")
    await page.fill("input[name=password]", "wrong")
    await page.click("text=Sign in")
    await page.wait_for_selector("[role=alert] >> text=The user or the password is wrong.")
    await page.fill("input[name=password]", "keti")
    await page.click("text=Sign in")
    await page.wait_for_function("document.querySelectorAll('tr').length === 10")
    await page.wait_for_function("Number(/(\\d+) events/.exec(document.body.innerText)?.[1]) > 200")
    await page.wait_for_selector("text=/cluster3 is (UNREACHABLE|TIMEOUT)/")


async def test_the_page_runs_with_vite(folder: Path, page: Page) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    async with started(folder, url, "npx", "vite", "--port", str(port), "--strictPort", "--host", "127.0.0.1"):
        await use(page, url)


async def test_the_built_page_runs_behind_nginx(folder: Path, page: Page, tmp_path: Path) -> None:
    program, port = need("nginx"), free_port()
    printed = (folder / "nginx.conf").read_text()
    assert "listen 8000" in printed
    site = printed.replace("listen 8000", f"listen 127.0.0.1:{port}").replace("/srv/page/dist", str(folder / "dist"))
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    types = "types { text/html html; text/javascript js; text/css css; }"
    (tmp_path / "nginx.conf").write_text(
        f"{'user root; ' if os.geteuid() == 0 else ''}daemon off; pid {tmp_path}/pid; error_log stderr; events {{}}\n"
        f"http {{ {temporary} access_log off; {types}\n{site} }}\n"
    )
    url = f"http://127.0.0.1:{port}/"
    async with started(folder, url, program, "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")):
        await use(page, url)


def test_the_page_says_what_is_installed() -> None:
    recipe = json.loads((RECIPE / "package.json").read_text())
    for line, kind in zip(COMMANDS["install"].splitlines()[1:], ("dependencies", "devDependencies"), strict=True):
        assert sorted(line.split()[2 + (kind != "dependencies") :]) == sorted(recipe[kind])
