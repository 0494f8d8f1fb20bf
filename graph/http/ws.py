"""`graphql-transport-ws`: operations over one WebSocket.

Source: graphql-ws, PROTOCOL.md (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md). Close codes:

4400 what was received is no message of the protocol   4408 no `connection_init` in time
4401 `subscribe` before `connection_ack`               4409 the id of `subscribe` is in use
4403 the credential does not count (any more)          4429 a second `connection_init`
4406 the client does not offer this protocol           4500 something went wrong here
1012 the server shuts down: connect again              1013 try later: the server is full, the user has too many
                                                            connections, or the subscriber is too slow

A handshake that asks to act as somebody else is closed with 4400: clients come back after 4403.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import orjson
from msgspec.structs import replace
from starlette.websockets import WebSocketDisconnect

from auth.dependencies import note_principal, read_credential
from auth.errors import IdentityUnavailable, Unauthenticated
from auth.impersonation import refuse_impersonation
from fleet.aio.request_context import begin_request, current_request
from fleet.aio.tasks import end_tasks
from fleet.model.errors import Forbidden, TooManyRequests
from graph.errors import Code
from graph.http.state import GraphSocket
from graph.operation import Refused, build_operation
from graph.spans import spanning_operation
from graph.subscriptions.admission import Rejected
from graph.subscriptions.hub import Hub
from graph.subscriptions.mailbox import Ended
from graph.subscriptions.sessions import Session

logger = logging.getLogger(__name__)

PROTOCOL = "graphql-transport-ws"
MAX_REASON_BYTES = 123  # RFC 6455, section 5.5: a control frame carries 125 bytes, two of them are the code
_CLOSE_SECONDS = 1.0
_MOST_ENDING = 100
"""Operations that may be at their last message, beside those that are open."""

_MAX_ID = 256
_KINDS = ("connection_init", "ping", "pong", "subscribe", "complete")


class _Close(Exception):
    """The connection is to be closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


async def serve_websocket(websocket: GraphSocket) -> None:
    """One WebSocket, from its handshake to its close."""
    hub = websocket.state["live"]
    offered = PROTOCOL in websocket.scope["subprotocols"]
    await websocket.accept(subprotocol=PROTOCOL if offered else None)
    hub.connections += 1
    try:
        _check_acceptable(hub, offered=offered)
        refuse_impersonation(websocket.scope["headers"])
        await _Connection(websocket, hub).serve()
    except _Close as close:
        await _send_close(websocket, close)
    except Forbidden as error:
        await _send_close(websocket, _Close(4400, str(error)))
    except WebSocketDisconnect:
        pass
    except Exception:  # the seam: the client is told by the protocol's own code, the log says why
        logger.exception("a WebSocket failed")
        await _send_close(websocket, _Close(4500, "Internal server error"))
    finally:
        hub.connections -= 1


def _check_acceptable(hub: Hub, *, offered: bool) -> None:
    if not offered:
        raise _Close(4406, "Subprotocol not acceptable")
    if hub.connections > hub.options.max_connections or hub.greeting >= hub.options.max_greeting:
        raise _Close(1013, "the server is full: try again later")


async def _send_close(websocket: GraphSocket, close: _Close) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):  # one who takes nothing does not take this either
            await websocket.close(close.code, close.reason)
    except (TimeoutError, RuntimeError, WebSocketDisconnect, OSError):
        logger.debug("a WebSocket was gone before its close frame: %d %s", close.code, close.reason)


