"""Tokens that are not ours, by the word of the host cluster: the `IdentitySource` that is asked last.

An answer is kept for seconds, one that says no for fewer; all who come with one token wait for one question. While the
host can't be asked nobody is refused for it: they are told so, and to try again.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable

import msgspec
from msgspec import Struct

from auth.errors import IdentityUnavailable, Unauthenticated
from auth.identity import Identity
from auth.tokens import MAX_TOKEN_CHARACTERS, read_algorithm
from fleet.aio.lru import Lru
from fleet.model.errors import FleetError
from fleet.model.unreadable import UNREADABLE
from fleet.ports import Connection, Reviewing

MAX_REVIEWED = 4_096
MAX_STRANGERS = 16
"""Questions at once about tokens that the host has not vouched for lately: whoever sends any tokens waits for these."""
MAX_WAITING = 256
REFUSED_SECONDS = 2.0
_UNASKED = "the host cluster, which may know whose token this is, can't be asked"


class _Answer(Struct, frozen=True):
    """Until when (monotonic seconds) it counts; without an identity the host takes the token for nobody's."""

    until: float
    identity: Identity | None


class _Times(Struct, frozen=True):
    """Of a JWT's claims; both may be missing, as in those of a service account's Secret."""

    iat: float | None = None
    exp: float | None = None


class ReviewedTokens:
    """`find_host` raises ClusterError where the host can't be asked. `kept` and `timeout` are in seconds."""

    def __init__(
        self, reviewing: Reviewing, find_host: Callable[[], Connection], *, kept: float, timeout: float
    ) -> None:
        self._reviewing = reviewing
        self._find_host = find_host
        self._kept = kept
        self._timeout = timeout
        self._answers: Lru[bytes, _Answer] = Lru(MAX_REVIEWED)
        self._refused: Lru[bytes, _Answer] = Lru(MAX_REVIEWED)  # apart: whoever makes tokens up drives out nobody's
        self._asking: dict[bytes, asyncio.Task[_Answer]] = {}
        self._strangers = asyncio.Semaphore(MAX_STRANGERS)
        self.problem: str | None = None

    def knows(self, token: str) -> bool:
        """All that is not in the form of our own."""
        return read_algorithm(token) != "HS256"

    async def load(self, token: str) -> Identity:
        """Who the token is for. Raises Unauthenticated, IdentityUnavailable."""
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise Unauthenticated("token is malformed")
        key, now = hashlib.sha256(token.encode()).digest(), time.monotonic()
        answer = self._answers.get(key) or self._refused.get(key)
        if answer is None or answer.until <= now:
            try:
                async with asyncio.timeout(self._timeout):
                    answer = await asyncio.shield(self._asking.get(key) or self._begin(key, token, answer))
            except TimeoutError as error:
                raise IdentityUnavailable(f"{_UNASKED}: no answer within {self._timeout:g} s") from error
        if answer.identity is None:
            raise Unauthenticated("this token is neither one of this server's nor one that the host cluster takes")
        if answer.identity.expires_at is not None and answer.identity.expires_at <= time.time():
            raise Unauthenticated("Token is expired")
        return answer.identity

    def _begin(self, key: bytes, token: str, before: _Answer | None) -> "asyncio.Task[_Answer]":
        """The question, which goes on when whoever asked it first is gone."""
        is_stranger = before is None or before.identity is None
        if is_stranger and len(self._asking) >= MAX_WAITING:
            raise IdentityUnavailable(f"{_UNASKED}: so many tokens wait for it already, try again")
        task = self._asking[key] = asyncio.create_task(self._ask(key, token, is_stranger=is_stranger))
        task.add_done_callback(lambda done: self._end(key, done))
        return task

    def _end(self, key: bytes, task: "asyncio.Task[_Answer]") -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # who waited for it may be gone

    async def _ask(self, key: bytes, token: str, *, is_stranger: bool) -> _Answer:
        if not is_stranger:
            return await self._review(key, token)
        async with self._strangers:
            return await self._review(key, token)

    async def _review(self, key: bytes, token: str) -> _Answer:
        try:
            user = await self._reviewing.review(self._find_host(), token)
        except FleetError as error:
            self.problem = f"{_UNASKED}: {error}"
            raise IdentityUnavailable(self.problem) from error
        self.problem = None
        now = time.monotonic()
        if user is None:
            answer = _Answer(now + min(REFUSED_SECONDS, self._kept), None)
            self._answers.discard(key)
            self._refused.put(key, answer)
            return answer
        times = _read_times(token)
        # One that says no time of issue is ended where it was made; a sign-out here does not reach it.
        issued_at = time.time() if times.iat is None else times.iat
        answer = _Answer(now + self._kept, Identity(user.name, user.groups, issued_at, times.exp, is_person=False))
        self._answers.put(key, answer)
        return answer


def _read_times(token: str) -> _Times:
    """What a JWT says of itself, which the host has verified; nothing of any other token."""
    parts = token.split(".")
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(claims, type=_Times)
    except (IndexError, *UNREADABLE):
        return _Times()
