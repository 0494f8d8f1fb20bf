"""One request passed on to a member and its answer passed back, both while they are still arriving."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import msgspec
import yaml
from msgspec import Struct
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fleet.errors import ClusterAnswerInvalid, ClusterError, ClusterTimeout, ClusterUnauthorized, FleetError
from fleet.ports import Connection, StreamedAnswer
from rest_compat.errors import BodyTooLarge, BodyTooSlow, ErrorShape, build_status_answer
from rest_compat.headers import RawHeaders, build_caller_headers, build_member_headers, build_reshaped_headers
from rest_compat.probe import probe

MAX_DELETE_BODY = 1024 * 1024
MAX_YAML_OPTIONS = 64 * 1024
MAX_ERROR_BODY = 1024 * 1024
MAX_HELD = 1024 * 1024
"""Of an answer to a client that breaks on half of one: held back until it is whole, or known to be larger."""

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
_BINARY_OPTIONS = frozenset({"application/vnd.kubernetes.protobuf", "application/cbor"})
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_log = logging.getLogger(__name__)


class MemberCall(Struct, frozen=True):
    """What to ask of a member. `timeout` bounds the wait for the answer's head, `idle_timeout` a silence in it (s).

    `foreign` says that the answer is not the API server's own (it is a service or kubelet behind its proxy), and that
    its errors are to be left alone. `with_agent` passes the caller's User-Agent on. `check_member` raises ClusterError
    once the member is known to be ill: asked now and then while an answer may be silent for as long as it likes.
    """

    connection: Connection
    method: str
    path: str
    query: str
    headers: RawHeaders
    timeout: float
    idle_timeout: float | None
    foreign: bool
    with_agent: bool
    check_member: Callable[[], object]


class PassThrough(Response):
    """The member's answer as the response. When the caller goes away, the member's work ends with it."""

    def __init__(self, call: MemberCall, shape: ErrorShape) -> None:
        super().__init__()
        self._call = call
        self._shape = shape
        self._started = False
        self._deadline = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relays until the answer ends or the caller is gone."""
        caller = _Caller(receive)
        relay = asyncio.ensure_future(self._relay(caller, scope, send))
        gone = asyncio.ensure_future(caller.wait_gone())
        tasks = [relay, gone]
        if self._call.idle_timeout is None:
            tasks.append(asyncio.ensure_future(probe(self._call.check_member)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if relay.cancelled():
            # The member fell ill: cut off, a client asks again from where it was.
            for error in (task.exception() for task in tasks if not task.cancelled()):
                if isinstance(error, FleetError):
                    await self._fail(error, scope, receive, send)
        elif not caller.is_gone:
            relay.result()

    async def _relay(self, caller: "_Caller", scope: Scope, send: Send) -> None:
        call = self._call
        self._deadline = asyncio.get_running_loop().time() + call.timeout
        try:
            body = await self._read_body(caller)
            async with call.connection.open_stream(
                call.method,
                call.path,
                query=call.query,
                headers=build_member_headers(call.headers, with_body=body is not None, with_agent=call.with_agent),
                body=body,
                timeout=call.timeout,
                idle_timeout=call.idle_timeout,
            ) as answer:
                await self._answer(answer, send)
        except FleetError as error:
            await self._fail(error, scope, caller.receive, send)

    async def _fail(self, error: FleetError, scope: Scope, receive: Receive, send: Send) -> None:
        if self._started:
            # Ending here, without the last chunk, is how the caller learns that the answer is not whole.
            _log.warning("%s %s: the answer was cut off: %s", self._call.method, self._call.path, error)
            return
        await build_status_answer(self._shape, error)(scope, receive, send)

    async def _read_body(self, caller: "_Caller") -> bytes | AsyncIterator[bytes] | None:
        if self._call.method in _BODILESS or not _has_body(self._call.headers):
            caller.ignore_body()
            return None
        if self._call.method != "DELETE":
            return caller.chunks()
        body = await caller.read_whole(MAX_DELETE_BODY, self._call.idle_timeout or self._call.timeout)
        return body if is_delete_options(_content_type(self._call.headers), body) else None

    async def _answer(self, answer: StreamedAnswer, send: Send) -> None:
        if answer.status < 200:
            # A switch of protocols that was not asked for: what follows is no HTTP.
            cluster = self._call.connection.cluster
            raise ClusterAnswerInvalid(cluster, f"cluster {cluster} answered {answer.status}, which nobody asked for")
        if answer.status == 401 and not self._call.foreign:
            # Passed on, it would tell the caller that its own token is bad.
            cluster = self._call.connection.cluster
            raise ClusterUnauthorized(cluster, f"cluster {cluster} refused this server's credential (401)")
        if answer.status >= 400 and not self._call.foreign and self._call.method != "HEAD":
            await self._answer_error(answer, send)
            return
        chunks = answer.chunks()
        held = b""
        if self._shape.widened and self._call.idle_timeout is not None:
            held = await self._hold(chunks)
        await self._start(answer.status, build_caller_headers(answer.headers), send)
        if held:
            await send({"type": "http.response.body", "body": held, "more_body": True})
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _hold(self, chunks: AsyncIterator[bytes]) -> bytes:
        """The body where it is small, else its beginning, by the call's deadline. Raises ClusterError."""
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout_at(self._deadline):
                async for chunk in chunks:
                    pieces.append(chunk)
                    size += len(chunk)
                    if size >= MAX_HELD:
                        break
        except TimeoutError as error:
            cluster = self._call.connection.cluster
            message = f"cluster {cluster}: its answer was not whole within {self._call.timeout:g} s"
            raise ClusterTimeout(cluster, message) from error
        return b"".join(pieces)

    async def _answer_error(self, answer: StreamedAnswer, send: Send) -> None:
        cluster = self._call.connection.cluster
        body = b""
        try:
            async with asyncio.timeout_at(self._deadline):
                async for chunk in answer.chunks():
                    body += chunk
                    if len(body) > MAX_ERROR_BODY:
                        raise ClusterError(cluster, f"cluster {cluster}: its answer {answer.status} has no end")
        except TimeoutError as error:
            message = f"cluster {cluster}: its answer {answer.status} was not whole within {self._call.timeout:g} s"
            raise ClusterTimeout(cluster, message) from error
        headers = dict(answer.headers)
        reshaped = self._shape.reshape(answer.status, headers.get("content-type", ""), body)
        if reshaped is None:
            await self._start(answer.status, build_caller_headers(answer.headers), send)
        else:
            body = reshaped
            await self._start(answer.status, build_reshaped_headers(answer.headers, body), send)
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _start(self, status: int, headers: RawHeaders, send: Send) -> None:
        self._started = True
        await send({"type": "http.response.start", "status": status, "headers": headers})


class _Caller:
    """The caller's end of the connection: its body while it arrives, then the news that it is gone."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.is_gone = False
        self._body_done = asyncio.Event()

    def ignore_body(self) -> None:
        self._body_done.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises ClientDisconnect, so that half a body is never taken for a whole one."""
        try:
            while True:
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                if message.get("body"):
                    yield message["body"]
                if not message.get("more_body"):
                    return
        finally:
            self._body_done.set()

    async def read_whole(self, limit: int, timeout: float) -> bytes:
        """The body in one piece, within `timeout` seconds. Raises BodyTooLarge, BodyTooSlow, ClientDisconnect."""
        body = b""
        try:
            async with asyncio.timeout(timeout):
                async for chunk in self.chunks():
                    body += chunk
                    if len(body) > limit:
                        raise BodyTooLarge(f"the body of a DELETE may have {limit} bytes at most")
        except TimeoutError as error:
            raise BodyTooSlow(f"the body of a DELETE must arrive within {timeout:g} s") from error
        return body

    async def wait_gone(self) -> None:
        """Returns when the caller has closed its connection."""
        await self._body_done.wait()
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.is_gone = True


def is_delete_options(content_type: str, body: bytes) -> bool:
    """Whether a DELETE's body is meant for the API server.

    `omcpctl delete -f` sends the manifest of what is to be deleted, which an API server would refuse as DeleteOptions.
    """
    if content_type in _BINARY_OPTIONS:
        return True
    try:
        options = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        options = _load_yaml(body)
    return isinstance(options, dict) and options.get("kind", "DeleteOptions") == "DeleteOptions"


def _load_yaml(body: bytes) -> object:
    # Options in YAML are a few lines; a manifest can be long, and YAML is slow to read.
    if len(body) > MAX_YAML_OPTIONS:
        return None
    try:
        return yaml.load(body, Loader=_YAML_LOADER)  # noqa: S506 - the safe loader, in C where there is one
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _has_body(headers: RawHeaders) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)


def _content_type(headers: RawHeaders) -> str:
    value = next((value for name, value in headers if name == b"content-type"), b"")
    return value.decode("latin-1").partition(";")[0].strip().lower()
