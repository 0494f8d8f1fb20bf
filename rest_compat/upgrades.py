"""Streams that leave HTTP: exec, attach, port-forward and watches over WebSocket, exec and port-forward over SPDY.

The two ends agree on everything (subprotocol, extensions, heartbeats) through this server, which passes bytes both
ways and reads none of them: `v4.channel.k8s.io`, `v5.channel.k8s.io` and `SPDY/3.1+portforward.k8s.io` are all the same
here, each side waits for the other as TCP does, and an exit status arrives as the member sent it. Only the handshake is
ours: the caller's credential is taken out of it and this server's put in.
"""

import asyncio
import base64
import binascii
import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auth.errors import AuthError
from fleet.model.errors import ClusterError, FleetError
from fleet.ports import Headers, Upgraded
from rest_compat.errors import NotServed, ServerStopping, build_status_answer
from rest_compat.headers import build_reshaped_headers, find_header, select_caller_headers, select_member_headers
from rest_compat.last_words import Frames
from rest_compat.open_streams import OpenStreams, wait_turn
from rest_compat.passthrough import LAST_WORD_SECONDS, MemberCall
from rest_compat.request import Request

EXTENSION = "openmcp.takeover"
"""The key of the scope's extension that makes a connection the route's own: an object of `Taken`'s shape."""

PROTOCOLS = frozenset({b"websocket", b"spdy/3.1"})

_PATHS = re.compile(rb"/(?:api|apis|clusters)(?:[/?]|$)")
# How browsers say a token, since they can set no header; the API server's own convention.
_TOKEN_PREFIX = "base64url.bearer.authorization.k8s.io."  # noqa: S105 - a name, no secret

_SPOKEN = {"websocket": b"sec-websocket-protocol", "spdy/3.1": b"x-stream-protocol-version"}

_log = logging.getLogger(__name__)


class Taken(Protocol):
    """A caller's connection, from the answer 101 on."""

    async def read(self) -> bytes:
        """Bytes as they arrive; empty when the caller is gone."""

    async def write(self, data: bytes) -> None:
        """Sends, and waits while the caller does not read. Raises OSError when it is gone."""


def takes_upgrades(target: bytes) -> bool:
    """Whether upgrades of this request target, as it was sent, are passed on to members."""
    return _PATHS.match(target) is not None


def read_upgrade(request: Request) -> str | None:
    """The protocol that the caller wants to switch to and a member may know; None for an ordinary request."""
    upgrade = request.headers.get("upgrade", "")
    offered = "upgrade" in _split_names(value.lower() for value in request.headers.getlist("connection"))
    return upgrade if offered and upgrade.lower().encode("latin-1") in PROTOCOLS else None


def read_subprotocol_token(request: Request) -> str | None:
    """The Authorization header of a browser's WebSocket, which says its token among the subprotocols; or None."""
    for name in _split_names(request.headers.getlist("sec-websocket-protocol")):
        if name.startswith(_TOKEN_PREFIX):
            encoded = name.removeprefix(_TOKEN_PREFIX)
            try:
                return f"Bearer {base64.urlsafe_b64decode(encoded + '=' * (-len(encoded) % 4)).decode('ascii')}"
            except (binascii.Error, ValueError):
                return "Bearer -"
    return None


