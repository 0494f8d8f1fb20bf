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

from fleet.model.errors import ClusterAnswerInvalid, ClusterError, ClusterTimeout, ClusterUnauthorized, FleetError
from fleet.ports import Connection, StreamedAnswer
from rest_compat.disconnect import Caller, Watch
from rest_compat.errors import ErrorShape, build_status_answer
from rest_compat.headers import RawHeaders, build_reshaped_headers, select_caller_headers, select_member_headers

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
        # Not Response's own: it would encode headers that nobody sends.
        self.background = None
        self._call = call
        self._shape = shape
        self._started = False
        self._deadline = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relays until the answer ends, the caller is gone or the member fell ill."""
        caller = Caller(receive)
        # Where silence is bounded, silence tells; else only what is known of the member.
        watch = Watch(caller, self._call.check_member if self._call.idle_timeout is None else None)
        try:
            await self._relay(caller, send)
        except asyncio.CancelledError:
            if not watch.was_interrupted():
                raise
            # The member fell ill, or nobody is there to answer.
            if isinstance(watch.error, FleetError):
                await self._fail(watch.error, scope, receive, send)
            elif watch.error is not None:
                raise watch.error from None
        except ClientDisconnect:
            pass  # there is nobody to answer
        except FleetError as error:
            await self._fail(error, scope, receive, send)
        finally:
            watch.stop()

    async def _relay(self, caller: Caller, send: Send) -> None:
        call = self._call
        self._deadline = asyncio.get_running_loop().time() + call.timeout
        body = await self._read_body(caller)
        async with call.connection.open_stream(
            call.method,
            call.path,
            query=call.query,
            headers=select_member_headers(call.headers, with_body=body is not None, with_agent=call.with_agent),
            body=body,
            timeout=call.timeout,
            idle_timeout=call.idle_timeout,
        ) as answer:
            await self._answer(answer, send)

    async def _fail(self, error: FleetError, scope: Scope, receive: Receive, send: Send) -> None:
        if self._started:
            # Ending here, without the last chunk, is how the caller learns that the answer is not whole.
            _log.warning("%s %s: the answer was cut off: %s", self._call.method, self._call.path, error)
            return
        await build_status_answer(self._shape, error)(scope, receive, send)

    async def _read_body(self, caller: Caller) -> bytes | AsyncIterator[bytes] | None:
        if self._call.method in _BODILESS or not _has_body(self._call.headers):
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
        held, more = b"", True
        if self._shape.widened and self._call.idle_timeout is not None:
            held, more = await self._hold(answer)
        await self._start(answer.status, select_caller_headers(answer.raw_headers, answer.status), send)
        if held or not more:
            await send({"type": "http.response.body", "body": held, "more_body": more})
        while more:
            chunk = await answer.read()
            more = bool(chunk) and not answer.is_whole
            await send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def _hold(self, answer: StreamedAnswer) -> tuple[bytes, bool]:
        """The body where it is small, else its beginning, by the call's deadline; and whether more follows.

        Raises ClusterError.
        """
        pieces: list[bytes] = []
        size, more = 0, True
        try:
            async with asyncio.timeout_at(self._deadline):
                while more and size < MAX_HELD:
                    pieces.append(await answer.read())
                    size += len(pieces[-1])
                    more = bool(pieces[-1]) and not answer.is_whole
        except TimeoutError as error:
            cluster = self._call.connection.cluster
            message = f"cluster {cluster}: its answer was not whole within {self._call.timeout:g} s"
            raise ClusterTimeout(cluster, message) from error
        return b"".join(pieces), more

    async def _answer_error(self, answer: StreamedAnswer, send: Send) -> None:
        cluster = self._call.connection.cluster
        body = b""
        try:
            async with asyncio.timeout_at(self._deadline):
                while chunk := await answer.read():
                    body += chunk
                    if len(body) > MAX_ERROR_BODY:
                        raise ClusterError(cluster, f"cluster {cluster}: its answer {answer.status} has no end")
        except TimeoutError as error:
            message = f"cluster {cluster}: its answer {answer.status} was not whole within {self._call.timeout:g} s"
            raise ClusterTimeout(cluster, message) from error
        headers = dict(answer.headers)
        reshaped = self._shape.reshape(answer.status, headers.get("content-type", ""), body)
        if reshaped is None:
            await self._start(answer.status, select_caller_headers(answer.raw_headers, answer.status), send)
        else:
            body = reshaped
            await self._start(answer.status, build_reshaped_headers(answer.headers, body), send)
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _start(self, status: int, headers: RawHeaders, send: Send) -> None:
        self._started = True
        await send({"type": "http.response.start", "status": status, "headers": headers})


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
