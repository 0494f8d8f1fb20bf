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

from fleet.errors import ClusterError, ClusterUnauthorized, FleetError
from fleet.ports import Connection, StreamedAnswer
from rest_compat.caller import Caller, Watch
from rest_compat.errors import ErrorShape, build_status_answer
from rest_compat.headers import RawHeaders, build_reshaped_headers, select_caller_headers, select_member_headers

MAX_DELETE_BODY = 1024 * 1024
MAX_YAML_OPTIONS = 64 * 1024
MAX_ERROR_BODY = 1024 * 1024

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
        body = await caller.read_whole(MAX_DELETE_BODY)
        return body if is_delete_options(_content_type(self._call.headers), body) else None

    async def _answer(self, answer: StreamedAnswer, send: Send) -> None:
        if answer.status == 401 and not self._call.foreign:
            # Passed on, it would tell the caller that its own token is bad.
            cluster = self._call.connection.cluster
            raise ClusterUnauthorized(cluster, f"cluster {cluster} refused this server's credential (401)")
        if answer.status >= 400 and not self._call.foreign and self._call.method != "HEAD":
            await self._answer_error(answer, send)
            return
        await self._start(answer.status, select_caller_headers(answer.raw_headers, answer.status), send)
        more = True
        while more:
            chunk = await answer.read()
            more = bool(chunk) and not answer.is_whole
            await send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def _answer_error(self, answer: StreamedAnswer, send: Send) -> None:
        body = b""
        while chunk := await answer.read():
            body += chunk
            if len(body) > MAX_ERROR_BODY:
                raise ClusterError(self._call.connection.cluster, f"its answer {answer.status} has no end")
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
