"""Runs a real issuer, orders tokens and faults of it, and signs in at it as a browser does."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp

from tests.clients.npm import install_packages
from tests.fakes.waiting import PATIENCE
from tests.required import need

SOURCES = Path(__file__).parent
GROUPS = {"ann": ["team-a", "team-b"], "bob": ["readers"], "eve": []}


@dataclass(frozen=True)
class RunningIssuer:
    """An issuer on loopback. Everybody in `GROUPS` signs in with any password."""

    url: str
    ca_file: Path | None

    async def order(self, **order: Any) -> dict[str, Any]:
        """What `issuer.mjs` does by order: make, publish, mode, sign."""
        async with (
            aiohttp.ClientSession(connector=self.connector()) as session,
            session.post(f"{self.url}/control", json=order) as answer,
        ):
            said: dict[str, Any] = json.loads(await answer.text())
            return said

    async def sign(self, kid: str = "first", secret: str | None = None, **claims: Any) -> str:
        """A token of user ann with a key, published or not; `header` is of the token, other names are claims."""
        header = claims.pop("header", {})
        order = {"kid": kid, "header": header, "claims": claims} | ({} if secret is None else {"secret": secret})
        return str((await self.order(sign=order))["token"])

    async def browse(self, url: str, login: str) -> str:
        """Goes to the URL, signs in and consents; where the issuer leads back to, which is not asked for."""
        form: Mapping[str, str] | None = None
        jar = aiohttp.CookieJar(unsafe=True)  # of an address
        async with aiohttp.ClientSession(cookie_jar=jar, connector=self.connector()) as session:
            while url.startswith(self.url):
                ask = session.post(url, data=form, allow_redirects=False) if form else None
                async with await (ask or session.get(url, allow_redirects=False)) as answer:
                    text, found = await answer.text(), answer.headers.get("location")
                assert answer.status < 400, text
                action = re.search(r'<form[^>]*action="([^"]+)"', text)
                prompt = re.search(r'name="prompt" value="(\w+)"', text)
                form = {"prompt": prompt[1], "login": login, "password": "any"} if prompt and not found else None
                url = urljoin(url, found or (action[1] if action else ""))
        return url

    def connector(self) -> aiohttp.TCPConnector:
        trust = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True
        return aiohttp.TCPConnector(ssl=trust)


@contextlib.asynccontextmanager
async def open_issuer(folder: Path, ca_file: Path | None = None, **environment: str) -> AsyncIterator[RunningIssuer]:
    """Starts it, and ends it; its packages are installed the first time."""
    log = _place(folder)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            need("node"),
            folder / "issuer.mjs",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            env={"PATH": os.environ["PATH"], "ACCOUNTS": json.dumps(GROUPS), "NODE_ENV": "test", **environment},
        )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
        assert line, log.read_text()
        yield RunningIssuer(json.loads(line)["issuer"], ca_file)
    finally:
        process.kill()
        await process.communicate()


def _place(folder: Path) -> Path:
    packages = install_packages(need("npm"), SOURCES)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SOURCES / "issuer.mjs", folder)
    (folder / "node_modules").symlink_to(packages)
    return folder / "issuer.log"
