"""Two servers behind nginx, restarted in turn under load: nobody notices."""

import asyncio
import getpass
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from realfleet.fleet import Fleet
from tests.fakes.waiting import until
from tests.processes import RunningServer, free_port, open_server
from tests.required import need

pytestmark = pytest.mark.real

CLIENTS = 3
"""As many as one server takes of one user however busy the machine is: more may be refused, which is no fault here."""
NGINX = """
{user} daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}
http {{
  access_log off; {temporary}
  upstream openmcp {{
    server 127.0.0.1:{first} fail_timeout=1s;
    server 127.0.0.1:{second} fail_timeout=1s;
    keepalive 32;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://openmcp; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
QUERY = {"query": "{ pods(first: 5) { items { name } clusters { name state } } }"}


class Load:
    """Clients that ask without a pause over kept connections, by POST and by GET, and what they were answered."""

    def __init__(self, url: str, token: str) -> None:
        self.answered: Counter[str] = Counter()
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    async def run(self) -> None:
        async with aiohttp.ClientSession(headers=self._headers) as session, asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self._ask(session, by_post=number % 2 == 0))

    async def _ask(self, session: aiohttp.ClientSession, *, by_post: bool) -> None:
        method, path, body = "GET", "/api/v1/namespaces/shop/pods?clustername=cluster1&limit=2", None
        if by_post:
            method, path, body = "POST", "/graphql", QUERY
        while True:
            try:
                async with session.request(method, self._url + path, json=body) as answer:
                    text = await answer.text()
                whole = answer.status == 200 and ("errors" not in text) and ('"kind":"PodList"' in text or by_post)
                self.answered["whole" if whole else f"{method} {answer.status} {text[:300]}"] += 1
            except aiohttp.ClientError as error:
                self.answered[f"{method} {error!r}"] += 1


@asynccontextmanager
async def open_nginx(folder: Path, ports: list[int]) -> AsyncIterator[str]:
    port = free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    config = NGINX.format(
        user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
        folder=folder,
        temporary="".join(f"{kind}_temp_path {folder}/{kind}; " for kind in kinds),
        first=ports[0],
        second=ports[1],
        port=port,
    )
    (folder / "nginx.conf").write_text(config)
    error_log = str(folder / "error.log")
    started = await asyncio.create_subprocess_exec(
        need("nginx"), "-p", str(folder), "-e", error_log, "-c", str(folder / "nginx.conf")
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        started.terminate()
        await started.wait()


async def test_restarting_two_servers_in_turn_fails_no_request(real_fleet: Fleet, tmp_path: Path) -> None:
    ports = [free_port(), free_port()]

    async def start(stack: AsyncExitStack, number: int) -> RunningServer:
        environment = real_fleet.environment() | {
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(ports[number]),
            "OPENMCP_OPS_PORT": "0",
            "OPENMCP_SHUTDOWN_DRAIN": "1s",
        }
        log = tmp_path / f"{number}.log"
        return await stack.enter_async_context(
            open_server("serve", environment=environment, port=ports[number], log=log)
        )

    async with AsyncExitStack() as stack:
        servers = [await start(stack, number) for number in (0, 1)]
        url = await stack.enter_async_context(open_nginx(tmp_path, ports))
        load = Load(url, await servers[0].sign_in())
        loading = asyncio.create_task(load.run())
        for number in (0, 1):
            before = load.answered["whole"]
            await until(lambda seen=before: load.answered["whole"] > seen + 200, what="load")  # type: ignore[misc]
            servers[number].process.terminate()
            assert await servers[number].process.wait() == 0
            servers[number] = await start(stack, number)
        before = load.answered["whole"]
        await until(lambda: load.answered["whole"] > before + 200, what="load")
        loading.cancel()
        await asyncio.wait([loading])
    assert set(load.answered) == {"whole"}, (load.answered, (tmp_path / "error.log").read_text()[-2000:])
