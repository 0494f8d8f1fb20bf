"""A container's log that is followed: its lines, its bounds, its rights, and the call to the member behind it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.objects import ClusterHealth
from fleet.model.visibility import Role, Scope
from fleet.objects.logs import MAX_LINE_BYTES
from tests.fakes.kubernetes import build_pod, build_spec
from tests.fakes.waiting import until
from tests.graph.conftest import ADMIN
from tests.graph.subscriptions.serving import Live, open_live

STAMP = "2026-11-24T10:00:00.123456789Z"
EDITOR = replace(ADMIN, scope=Scope(Role.EDIT, namespaces=("shop",)))
VIEWER = replace(ADMIN, scope=Scope(Role.VIEW))


def ask(arguments: str = "") -> str:
    return f'subscription {{ logs(cluster: "c1", namespace: "shop", pod: "p0" {arguments}) {{ time container line }} }}'


class Member:
    """An API server that answers logs and nothing else."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.status = 200
        self.open = 0

    def say(self, *lines: bytes | None) -> None:
        """Bytes that are sent as they are; None ends the container."""
        for line in lines:
            self.lines.put_nowait(line)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, dict(request.query)))
        if self.status != 200:
            return web.json_response({"message": "the kubelet is away"}, status=self.status)
        answer = web.StreamResponse()
        await answer.prepare(request)
        self.open += 1
        try:
            while (line := await self.lines.get()) is not None:
                await answer.write(line)
        finally:
            self.open -= 1
        return answer


def still(size: Callable[[], int], looks: int = 60) -> Callable[[], bool]:
    """A condition that holds once so many looks in a row have found the same."""
    seen = [-1] * looks

    def look() -> bool:
        seen.append(size())
        return len(set(seen[-looks:])) == 1 and seen[-1] >= 0

    return look


@contextlib.asynccontextmanager
async def open_logging() -> AsyncIterator[tuple[Live, Member]]:
    member = Member()
    server = web.Server(member.answer, handler_cancellation=True)  # type: ignore[arg-type]  # a handler of plain requests
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with open_live("c1", pods=1) as live:
        connection = HttpConnection("c1", Target(f"http://127.0.0.1:{port}"))
        c1 = live.federation._roster.get(ADMIN.scope, "c1")
        watched, c1.connection = c1.connection, connection
        try:
            yield live, member
        finally:
            c1.connection = watched
            await connection.close()
            await server.shutdown(1)
            listening.close()


async def test_lines_arrive_with_their_time_until_the_container_ends() -> None:
    async with open_logging() as (live, member), live.ready(ask("tailLines: 5")) as socket:
        member.say(f"{STAMP} one\n{STAMP} tw".encode(), b"o\nno time\n", f"{STAMP} \n{STAMP} last".encode(), None)
        lines = await socket.take(5, "logs")
        assert await socket.receive() == {"id": "1", "type": "complete"}
    assert [entry["line"] for entry in lines] == ["one", "two", "no time", "", "last"]
    assert [entry["time"] for entry in lines[1:3]] == ["2026-11-24T10:00:00.123Z", None]
    assert {entry["container"] for entry in lines} == {"c"}
    path, query = member.asked[0]
    assert path == "/api/v1/namespaces/shop/pods/p0/log"
    assert query == {"container": "c", "tailLines": "5", "follow": "true", "timestamps": "true"}


async def test_a_long_line_is_cut_and_says_so() -> None:
    async with open_logging() as (live, member), live.events(ask()) as stream:
        member.say(f"{STAMP} ".encode(), b"x" * MAX_LINE_BYTES, b"y" * 100_000 + b"\n", f"{STAMP} short\n".encode())
        long = (await stream.next())["data"]["logs"]["line"]
        assert (await stream.next())["data"]["logs"]["line"] == "short"
    assert len(long) < MAX_LINE_BYTES + 100
    assert long.endswith("bytes more]")


async def test_one_who_leaves_ends_the_call_to_the_member() -> None:
    async with open_logging() as (live, member), live.ready(ask()) as socket:
        member.say(f"{STAMP} one\n".encode())
        await socket.next()
        assert member.open == 1
        await socket.send({"type": "complete", "id": "1"})
        await until(lambda: member.open == 0)


