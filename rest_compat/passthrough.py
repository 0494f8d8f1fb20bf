"""One request passed on to a member and its answer passed back, both while they are still arriving."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial

from msgspec import Struct
from msgspec.structs import replace
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auth.errors import AuthError
from auth.principal import Principal
from fleet.aio.bounded import read_bounded
from fleet.aio.stopping import Stopping
from fleet.model.errors import (
    ClusterAnswerInvalid,
    ClusterError,
    ClusterTimeout,
    ClusterUnauthorized,
    FleetError,
    Forbidden,
    NotFound,
)
from fleet.model.redaction import EnvValues
from fleet.model.request_info import parse_request
from fleet.ports import Call, Connection, Headers, StreamedAnswer
from rest_compat.delete_options import is_delete_options
from rest_compat.disconnect import (
    CHECK_SECONDS,
    RIGHTS_SECONDS,
    Caller,
    DisconnectWatcher,
    Ending,
    check_repeatedly,
    read_body,
    wait_stop,
)
from rest_compat.errors import (
    ErrorShape,
    ServerStopping,
    build_deletion_status,
    build_status_answer,
    find_status,
    message_for,
    reshape_for,
)
from rest_compat.headers import (
    build_reshaped_headers,
    find_header,
    has_body,
    select_caller_headers,
    select_member_headers,
)
from rest_compat.open_streams import wait_turn
from rest_compat.redacted import RedactedAnswer

MAX_DELETE_BODY = 1024 * 1024
MAX_ERROR_BODY = 1024 * 1024
MAX_HELD = 1024 * 1024
"""Of an answer to a client that breaks on half of one: held back until it is whole, or known to be larger."""

LAST_WORD_SECONDS = 1.0
"""A caller that does not read has this long to take why it gets no more."""

BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})

_log = logging.getLogger(__name__)


class MemberCall(Struct, frozen=True):
    """A call that is passed on to a member, and how its answer is treated.

    `foreign` says that the answer is not the API server's own (it is a service or kubelet behind its proxy), and that
    its errors are to be left alone; `watches`, that it is a watch's. `check_member` raises ClusterError once the member
    is known to be ill: asked now and then while an answer may be silent for as long as it likes. `check_rights` raises
    AuthError, Forbidden or NotFound once the caller may not have the rest. `stopping` ends what has no end of its own.
    """

    caller: Principal
    connection: Connection
    call: Call
    shape: ErrorShape
    foreign: bool
    watches: bool
    check_member: Callable[[], object]
    check_rights: Callable[[], object]
    stopping: Stopping

    redacts: EnvValues | None = None
    """Which values of environment variables are hidden beside secrets; None where nothing is."""

    @property
    def endings(self) -> tuple[Ending, ...]:
        """What ends it before its time: with a bound of silence (`idle_timeout`), silence tells of the member."""
        rights = partial(check_repeatedly, self.check_rights, RIGHTS_SECONDS)
        if self.call.idle_timeout is not None:
            return (rights,)
        member = partial(check_repeatedly, self.check_member, CHECK_SECONDS)
        # What is behind the API server may well have an end, and is waited for.
        stop = () if self.foreign and not self.call.upgrade else (partial(wait_stop, self.stopping),)
        return (rights, member, *stop)

    def reshape(self, status: int, headers: Headers, body: bytes) -> bytes | None:
        """What is answered in the place of an error of the member, in JSON; None where that can go as it is."""
        return reshape_for(self.caller, self.shape, status, find_header(headers, b"content-type") or "", body)

    def refuse_unauthorized(self, status: int) -> None:
        """Raises ClusterUnauthorized for a 401 which, passed on, would tell the caller that its own token is bad."""
        if status == 401 and not self.foreign:
            cluster = self.connection.cluster
            raise ClusterUnauthorized(cluster, f"cluster {cluster} refused this server's credential (401)")


class PassThrough(Response):
    """The member's answer as the response. When the caller goes away, the member's work ends with it."""

    def __init__(self, member: MemberCall, held: AbstractContextManager[None]) -> None:
        # Not Response's own: it would encode headers that nobody sends.
        self.background = None
        self._member = member
        self._held = held
        self._started = False
        self._takes_event = False
        self._deadline = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relays until the answer ends, the caller is gone or the member fell ill."""
        caller = Caller(receive)
        watcher = DisconnectWatcher(caller, *self._member.endings)
        try:
            with self._held:
                await self._relay(caller, send)
        except asyncio.CancelledError:
            if not watcher.was_interrupted():
                raise
            # The member fell ill, the caller's right to it ended, or nobody is there to answer.
            if isinstance(watcher.error, FleetError | AuthError):
                await self._fail(watcher.error, scope, receive, send)
            elif watcher.error is not None:
                raise watcher.error from None
        except ClientDisconnect:
            pass  # there is nobody to answer
        except FleetError as error:
            await self._fail(error, scope, receive, send)
        finally:
            watcher.stop()

    async def _relay(self, caller: Caller, send: Send) -> None:
        member = self._member
        self._deadline = asyncio.get_running_loop().time() + member.call.timeout
        call = member.call if member.call.method in BODILESS else await self._take_body(caller)
        async with member.connection.open_stream(call) as streamed:
            answer: StreamedAnswer = streamed
            if member.redacts is not None and answer.status in (200, 201, 202):
                cluster = member.connection.cluster
                answer = RedactedAnswer(answer, cluster, member.redacts, watches=member.watches)
            await self._answer(answer, send)

    async def _fail(self, error: FleetError | AuthError, scope: Scope, receive: Receive, send: Send) -> None:
        await wait_turn(error)
        if self._started:
            if self._member.watches and isinstance(error, ServerStopping):
                # As an API server that stops ends it: clients go on from the version that they have seen.
                await self._end(b"", send)
                return
            if self._takes_event and isinstance(error, AuthError | Forbidden | NotFound):
                status = self._member.shape.build_status(*find_status(error), message_for(scope, error))
                await self._end(b'{"type":"ERROR","object":%b}\n' % status, send)
            # Ending here, without the last chunk, is how the caller learns that the answer is not whole.
            _log.warning("%s %s: the answer was cut off: %s", self._member.call.method, self._member.call.path, error)
            return
        await build_status_answer(scope, self._member.shape, error)(scope, receive, send)

    async def _end(self, event: bytes, send: Send) -> None:
        """Ends a watch as an API server does, for a caller who takes it in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_SECONDS):
                await send({"type": "http.response.body", "body": event, "more_body": False})

    async def _take_body(self, caller: Caller) -> Call:
        """The call with the caller's body, if there is one for the API server."""
        call = self._member.call
        if not has_body(call.headers):
            return call
        if call.method != "DELETE":
            return replace(call, body=caller.chunks())
        timeout = call.idle_timeout or call.timeout
        body = await read_body(caller.chunks(), "the body of a DELETE", MAX_DELETE_BODY, timeout)
        coded = find_header(call.headers, b"content-encoding") not in (None, "identity")
        if coded or is_delete_options(
            _content_type(call.headers), body
        ):  # what it can't read is the member's to refuse
            return replace(call, body=body)
        return replace(call, headers=select_member_headers(call.headers, with_body=False, with_agent=True))

    async def _answer(self, answer: StreamedAnswer, send: Send) -> None:
        member = self._member
        if answer.status < 200:
            # A switch of protocols that was not asked for: what follows is no HTTP.
            cluster = member.connection.cluster
            raise ClusterAnswerInvalid(cluster, f"cluster {cluster} answered {answer.status}, which nobody asked for")
        member.refuse_unauthorized(answer.status)
        if answer.status >= 400 and not member.foreign and member.call.method != "HEAD":
            await self._answer_error(answer, send)
            return
        held, more = b"", True
        if (member.shape.widened or member.shape.of_deletion) and member.call.idle_timeout is not None:
            held, more = await self._hold(answer)
        headers = select_caller_headers(answer.headers, answer.status)
        lined = (find_header(headers, b"content-type") or "").startswith("application/json")
        self._takes_event = member.watches and lined
        if member.shape.of_deletion and not more:
            info = parse_request(member.call.method, member.call.path, member.call.query)
            if (status := build_deletion_status(info, held)) is not None:
                held, headers = status, build_reshaped_headers(answer.headers, status)
        await self._start(answer.status, headers, send)
        if held or not more:
            await send({"type": "http.response.body", "body": held, "more_body": more})
        while more:
            chunk = await answer.read()
            more = bool(chunk) and not answer.is_whole
            if member.watches and chunk:
                self._takes_event = lined and chunk.endswith(b"\n")
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
            cluster = self._member.connection.cluster
            message = f"cluster {cluster}: its answer was not whole within {self._member.call.timeout:g} s"
            raise ClusterTimeout(cluster, message) from error
        return b"".join(pieces), more

    async def _answer_error(self, answer: StreamedAnswer, send: Send) -> None:
        member = self._member
        cluster = member.connection.cluster
        endless = f"cluster {cluster}: its answer {answer.status} has no end"
        try:
            async with asyncio.timeout_at(self._deadline):
                body = await read_bounded(answer.chunks(), MAX_ERROR_BODY, lambda: ClusterError(cluster, endless))
        except TimeoutError as error:
            message = f"cluster {cluster}: its answer {answer.status} was not whole within {member.call.timeout:g} s"
            raise ClusterTimeout(cluster, message) from error
        reshaped = member.reshape(answer.status, answer.headers, body)
        if reshaped is None:
            await self._start(answer.status, select_caller_headers(answer.headers, answer.status), send)
        else:
            body = reshaped
            await self._start(answer.status, build_reshaped_headers(answer.headers, body), send)
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _start(self, status: int, headers: Headers, send: Send) -> None:
        self._started = True
        await send({"type": "http.response.start", "status": status, "headers": headers})


def _content_type(headers: Headers) -> str:
    return (find_header(headers, b"content-type") or "").partition(";")[0].strip().lower()
