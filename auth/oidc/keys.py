"""The keys that an issuer publishes, followed as it exchanges them."""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import base64_to_int
from msgspec import Struct

from auth.oidc.calls import Document, load_key_set
from auth.oidc.errors import IssuerFailed, IssuerInvalid
from auth.oidc.issuer import Issuer
from fleet.aio.backoff import Backoff, jittered
from fleet.aio.complaints import Complaints
from fleet.aio.detached import Detached

SMALLEST_RSA_BITS, LARGEST_RSA_BITS = 2048, 8192
MAX_KEYS = 100

_log = logging.getLogger(__name__)

Key = RSAKey | ECKey


class KeyTimes(Struct, frozen=True):
    """How often keys are asked for, in seconds: all `refresh`, and for an unknown one, but not within `least`.

    An answer may take `answer` seconds, of which a token's caller waits `wait`.
    """

    refresh: float = 300.0
    least: float = 5.0
    answer: float = 15.0
    wait: float = 5.0
    first_backoff: float = 1.0
    last_backoff: float = 60.0


class IssuerKeys:
    """The keys of one issuer by their ids; those of the last answer stay while the issuer does not answer."""

    def __init__(
        self,
        issuer: Issuer,
        times: KeyTimes | None = None,
    ) -> None:
        self.issuer = issuer
        self.document: Document | None = None
        self.problem: str | None = None
        self._times = times or KeyTimes()
        self._known: Mapping[str | None, tuple[Key, ...]] | None = None
        self._thumbprints: frozenset[str] = frozenset()
        self._asking = Detached(self._times.answer)
        self._asked_at = float("-inf")
        self._wanted = asyncio.Event()
        self._round: asyncio.Future[None] | None = None
        self._complaints = Complaints()

    @property
    def are_known(self) -> bool:
        """Whether the issuer ever answered."""
        return self._known is not None

    @property
    def are_sure(self) -> bool:
        """Whether a key that is not among them is none: the issuer answered, and is not being asked again."""
        return self.problem is None and self._round is None

    def find(self, kid: str | None) -> tuple[Key, ...]:
        """The keys of that id; for a token that names none, all."""
        known = self._known or {}
        return known.get(kid, ()) if kid is not None else tuple(key for keys in known.values() for key in keys)

    def publishes(self, thumbprint: str) -> bool:
        """Whether the key is among those of the last answer."""
        return thumbprint in self._thumbprints

    def ask(self) -> "asyncio.Future[None] | None":
        """What is done when the issuer was asked again; None where that was within `least` seconds."""
        if self._round is None:
            if self.are_known and time.monotonic() - self._asked_at < self._times.least:
                return None
            self._round = asyncio.get_running_loop().create_future()
            self._wanted.set()
        return self._round

    async def renew(self) -> None:
        """Waits until the issuer was asked again, if it is."""
        if (asked := self.ask()) is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._times.wait):
                    await asyncio.shield(asked)

    async def run(self) -> NoReturn:
        """Asks again and again."""
        backoff = Backoff(self._times.first_backoff, self._times.last_backoff)
        while True:
            self._wanted.clear()
            self._asked_at = time.monotonic()
            self._round = self._round or asyncio.get_running_loop().create_future()
            try:
                delay = await self._ask(backoff)
            finally:
                done, self._round = self._round, None
                done.set_result(None)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._wanted.wait()

    async def _ask(self, backoff: Backoff) -> float:
        """One question, and the seconds until the next."""
        try:
            document, written = await self._asking.run(lambda: load_key_set(self.issuer))
            self._known, self.document = import_keys(written), document
            self._thumbprints = frozenset(key.thumbprint() for key in self.find(None))
        except (IssuerFailed, IssuerInvalid, TimeoutError) as error:
            self.problem = f"issuer {self.issuer.url}: {str(error) or 'does not answer'}"
            if self._complaints.is_due("keys", type(error).__name__):
                held = "its known keys count" if self.are_known else "nobody can sign in by it"
                _log.error("%s; until it answers %s", self.problem, held)
            return backoff.next_delay()
        if self._complaints.settle("keys"):
            _log.info("issuer %s answers again", self.issuer.url)
        self.problem = None
        backoff.reset()
        return jittered(self._times.refresh)


def import_keys(written: Iterable[Any]) -> Mapping[str | None, tuple[Key, ...]]:
    """The keys by their ids that tokens may be signed with; others are left out. Raises IssuerFailed without any."""
    found: dict[str | None, tuple[Key, ...]] = {}
    for entry in list(written)[:MAX_KEYS]:
        key = _import_key(entry)
        if key is not None:
            found[key.kid] = (*found.get(key.kid, ()), key)
    if not found:
        sizes = f"{SMALLEST_RSA_BITS} to {LARGEST_RSA_BITS} bits"
        raise IssuerFailed(f"it publishes no key to sign with that counts, which are EC, and RSA of {sizes}")
    return found


def _import_key(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    known = {name: value for name, value in entry.items() if name not in ("key_ops", "x5c")}
    try:
        match entry.get("kty"):
            case "RSA":
                # The size is looked at first: the library writes a warning about each small key.
                bits = base64_to_int(known["n"]).bit_length()
                return RSAKey.import_key(known) if SMALLEST_RSA_BITS <= bits <= LARGEST_RSA_BITS else None
            case "EC":
                curve = ECKey.import_key(known)
                return curve if curve.public_key else None
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        _log.debug("a key that can't be used: %s", error)
    return None