class Upgrade(Response):
    """The member's stream as the answer. Whichever end leaves, the other is closed."""

    def __init__(self, member: MemberCall, user: str, streams: OpenStreams) -> None:
        super().__init__()
        self._member = member
        self._user = user
        self._streams = streams
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Opens the stream and relays until one end is gone."""
        try:
            taken: Taken | None = scope.get("extensions", {}).get(EXTENSION)
            if taken is None:
                raise NotServed("the HTTP server that this application runs on does not pass on streams")
            with self._streams.hold(self._user):
                await self._open(taken, scope, receive, send)
        except (FleetError, AuthError) as error:
            if self._started:
                _log.warning(
                    "%s %s: the stream was cut off: %s", self._member.call.method, self._member.call.path, error
                )
                return
            await wait_turn(error)
            await build_status_answer(scope, self._member.shape, error)(scope, receive, send)

    async def _open(self, taken: Taken, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._member.connection.open_upgrade(self._member.call) as upgraded:
            if upgraded.status != 101:
                await self._refuse(upgraded)(scope, receive, send)
                return
            self._started = True
            headers = select_caller_headers(upgraded.headers, 101)
            await send({"type": "http.response.start", "status": 101, "headers": headers})
            protocol = self._member.call.upgrade.lower()
            spoken = find_header(upgraded.headers, _SPOKEN[protocol]) or ""
            await _relay(taken, upgraded, self._member, Frames(protocol, spoken))

    def _refuse(self, upgraded: Upgraded) -> Response:
        """The member's answer where it does not switch: its error, or what it said in plain HTTP."""
        member, status = self._member, upgraded.status
        member.refuse_unauthorized(status)
        reshaped = None
        if status >= 400 and not member.foreign:
            reshaped = member.reshape(status, upgraded.headers, upgraded.body)
        response = Response(upgraded.body if reshaped is None else reshaped, status)
        if reshaped is None:
            kept = [pair for pair in upgraded.headers if pair[0] != b"content-length"]
            length = (b"content-length", str(len(response.body)).encode())
            response.raw_headers = [*select_caller_headers(kept, status), length]
        else:
            response.raw_headers = [*build_reshaped_headers(upgraded.headers, reshaped)]
        return response


async def _relay(taken: Taken, upgraded: Upgraded, member: MemberCall, frames: Frames) -> None:
    """Both ways at once until the first end of either.

    Raises ClusterError where the member is at fault; AuthError, Forbidden or NotFound once the caller may not have it.
    """
    up = asyncio.ensure_future(_send_up(taken, upgraded))
    down = asyncio.ensure_future(_send_down(taken, upgraded, frames))
    tasks = (up, down, *(asyncio.ensure_future(ending()) for ending in member.endings))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if task.cancelled() or (error := task.exception()) is None:
            continue
        if isinstance(error, ServerStopping):
            await _say_last(taken, upgraded, frames, error)
        elif not isinstance(error, OSError):
            raise error
        # One end reset its connection: the other is closed as after a plain end.
        _log.debug("%s %s: %s", member.call.method, member.call.path, type(error).__name__)


async def _send_up(taken: Taken, member: Upgraded) -> None:
    """Until the caller is gone. A member that no longer reads may still have said something: then its end ends all."""
    broken = False
    while data := await taken.read():
        try:
            if not broken:
                await member.write(data)
        except OSError:
            broken = True


async def _send_down(taken: Taken, member: Upgraded, frames: Frames) -> None:
    while data := await member.read():
        frames.feed(data)
        await taken.write(data)


async def _say_last(taken: Taken, member: Upgraded, frames: Frames, error: ServerStopping) -> None:
    """Why it ends, behind the rest of the frame that the member is at, to a caller who takes it in time."""
    with suppress(TimeoutError, OSError, ClusterError):
        async with asyncio.timeout(LAST_WORD_SECONDS):
            while not frames.at_end and (data := await member.read()):
                await taken.write(data[: frames.feed(data, one=True)])
            if frames.at_end:
                await taken.write(frames.build(error))


def select_upgrade_headers(raw: Headers) -> Headers:
    """The caller's headers for a member; a token among the subprotocols stays here."""
    headers = select_member_headers(raw, with_body=False, with_agent=True)
    named = b"sec-websocket-protocol"
    protocols = _split_names(value.decode("latin-1") for name, value in headers if name == named)
    kept = [name for name in protocols if not name.startswith(_TOKEN_PREFIX)]
    others = [pair for pair in headers if pair[0] != named]
    return [*others, (named, ", ".join(kept).encode("latin-1"))] if kept else others


def _split_names(values: Iterable[str]) -> list[str]:
    return [name.strip() for value in values for name in value.split(",") if name.strip()]
