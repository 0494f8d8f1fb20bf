"""The caller's end of a connection, and what ends the passing on before its answer is whole."""

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from fleet.aio.bounded import read_bounded
from fleet.aio.stopping import Stopping
from rest_compat.errors import BodyTooLarge, BodyTooSlow, ServerStopping

PATIENCE_SECONDS = 0.05
"""Answers that are there sooner are not watched over: most are, and two tasks cost more than all else of them."""

CHECK_SECONDS = 15.0
"""A process that hangs keeps its connections open: only what is known of the member tells that it is gone."""

RIGHTS_SECONDS = 2.0
"""How often it is looked at again whether the caller of an answer that is still arriving may have it."""

Ending = Callable[[], Coroutine[None, None, None]]
"""What runs while an answer may go on, and raises once that has to end."""


class Caller:
    """Its body while it arrives, then the news that it is gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._body_done: asyncio.Event | None = None

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises ClientDisconnect, so that half a body is never taken for a whole one.

        From this call on the body is the iterator's, however late that is begun: a member may have to be dialled first.
        """
        self._body_done = asyncio.Event()
        return self._read_body(self._body_done)

    async def _read_body(self, done: asyncio.Event) -> AsyncIterator[bytes]:
        try:
            while True:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                if message.get("body"):
                    yield message["body"]
                if not message.get("more_body"):
                    return
        finally:
            done.set()

    async def wait_gone(self) -> None:
        if self._body_done is not None:
            await self._body_done.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def read_body(chunks: AsyncIterable[bytes], what: str, limit: int, timeout: float) -> bytes:
    """A caller's body in one piece, within `timeout` seconds. Raises BodyTooLarge, BodyTooSlow, ClientDisconnect."""
    try:
        async with asyncio.timeout(timeout):
            return await read_bounded(chunks, limit, lambda: BodyTooLarge(f"{what} may have {limit} bytes at most"))
    except TimeoutError as error:
        raise BodyTooSlow(f"{what} must arrive within {timeout:g} s") from error


class DisconnectWatcher:
    """Cancels the task that made it when the caller is gone, or when an ending raises; to be stopped in any case."""

    def __init__(self, caller: Caller, *endings: Ending) -> None:
        self._caller = caller
        self._endings = endings
        self._task = asyncio.current_task()
        self._watching: list[asyncio.Future[None]] = []
        self._ended_by: asyncio.Future[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._begin)

    def was_interrupted(self) -> bool:
        """Whether the cancellation that the task has just caught was this watcher's, and no other's."""
        return self._ended_by is not None and self._task is not None and not self._task.uncancel()

    @property
    def error(self) -> BaseException | None:
        """What an ending raised."""
        return None if self._ended_by is None else self._ended_by.exception()

    def stop(self) -> None:
        self._timer.cancel()
        for future in self._watching:
            future.cancel()

    def _begin(self) -> None:
        self._watching.append(asyncio.ensure_future(self._caller.wait_gone()))
        self._watching += [asyncio.ensure_future(ending()) for ending in self._endings]
        for future in self._watching:
            future.add_done_callback(self._interrupt)

    def _interrupt(self, future: "asyncio.Future[None]") -> None:
        if future.cancelled() or self._ended_by is not None:
            return
        self._ended_by = future
        if self._task is not None:
            self._task.cancel()


async def check_repeatedly(check: Callable[[], object], every: float) -> None:
    """Runs until it is cancelled, or until `check`, or what it returns, raises; `every` is in seconds."""
    while True:
        await asyncio.sleep(every)
        checked = check()
        if inspect.isawaitable(checked):
            await checked


async def wait_stop(stopping: Stopping) -> None:
    """Raises ServerStopping when streams are to end."""
    await stopping.wait_streams_end()
    raise ServerStopping
