"""Members that change at a rate, in a process of their own."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import orjson

from bench.children.changing_fleet import Counts
from bench.servers import StartError, open_process

_SECONDS = 60.0


@dataclass(frozen=True)
class Changing:
    """The process. Orders are given one at a time."""

    kubeconfig: Path
    process: Process = field(repr=False)

    async def order(self, rate: float) -> Counts:
        """Has them make so many changes a second from now on; what there was until now. Raises StartError."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"%g\n" % rate)
        return msgspec.json.decode(await _read_line(self.process), type=Counts)


@asynccontextmanager
async def open_changing(members: int, pods: int) -> AsyncIterator[Changing]:
    """Members of `pods` pods each, which do not change yet. Raises StartError."""
    command = ("-m", "bench.children.changing_fleet", str(members), str(pods))
    async with open_process(sys.executable, *command, stdin=PIPE) as process:
        yield Changing(Path(orjson.loads(await _read_line(process))), process)


async def _read_line(process: Process) -> bytes:
    assert process.stdout is not None
    if line := await asyncio.wait_for(process.stdout.readline(), _SECONDS):
        return line
    raise StartError("the changing members ended")
