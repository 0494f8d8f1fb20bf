"""What the workers of one server tell each other: each answers its figures on a Unix socket that only they reach.

Connections reach any worker, so whichever is asked for figures asks the others, and says whose each one is.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

ANSWER_SECONDS = 1.0
MOST_BYTES = 16 * 1024 * 1024

_log = logging.getLogger(__name__)


class Worker(Struct, frozen=True):
    """One of `count` processes that serve the same ports.

    `folder` holds the sockets between them. `lifeline` is a pipe that ends when the process that started it is gone.
    """

    number: int
    count: int
    folder: Path
    lifeline: int

    @property
    def is_writer(self) -> bool:
        """Whether it is the one that collects usage and writes the embedded store."""
        return self.number == 0

    def socket_of(self, number: int) -> Path:
        return self.folder / f"{number}.sock"


class Peers:
    """The other workers. Made by `open_peers`."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def load(self, content_type: str, own: str) -> dict[int, str]:
        """The figures of all workers that answer in time, by number; `own` are the caller's."""
        others = [number for number in range(self._worker.count) if number != self._worker.number]
        answers = await asyncio.gather(*(self._load(number, content_type) for number in others))
        texts = {self._worker.number: own}
        texts |= {number: text for number, text in zip(others, answers, strict=True) if text is not None}
        return dict(sorted(texts.items()))

    async def _load(self, number: int, content_type: str) -> str | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._worker.socket_of(number), limit=MOST_BYTES)
                try:
                    writer.write(f"{content_type}\n".encode())
                    return (await reader.read()).decode()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            # One that starts again has no figures; that its `openmcp_up` is missing says so.
            _log.debug("worker %d does not tell its figures: %s", number, error)
            return None


@asynccontextmanager
async def open_peers(worker: Worker, build_own: Callable[[str], Awaitable[str]]) -> AsyncIterator[Peers]:
    """Answers the figures of this worker to the others, in the content type they ask for. Raises OSError."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                wanted = (await reader.readline()).decode().strip()
                writer.write((await build_own(wanted)).encode())
                await writer.drain()
        except (ConnectionError, TimeoutError):
            pass  # who asked has given up
        finally:
            writer.close()

    path = worker.socket_of(worker.number)
    path.unlink(missing_ok=True)  # of a worker of this number that ended without its say
    async with await asyncio.start_unix_server(answer, path):
        yield Peers(worker)
