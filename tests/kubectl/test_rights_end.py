"""Streams end with the right to them: kubectl's and a subscription, within seconds of any change that ends it."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from msgspec.structs import replace

from auth.access_tokens import save_access_tokens
from auth.passwords import hash_password
from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from realfleet.fleet import Fleet
from tests.fakes.waiting import PATIENCE, until
from tests.kubectl.conftest import Both, Secured, open_secured
from tests.kubectl.running import Kubectl, stop
from tests.kubectl.test_streams import SPDY
from tests.processes import COMMAND

pytestmark = pytest.mark.real

END_SECONDS = 5.0
PASSWORD = "secret of tess"
TESS = User("tess", hash_password(PASSWORD), Scope(Role.EDIT))
SUBSCRIPTION = "subscription { podEvents { type } }"
LOOP = "while true; do echo on; sleep 0.2; done"


@dataclass(frozen=True)
class Watched:
    """A server whose users are in a file, and that file."""

    secured: Secured
    users: Path


@pytest.fixture(scope="module")
async def watched(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    folder = tmp_path_factory.mktemp("rights")
    save_users(folder / "users", [TESS])
    save_access_tokens(folder / "tokens", [])
    files = {"OPENMCP_USERS_FILE": str(folder / "users"), "OPENMCP_TOKENS_FILE": str(folder / "tokens")}
    environment = real_fleet.environment() | files
    async with open_secured(environment, folder) as secured:
        yield Watched(secured, folder / "users")


async def remove(users: Path, _: User) -> None:
    save_users(users, [])


async def narrow(users: Path, user: User) -> None:
    save_users(users, [replace(user, scope=Scope(Role.EDIT, ("another*",)))])


async def change_password(users: Path, user: User) -> None:
    save_users(users, [replace(user, password_hash=hash_password("another"))])


async def add_again(users: Path, user: User) -> None:
    save_users(users, [])
    save_users(users, [replace(user, password_hash=hash_password(PASSWORD))])


async def sign_out(users: Path, user: User) -> None:
    await run_command("user", "logout", user.name, "--file", users)


async def run_command(*line: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(COMMAND, *line, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0
    return said.decode().strip()


async def revoke(users: Path, user: User) -> None:
    """What is used is an access token."""
    await run_command("token", "revoke", user.name, "--file", users.with_name("tokens"))


async def expire(_: Path, __: User) -> None:
    """The token ends by itself."""


CHANGES = (remove, narrow, change_password, add_again, sign_out, expire, revoke)


@pytest.mark.parametrize("change", CHANGES)
async def test_every_stream_ends_within_seconds(
    stage: Both,
    watched: Watched,
    real_fleet: Fleet,
    tmp_path: Path,
    change: Callable[[Path, User], Awaitable[None]],
) -> None:
    user = replace(TESS, name=f"tess who would {change.__name__}")
    save_users(watched.users, [user])
    secured = watched.secured
    token, ends_at = await sign_in(secured, user.name), 0.0
    if change is expire:
        ends_at = int(time.time()) + 40.0
        key = real_fleet.environment()["OPENMCP_SIGNING_KEY"]
        token = jwt.encode({"user": user.name, "exp": int(ends_at)}, key, algorithm="HS256")
    if change is revoke:
        files = ("--file", watched.users.with_name("tokens"), "--users-file", watched.users)
        made = ("token", "create", user.name, "--owner", user.name, "--role", "edit", "--expires-in", "1h")
        token = await run_command(*made, *files)
        await until(lambda: counts(secured, token), what="the token")
    kubeconfig = secured.write_kubeconfig(tmp_path / "through", ["cluster1"], token)
    kubectl = Kubectl(stage.through.program, kubeconfig, tmp_path)
    async with open_subscription(secured, token) as socket:
        took, said = await end_streams(kubectl, socket, lambda: change(watched.users, user), ends_at)
    assert {name for name, seconds in took.items() if seconds > END_SECONDS} == set(), took
    assert ("no cluster is named" if change is narrow else "oken") in said


async def end_streams(
    kubectl: Kubectl,
    socket: aiohttp.ClientWebSocketResponse,
    change: Callable[[], Awaitable[object]],
    ends_at: float = 0.0,
) -> tuple[dict[str, float], str]:
    """Seconds after the change, or `ends_at`, that each of a caller's streams ended, and what the watch said."""
    async with AsyncExitStack() as stack:
        processes = {}
        for name, line, over in (
            ("exec", ["exec", "box", "-c", "box", "--", "sh", "-c", LOOP], {}),
            ("exec over SPDY", ["exec", "box", "-c", "box", "--", "sh", "-c", LOOP], SPDY),
            ("logs", "logs box -c box -f", {}),
            ("port-forward", "port-forward pod/box :8080", {}),
            ("port-forward over SPDY", "port-forward pod/box :8080", SPDY),
            ("watch", "get pods -w", {}),
        ):
            processes[name] = process = await kubectl.start(line, **over)
            stack.push_async_callback(stop, process)
        # Each has begun: it said something.
        for name, process in processes.items():
            assert process.stdout is not None
            assert await asyncio.wait_for(process.stdout.readline(), PATIENCE), name
        ends: dict[str, asyncio.Task[Any]] = {
            name: asyncio.create_task(process.communicate()) for name, process in processes.items()
        }
        ends["subscription"] = asyncio.create_task(read_to_end(socket))
        assert not any(end.done() for end in ends.values())
        await change()
        begin = max(time.time(), ends_at)
        took = {}
        for name, end in ends.items():
            await asyncio.wait_for(asyncio.shield(end), PATIENCE)
            took[name] = time.time() - begin
        return took, b"".join(await ends["watch"]).decode()


async def sign_in(secured: Secured, name: str) -> str:
    """A token, as soon as the users file was read that has the user."""
    url, given = f"{secured.server.url}/token", {"username": name, "password": PASSWORD}
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        while True:
            async with session.post(url, json=given, ssl=trust(secured)) as answer:
                if answer.status == 200:
                    return str((await answer.json())["token"])
            await asyncio.sleep(1)


async def counts(secured: Secured, token: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{secured.server.url}/clusters/cluster1/version", ssl=trust(secured)) as answer,
    ):
        return answer.status == 200


def trust(secured: Secured) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=secured.ca_file)


@asynccontextmanager
async def open_subscription(secured: Secured, token: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """One of all pods, by graphql-transport-ws, that has told of some."""
    url, protocol = f"{secured.server.url}/graphql", "graphql-transport-ws"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=[protocol], ssl=trust(secured), max_msg_size=0) as socket,
    ):
        await socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
        assert (await socket.receive_json())["type"] == "connection_ack"
        await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIPTION}})
        assert (await socket.receive_json())["type"] == "next"
        yield socket


async def read_to_end(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass
