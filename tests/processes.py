"""The server as a user runs it: a subprocess of the console script on a free loopback port."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from realfleet.ports import list_free_ports
from tests import credentials
from tests.fakes.waiting import PATIENCE

COMMAND = Path(sys.executable).with_name("openmcp-apiserver")
STOP_SECONDS = 30.0
_ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "OPENMCP_LOG_LEVEL": "debug"}
AT_ONCE = {"OPENMCP_SHUTDOWN_DRAIN": "0s"}
"""No proxy is in front of it that would have to notice."""


@dataclass(frozen=True)
class RunningServer:
    """A started server: where it listens, its process and where its output goes."""

    url: str
    port: int
    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    async def sign_in(self, username: str = "openmcp", password: str = "keti") -> str:  # noqa: S107 - the demo's published password
        """A token for the user."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/token", json={"username": username, "password": password}) as answer,
        ):
            assert answer.status == 200, await answer.text()
            token = str((await answer.json())["token"])
            credentials.note(password, f"the password of {username}")
            credentials.note(token, f"a token of {username}")
            return token

    async def ask(
        self,
        token: str,
        query: str,
        variables: Mapping[str, object] | None = None,
        extensions: Mapping[str, object] | None = None,
    ) -> dict[str, object]:
        """The whole GraphQL answer, errors included."""
        asked = {"query": query, "variables": dict(variables or {}), "extensions": dict(extensions or {})}
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
            session.post(f"{self.url}/graphql", json=asked) as answer,
        ):
            body: dict[str, object] = await answer.json(content_type=None)
            return body


def free_port() -> int:
    """A loopback port that nobody was given."""
    return list_free_ports(1)[0]


@asynccontextmanager
async def open_server(
    *arguments: str,
    environment: Mapping[str, str],
    port: int,
    log: Path,
    ready_seconds: float = 120.0,
    program: Sequence[str | Path] = (COMMAND,),
) -> AsyncIterator[RunningServer]:
    """Starts `openmcp-apiserver ARGUMENTS`, waits for `/readyz`, and stops it by its process id.

    It logs all there is to log, which is looked through for credentials once the tests are over.
    """
    await asyncio.to_thread(credentials.note_server, log, environment)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**_ENVIRONMENT, **AT_ONCE, **environment},
        )
    url = f"http://127.0.0.1:{port}"
    try:
        await _wait_ready(url, process, log, ready_seconds)
        yield RunningServer(url, port, process, log)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _wait_ready(url: str, process: asyncio.subprocess.Process, log: Path, seconds: float) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session:
        try:
            async with asyncio.timeout(seconds):
                while process.returncode is None:
                    try:
                        async with session.get(f"{url}/readyz") as answer:
                            if answer.status == 200:
                                return
                    except (aiohttp.ClientError, TimeoutError):
                        pass
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
    raise AssertionError(f"the server at {url} was not ready within {seconds} s:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-4000:]