class _Connection:
    """One socket that speaks the protocol."""

    def __init__(self, websocket: GraphSocket, hub: Hub) -> None:
        self._websocket = websocket
        self._hub = hub
        self._session: Session | None = None
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._broken: asyncio.Future[_Close] = asyncio.get_running_loop().create_future()

    async def serve(self) -> None:
        """Reads messages until the socket is to be closed. Raises _Close, WebSocketDisconnect."""
        reading = asyncio.create_task(self._read())
        try:
            await asyncio.wait((reading, self._broken), return_when=asyncio.FIRST_COMPLETED)
            if self._broken.done():
                raise self._broken.result()
            reading.result()
        finally:
            await end_tasks(reading, *self._running)
            if self._session is not None:
                self._hub.sessions.close(self._session)

    async def _read(self) -> None:
        self._hub.greeting += 1
        try:
            async with asyncio.timeout(self._hub.options.init_seconds):
                while self._session is None:
                    await self._handle(read_message(await self._receive()))
        except TimeoutError:
            raise _Close(4408, "Connection initialisation timeout") from None
        finally:
            self._hub.greeting -= 1
        watching = asyncio.create_task(self._watch_session(self._session))
        try:
            while True:
                await self._handle(read_message(await self._receive()))
        finally:
            await end_tasks(watching)

    async def _receive(self) -> str:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        if text is None:
            raise _Close(4400, "Invalid message received: messages are text")
        most = self._hub.grounds.limits.body
        if len(text) > most:
            raise _Close(4400, f"Invalid message received: a message has {most:,} characters at most")
        return str(text)

    async def _handle(self, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "connection_init":
                await self._init(message.get("payload") or {})
            case "ping":
                payload = {"payload": message["payload"]} if message.get("payload") is not None else {}
                await self._send(orjson.dumps({"type": "pong", **payload}).decode())
            case "subscribe":
                self._subscribe(message["id"], message["payload"])
                await self._wait_for_backlog()
            case "complete":
                task = self._operations.pop(message["id"], None)
                if task is not None:
                    task.cancel()
            case _:
                pass  # a pong, which may come unasked

    async def _init(self, payload: Mapping[str, Any]) -> None:
        if self._session is not None:
            raise _Close(4429, "Too many initialisation requests")
        authorization = payload.get("Authorization", payload.get("authorization"))
        try:
            given = authorization if isinstance(authorization, str) else None
            self._session = await self._hub.sessions.open(read_credential(self._websocket, given))
            note_principal(self._websocket, self._session.principal)
        except (Unauthenticated, Forbidden) as error:
            logger.info("a WebSocket was refused: %s", error)
            raise _Close(4403, "Forbidden") from None
        except (IdentityUnavailable, TooManyRequests) as error:
            raise _Close(1013, str(error)) from None
        await self._send('{"type":"connection_ack"}')

    def _subscribe(self, name: str, payload: Mapping[str, Any]) -> None:
        if self._session is None:
            raise _Close(4401, "Unauthorized")
        if name in self._operations:
            raise _Close(4409, f"Subscriber for {name} already exists")
        task = asyncio.create_task(self._run(self._session, name, payload), name="operation over WebSocket")
        self._operations[name] = task
        self._running.add(task)
        task.add_done_callback(lambda done: self._forget(name, done))

    async def _wait_for_backlog(self) -> None:
        """Reads on once not too many operations wait to say that they were refused, or are over, to a slow client."""
        while len(self._running) > self._hub.options.max_operations_a_connection + _MOST_ENDING:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    def _forget(self, name: str, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if self._operations.get(name) is task:
            del self._operations[name]
        error = None if task.cancelled() else task.exception()
        if error is None or self._broken.done() or isinstance(error, WebSocketDisconnect | OSError):
            return
        if not isinstance(error, _Close):
            logger.error("an operation over WebSocket failed", exc_info=error)
            error = _Close(4500, "Internal server error")
        self._broken.set_result(error)

    async def _run(self, session: Session, name: str, payload: Mapping[str, Any]) -> None:
        """One operation, from `subscribe` to the `complete` or `error` that is its last message."""
        if (connection := current_request()) is not None:
            begin_request(replace(connection, operation=None, cost=None))
        head = f'{{"id":{orjson.dumps(name).decode()},"type":'
        try:
            operation = build_operation(self._websocket.state["documents"].complete(payload), self._websocket.headers)
            with spanning_operation(operation.query):
                async with aclosing(self._hub.stream(session, operation)) as results:
                    async for text in results:
                        await self._send(f'{head}"next","payload":{text}}}')
            last = f'{head}"complete"}}'
        except Refused as error:
            last = f'{head}"error","payload":{_dump_error(str(error), error.code)}}}'
        except Rejected as rejected:
            last = f'{head}"error","payload":{orjson.dumps(rejected.errors).decode()}}}'
        except Ended as ended:
            last = f'{head}"error","payload":{_dump_error(ended.ending.message, ended.ending.code)}}}'
        self._operations.pop(name, None)  # before the last message: the client may use the id again when it has that
        await self._send(last)

    async def _send(self, text: str) -> None:
        seconds = self._hub.options.stall_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._websocket.send({"type": "websocket.send", "text": text})
        except TimeoutError:
            raise _Close(1013, f"too slow: nothing was taken for {seconds:g} s, start again") from None

    async def _watch_session(self, session: Session) -> None:
        """Closes the socket once the session ends.

        Operations get no last message: a client that has one to come back for connects again, and renews its token.
        """
        await session.wait_ended()
        if session.ending is not None and not self._broken.done():
            self._broken.set_result(_Close(session.ending.close_code, session.ending.message))


def read_message(text: str) -> Mapping[str, Any]:
    """A message of the protocol, in its form. Raises _Close (4400)."""
    try:
        message = orjson.loads(text)
        orjson.dumps(message)
    except orjson.JSONDecodeError:
        raise _invalid("it is not JSON") from None
    except TypeError:  # what can be read can be nested deeper than what can be written, and a pong is
        raise _invalid("it is nested too deeply") from None
    if not isinstance(message, dict):
        raise _invalid("it is not a JSON object")
    kind, payload, name = message.get("type"), message.get("payload"), message.get("id")
    if kind not in _KINDS:
        raise _invalid(f"its `type` is none of {', '.join(_KINDS)}")
    if payload is not None and not isinstance(payload, dict):
        raise _invalid(f"the `payload` of {kind} is not an object")
    if kind in ("subscribe", "complete") and not (isinstance(name, str) and 0 < len(name) <= _MAX_ID):
        raise _invalid(f"the `id` of {kind} is not a string of 1 to {_MAX_ID} characters")
    if kind == "subscribe" and payload is None:
        raise _invalid("subscribe has no `payload`")
    return message


def _invalid(problem: str) -> _Close:
    return _Close(4400, f"Invalid message received: {problem}")


def _dump_error(message: str, code: Code) -> str:
    return orjson.dumps([{"message": message, "extensions": {"code": code.value}}]).decode()
