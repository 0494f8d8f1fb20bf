"""The simulated fleet in a child process, as the demo runs it.

A process of its own, since a hundred API servers that make JSON would take the server's one interpreter away from it;
in a thread they would still share its lock. Its life hangs on a pipe: when this process goes, however that may be, so
does the child.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

_START_SECONDS = 60.0
_STOP_SECONDS = 2.0


class SimulatorError(Exception):
    """The child did not start, or did not take a command; the message says what it wrote."""


class ChildFleet:
    """A running child. `kubeconfig` is its file, `urls` the API server of each cluster, host included."""

    def __init__(self, process: asyncio.subprocess.Process, kubeconfig: Path, urls: dict[str, str]) -> None:
        self.kubeconfig = kubeconfig
        self.urls = urls
        self._process = process

    @property
    def members(self) -> list[str]:
        """The members' names, in their order."""
        return [name for name in self.urls if name != "openmcp"]

    async def set_fault(self, cluster: str, fault: str) -> None:
        """Makes a cluster ill or well; the words are those of `demo.simulator.__main__`. Raises SimulatorError."""
        assert self._process.stdin is not None  # noqa: S101 - it was made with a pipe
        self._process.stdin.write(orjson.dumps({"cluster": cluster, "fault": fault}) + b"\n")
        await self._process.stdin.drain()
        answer = await _read_line(self._process)
        if answer != "ok":
            raise SimulatorError(answer)


@asynccontextmanager
async def open_child_fleet(clusters: int, pods: int) -> AsyncIterator[ChildFleet]:
    """Starts the child and waits until all of it answers. Raises SimulatorError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "demo.simulator",
        f"--clusters={clusters}",
        f"--pods={pods}",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        started = orjson.loads(await _read_line(process))
        yield ChildFleet(process, Path(started["kubeconfig"]), started["clusters"])
    finally:
        await _stop(process)


async def _read_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None  # noqa: S101 - it was made with a pipe
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
    except TimeoutError as error:
        raise SimulatorError(f"the simulated fleet said nothing for {_START_SECONDS:.0f} s") from error
    if not line:
        raise SimulatorError(f"the simulated fleet ended with code {await process.wait()}")
    return line.decode().rstrip("\n")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
