"""Members whose pods change at a rate, in a process of their own, which count what they are asked.

`python -m bench.children.changing_fleet MEMBERS PODS` writes one line of JSON when all of it answers, then takes the
changes a second that all members are to make together from then on, a number a line, and answers with `Counts`. It
ends when its input ends. A changed pod has for its restarts when that was: see `read_clock`.
"""

import asyncio
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import cache
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import msgspec
import orjson
import uvloop
from aiohttp import web
from msgspec import Struct

from bench.memory_fleet import LABELLED, MemoryConnection, build_pod
from demo.simulator.platform import build_kubeconfig
from fleet.aio.tasks import open_task
from fleet.ports import Answer, Call

_LOOPBACK = "127.0.0.1"
_TURN = 0.005  # seconds between two looks at what is due
_NEWEST = 1_000_000  # the versions of changed pods begin here


class Counts(Struct, frozen=True):
    """What members were asked, and what they did, since they started."""

    lists: int
    watches: int
    changes: int


def read_clock() -> int:
    """Tenths of a millisecond of a clock that all processes of this machine share, as a count of restarts can be."""
    return int(time.monotonic() * 10_000) % (1 << 31)


class _Member(MemoryConnection):
    def __init__(self, number: int, pods: int, labelled: int) -> None:
        super().__init__(number, pods, labelled)
        self.lists = self.watches = 0
        self.watching: set[asyncio.Queue[bytes]] = set()
        self._pages: dict[str, Answer] = {}
        self._cut = cache(self._cut_pod)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request)
        call = Call("GET", request.path, 1.0, query=request.query_string)
        if "limit" in request.query:
            self.lists += "continue" not in request.query
        place = f"{call.path}?{request.query.get('continue')}"
        if (page := self._pages.get(place)) is None:  # made once: what is measured is who reads it
            page = self._pages[place] = await self.request(call)
        return web.Response(body=page.body, content_type="application/json")

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        self.watches += 1
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        lines: asyncio.Queue[bytes] = asyncio.Queue()
        if request.path == "/api/v1/pods":
            self.watching.add(lines)
        try:
            while True:
                await response.write(await lines.get())
        except ConnectionError:  # who has seen enough leaves
            return response
        finally:
            self.watching.discard(lines)

    def change(self, numbers: Iterator[int], version: int, count: int) -> None:
        """So many pods, the next ones each time."""
        moment = b"%d" % read_clock()
        lines = []
        for at in range(version, version + count):
            head, middle, end = self._cut(next(numbers))
            lines.append(b'%s"%d"%s%s%s' % (head, at, middle, moment, end))
        for queue in self.watching:
            queue.put_nowait(b"".join(lines))

    def _cut_pod(self, number: int) -> tuple[bytes, bytes, bytes]:
        """A line of a watch, around its version and its restarts."""
        pod = build_pod(self._number, number, self._pods, self._labelled)
        before, _, rest = pod.partition(b'"resourceVersion":')
        _, _, rest = rest.partition(b",")
        middle, count, end = rest.partition(b'"restartCount":')
        head = b'{"type":"MODIFIED","object":{"kind":"Pod","apiVersion":"v1",%s"resourceVersion":' % before[1:]
        return head, b"," + middle + count, b"%s}\n" % end[end.index(b",") :]


class _Fleet:
    def __init__(self, members: int, pods: int) -> None:
        self.members = [_Member(number, pods, LABELLED // members) for number in range(members)]
        self.rate = 0.0
        self.changes = 0
        self._turns = [cycle(range(pods)) for _ in self.members]

    @property
    def counts(self) -> Counts:
        lists, watches = (sum(getattr(each, name) for each in self.members) for name in ("lists", "watches"))
        return Counts(lists, watches, self.changes)

    async def keep_changing(self) -> NoReturn:
        due, before = 0.0, time.monotonic()
        while True:
            await asyncio.sleep(_TURN)
            now = time.monotonic()
            due, before = due + self.rate * (now - before), now
            if share := int(due) // len(self.members):
                due -= share * len(self.members)
                for member, numbers in zip(self.members, self._turns, strict=True):
                    member.change(numbers, _NEWEST + self.changes, share)
                    self.changes += share


async def serve(members: int, pods: int) -> None:
    """Until standard input ends."""
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    fleet = _Fleet(members, pods)
    async with AsyncExitStack() as stack:
        places = {}
        for member in fleet.members:
            handler = web.Server(member.answer, access_log=None, handler_cancellation=True)
            listening = await loop.create_server(handler, _LOOPBACK, 0)
            stack.callback(listening.close)
            port = listening.sockets[0].getsockname()[1]
            places[member.cluster] = (f"http://{_LOOPBACK}:{port}", secrets.token_hex(16))
        kubeconfig = Path(stack.enter_context(TemporaryDirectory(prefix="changing-"))) / "kubeconfig"
        kubeconfig.write_bytes(orjson.dumps(build_kubeconfig(places, fleet.members[0].cluster, None)))
        await stack.enter_async_context(open_task("changes", fleet.keep_changing))
        _say(orjson.dumps(str(kubeconfig)))
        while line := await commands.readline():
            fleet.rate = float(line)
            _say(msgspec.json.encode(fleet.counts))


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
