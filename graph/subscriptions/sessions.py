"""Who is connected, and whether they still may: tokens expire and users lose rights while a subscription runs."""

import asyncio
import logging
import time
from collections import Counter
from math import inf
from typing import Protocol

from msgspec.structs import replace

from auth.certificates import Credential
from auth.errors import Unauthenticated
from auth.principal import Principal
from fleet.aio.rates import Refusals
from fleet.model.errors import FleetError, Forbidden, TooManyRequests
from fleet.model.visibility import Scope
from graph.errors import Code
from graph.subscriptions.mailbox import Ending

logger = logging.getLogger(__name__)

RECHECK_SECONDS = 2.0
"""How often every connection's credential is looked at again."""

EXPIRED = Ending(Code.UNAUTHENTICATED, "token expired")
CHANGED = Ending(Code.FORBIDDEN, "your rights have changed: subscribe again")
SHUT_DOWN = Ending(Code.INTERNAL, "the server is shutting down: subscribe again", 1012)

MOST_WAITED = 1.0
"""Seconds that a connection too many waits to be told so; it counts meanwhile as one that has not said who it is."""

_CHECKS_A_TURN = 50


class Authenticates(Protocol):
    """The part of the authenticator that is needed here."""

    async def authenticate(self, credential: Credential) -> Principal:
        """The caller. Raises Unauthenticated."""


class Grants(Protocol):
    """The part of the federation that is needed here: what members let a caller see, where they decide."""

    async def grant(self, scope: Scope) -> Scope:
        """The scope with it. Raises Forbidden."""

    def grant_now(self, scope: Scope) -> Scope:
        """The same at once, by what is known. Raises Forbidden."""


class Session:
    """One connection of one caller. `ending` says why the server ends it, None while it does not."""

    def __init__(self, principal: Principal, credential: Credential) -> None:
        self.principal = principal
        self.credential = credential
        self.operations = 0
        self.ending: Ending | None = None
        self._ended = asyncio.Event()

    def end(self, ending: Ending) -> None:
        """Ends it; the first reason counts."""
        if self.ending is None:
            self.ending = ending
            self._ended.set()

    async def wait_ended(self) -> None:
        await self._ended.wait()


class Sessions:
    """All connections. `run` looks after them until it is cancelled."""

    def __init__(
        self,
        authenticator: Authenticates,
        grants: Grants,
        *,
        recheck_seconds: float = RECHECK_SECONDS,
        most_of_one: float = inf,
    ) -> None:
        self._authenticator = authenticator
        self._grants = grants
        self._most_of_one = most_of_one
        self._counts: Counter[str] = Counter()
        self._refusals = Refusals()
        self._recheck_seconds = recheck_seconds
        self._sessions: dict[Session, asyncio.TimerHandle | None] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    async def open(self, credential: Credential) -> Session:
        """A session of the caller. Raises Unauthenticated, Forbidden, TooManyRequests."""
        principal = await self._authenticator.authenticate(credential)
        if principal.scope.granted is not None:
            principal = replace(principal, scope=await self._grants.grant(principal.scope))
        session, user = Session(principal, credential), principal.name
        if self._counts[user] >= self._most_of_one:
            await self._refusals.wait(user, MOST_WAITED)
            raise TooManyRequests(f"a user has {self._most_of_one:,} connections at once at most: close one first")
        self._counts[user] += 1
        self._sessions[session] = self._set_timer(session)
        return session

    def close(self, session: Session) -> None:
        if session not in self._sessions:
            return
        user = session.principal.name
        self._counts[user] -= 1
        if not self._counts[user]:
            del self._counts[user]
        timer = self._sessions.pop(session)
        if timer is not None:
            timer.cancel()

    def end_all(self, ending: Ending) -> None:
        for session in tuple(self._sessions):
            session.end(ending)

    async def run(self) -> None:
        """Asks again and again who each caller is by now."""
        while True:
            await asyncio.sleep(self._recheck_seconds)
            for number, session in enumerate(tuple(self._sessions), start=1):
                if session.ending is None:
                    await self._recheck(session)
                if number % _CHECKS_A_TURN == 0:
                    await asyncio.sleep(0)

    async def _recheck(self, session: Session) -> None:
        before = session.principal
        try:
            now = await self._authenticator.authenticate(session.credential)
            if now.scope.granted is not None:
                now = replace(now, scope=self._grants.grant_now(now.scope))
        except Unauthenticated as error:
            expired = before.expires_at is not None and before.expires_at <= time.time()
            session.end(EXPIRED if expired else Ending(Code.UNAUTHENTICATED, str(error)))
            return
        except Forbidden as error:
            session.end(Ending(Code.FORBIDDEN, str(error)))
            return
        except FleetError as error:  # whoever knows can't be asked now: asked again at the next turn
            logger.warning("the rights of %s can't be looked at: %s", before.name, error)
            return
        if (now.name, now.scope, now.groups) != (before.name, before.scope, before.groups):
            session.end(CHANGED)

    def _set_timer(self, session: Session) -> asyncio.TimerHandle | None:
        expires_at = session.principal.expires_at
        if expires_at is None:
            return None
        left = max(0.0, expires_at - time.time())
        return asyncio.get_running_loop().call_later(left, session.end, EXPIRED)
