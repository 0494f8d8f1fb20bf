"""Server-sent events: one operation a request, in the "distinct connections mode" of graphql-sse.

Source: graphql-sse, PROTOCOL.md (https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md). What is wrong with
an operation is told by a `next` event; without a credential or an operation the answer is no stream of events.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auth.dependencies import note_principal, read_credential
from fleet.aio.tasks import end_tasks
from graph.errors import Code
from graph.http.protocol import pick_weights, read_operation, refusal
from graph.http.state import GraphRequest
from graph.operation import Operation
from graph.spans import spanning_operation
from graph.subscriptions.admission import Rejected
from graph.subscriptions.hub import Hub
from graph.subscriptions.mailbox import Ended
from graph.subscriptions.rendering import build_failure, dump
from graph.subscriptions.sessions import Session

logger = logging.getLogger(__name__)

EVENT_STREAM = "text/event-stream"
_COMPLETE = b"event: complete\ndata:\n\n"
_KEEP_ALIVE = b":\n\n"
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would keep events until it has a page of them
]


def wants_events(accept: str | None) -> bool:
    """Whether a stream of events is what the client asks for, rather than something it would take as well."""
    weights = pick_weights(accept)
    others = (weight for kind, weight in weights.items() if kind.startswith("application/"))
    return _weigh_events(weights) > max(others, default=0.0)


def takes_events(accept: str | None) -> bool:
    """Whether a stream of events is among what the client names: `*/*` alone would wait for one answer."""
    return _weigh_events(pick_weights(accept)) > 0


def _weigh_events(weights: Mapping[str, float]) -> float:
    return weights.get(EVENT_STREAM, weights.get("text/*", 0.0))


async def answer_events(request: GraphRequest, operation: Operation | None = None) -> Response:
    """The stream of one operation, of the request's where none was read yet.

    Raises Unauthenticated, Refused (before there is a stream), ClientDisconnect.
    """
    hub = request.state["live"]
    if hub.full:
        words = "the server takes no more connections: try again later"
        return refusal(503, words, Code.COST_EXCEEDED, headers={"Retry-After": "5"})
    session = await hub.sessions.open(read_credential(request))
    note_principal(request, session.principal)
    try:
        async with asyncio.timeout(request.state["request_timeout"]):
            return EventStream(hub, session, operation or await read_operation(request))
    except BaseException:  # whatever it was goes on: only a stream that begins keeps the session
        hub.sessions.close(session)
        raise


class EventStream(Response):
    """An answer that is sent as it comes about; it ends with its operation, its session or its client."""

    def __init__(self, hub: Hub, session: Session, operation: Operation) -> None:
        super().__init__()
        self._hub = hub
        self._session = session
        self._operation = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["streams"] = True
        self._hub.connections += 1
        sending = asyncio.create_task(self._send_all(send))
        leaving = asyncio.create_task(wait_for_disconnect(receive))
        ending = asyncio.create_task(self._session.wait_ended())
        try:
            await asyncio.wait((sending, leaving, ending), return_when=asyncio.FIRST_COMPLETED)
            if ending.done() and not sending.done() and not leaving.done():
                await end_tasks(sending)
                await self._send_ending(send)
        finally:
            await end_tasks(sending, leaving, ending)
            self._hub.sessions.close(self._session)
            self._hub.connections -= 1
        if not sending.cancelled() and (error := sending.exception()) is not None:
            raise error

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        await self._put(send, _KEEP_ALIVE)  # so that a client knows at once that the stream is open
        try:
            with spanning_operation(self._operation.query):
                async with aclosing(self._hub.stream(self._session, self._operation)) as results:
                    async for chunk in _with_keep_alives(results, self._hub.options.keep_alive_seconds):
                        await self._put(send, chunk)
        except Rejected as rejected:
            await self._put(send, _event(orjson.dumps({"errors": rejected.errors})))
        except Ended as ended:
            await self._put(send, _event(dump(build_failure(ended.ending.message, ended.ending.code))))
        except _TooSlow:
            logger.info("a client that took nothing for %g s was cut off", self._hub.options.stall_seconds)
            return
        await self._put(send, _COMPLETE, more=False)

    async def _send_ending(self, send: Send) -> None:
        """Ends the answer without `complete`: a client takes that for a cut, and asks again. A comment says why."""
        ending = self._session.ending
        if ending is None:
            return
        with suppress(_TooSlow):
            await self._put(send, f": {ending.message}\n\n".encode(), more=False, seconds=1.0)

    async def _put(self, send: Send, chunk: bytes, *, more: bool = True, seconds: float | None = None) -> None:
        try:
            async with asyncio.timeout(seconds or self._hub.options.stall_seconds):
                await send({"type": "http.response.body", "body": chunk, "more_body": more})
        except TimeoutError:
            raise _TooSlow from None


class _TooSlow(Exception):
    """The client takes nothing: there is no way to tell it so but to end the connection."""


async def _with_keep_alives(results: AsyncIterator[str], seconds: float) -> AsyncIterator[bytes]:
    """Events, and a comment wherever none came for a time."""
    coming: asyncio.Future[str] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(results))
            done, _ = await asyncio.wait((coming,), timeout=seconds)
            if not done:
                yield _KEEP_ALIVE
                continue
            try:
                text = coming.result()
            except StopAsyncIteration:
                return
            coming = None
            yield _event(text.encode())
    finally:
        if coming is not None:
            await end_tasks(coming)  # type: ignore[arg-type]  # a task, in fact


def _event(body: bytes) -> bytes:
    return b"event: next\ndata: " + body + b"\n\n"


async def wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