async def test_one_who_takes_nothing_stops_the_member_from_sending() -> None:
    async with open_logging() as (live, member), live.ready(ask()) as socket:
        socket.connection.transport.pause_reading()
        for _ in range(3_000):
            member.say((f"{STAMP} " + "x" * 10_000 + "\n").encode())
        await until(lambda: member.lines.qsize() < 2_999)
        await until(still(member.lines.qsize), what="the member being stopped")
        assert not member.lines.empty()
        socket.connection.transport.resume_reading()
        assert len(await socket.take(3_000, "logs")) == 3_000


@pytest.mark.parametrize(
    ("arguments", "who", "code", "words"),
    [
        ("", "viewer", "FORBIDDEN", "role view reads no log"),
        ("", "other", "FORBIDDEN", "out of your reach"),
        ("tailLines: -1", "ann", "BAD_USER_INPUT", "`tailLines` is 0 at least and 10,000 at most"),
        ("tailLines: 10001", "ann", "BAD_USER_INPUT", "`tailLines` is 0 at least and 10,000 at most"),
        ('container: "no"', "ann", "BAD_USER_INPUT", "p0 has no container 'no'; it has c"),
        ('container: "../../x"', "ann", "BAD_USER_INPUT", "can't be the name of a container"),
    ],
)
async def test_what_may_not_be_read_is_an_error(arguments: str, who: str, code: str, words: str) -> None:
    async with open_logging() as (live, member):
        live.users.known |= {"viewer": VIEWER, "other": replace(EDITOR, scope=Scope(Role.EDIT, namespaces=("ops",)))}
        async with live.ready(ask(arguments), who=who) as socket:
            message: Any = await socket.receive()
        assert member.asked == []
    assert message["type"] == "error"
    assert (message["payload"][0]["extensions"]["code"], words in message["payload"][0]["message"]) == (code, True)


async def test_the_role_that_edits_reads_logs_of_its_namespaces() -> None:
    async with open_logging() as (live, member):
        live.users.known["editor"] = EDITOR
        async with live.ready(ask(), who="editor") as socket:
            member.say(f"{STAMP} one\n".encode())
            assert (await socket.take(1, "logs"))[0]["line"] == "one"


async def test_a_cluster_that_is_cut_off_is_named_at_once() -> None:
    async with open_logging() as (live, member):
        live.source.say(build_spec("c1", offline="it was unplugged"))
        await until(lambda: live.federation.get_cluster(ADMIN.scope, "c1").health is ClusterHealth.OFFLINE)
        async with live.ready(ask()) as socket:
            message = await socket.receive()
        assert member.asked == []
    assert message["payload"][0]["extensions"] == {"code": "CLUSTER_UNREACHABLE", "cluster": "c1"}
    assert "it was unplugged" in message["payload"][0]["message"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "BAD_USER_INPUT"), (403, "FORBIDDEN"), (404, "NOT_FOUND"), (500, "CLUSTER_UNREACHABLE")],
)
async def test_a_member_that_refuses_is_named(status: int, code: str) -> None:
    async with open_logging() as (live, member):
        member.status = status
        async with live.ready(ask()) as socket:
            message = await socket.receive()
    assert message["type"] == "error"
    assert message["payload"][0]["extensions"]["code"] == code
    assert "the kubelet is away" in message["payload"][0]["message"]


async def test_a_pod_with_several_containers_wants_one_named() -> None:
    async with open_logging() as (live, member):
        pod = build_pod("shop", "p0")
        pod["spec"]["containers"].append({"name": "side", "image": "i", "resources": {}})
        live["c1"].put(pod)
        pods = live.federation._roster.get(ADMIN.scope, "c1").pods
        await until(lambda: any(known.total_containers == 2 for known in pods))
        async with live.ready(ask()) as socket:
            message = await socket.receive()
            assert "name one as `container`: c, side" in message["payload"][0]["message"]
        async with live.ready(ask('container: "side"')) as socket:
            member.say(f"{STAMP} one\n".encode())
            assert (await socket.take(1, "logs"))[0]["container"] == "side"
