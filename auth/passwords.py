"""Passwords: argon2id (RFC 9106), never computed on the event loop.

The portals ask for a token before each of their calls: a password that was right a moment ago is known again by a keyed
hash, so that it costs no argon2. What is wrong costs one each time, and a hash that the users file replaced counts for
nothing: it is part of what is hashed.

Addresses take turns at the threads, so that one that never stops to ask delays the others by the checks that run.
"""

import asyncio
import hmac
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from auth.errors import TooManyLogins
from fleet.aio.fair import FairPlaces, Full
from fleet.aio.lru import Lru

THREADS = 2
MAX_WAITING = 128
MAX_WAITING_OF_AN_ADDRESS = 32
MAX_PASSWORD_CHARACTERS = 1024
KNOWN_SECONDS = 60.0
"""How long a password is known again, from its last argon2."""
MAX_KNOWN = 1024

# OWASP's first choice for argon2id: 19 MiB, two passes, one lane; some 20 ms of one core.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)


def hash_password(password: str, salt: bytes | None = None) -> str:
    """The argon2id hash in its PHC string format, with a salt of its own unless one of 16 bytes is given.

    Takes milliseconds: call it in a thread, or in a command.
    """
    return _HASHER.hash(_as_bytes(password), salt=salt)


def is_password_hash(text: str) -> bool:
    """Whether the text is an argon2id hash in PHC string format."""
    if not text.isascii():
        return False
    try:
        return _HASHER.check_needs_rehash(text) in (True, False) and text.startswith("$argon2id$")
    except InvalidHashError:
        return False


class Passwords:
    """Checks passwords in a few threads of its own, with back-pressure: beyond a bound of waiting checks it refuses."""

    def __init__(self, threads: ThreadPoolExecutor, known_seconds: float = KNOWN_SECONDS) -> None:
        self._threads = threads
        self._places = FairPlaces(THREADS, MAX_WAITING, MAX_WAITING_OF_AN_ADDRESS)
        self._known_seconds = known_seconds
        self._key = secrets.token_bytes(32)  # of this process: what is remembered is worth nothing elsewhere
        self.known: Lru[str, bytes] = Lru(MAX_KNOWN)
        self._nobody = hash_password("")

    @property
    def waiting(self) -> int:
        """How many checks wait for a thread."""
        return len(self._places)

    async def matches(
        self,
        password_hash: str | None,
        password: str,
        *,
        address: str = "",
        stand_in: str | None = None,
        on_wrong: Callable[[], None] = lambda: None,
    ) -> bool:
        """Whether the password has this hash; None (no such user) is False after the time that `stand_in` takes.

        What is cancelled while it waits is not checked; what is being checked calls `on_wrong` even if nobody waits for
        it any more. Raises TooManyLogins.
        """
        checked = password_hash or stand_in or self._nobody
        keyed = self._hash_keyed(checked, password)
        if hmac.compare_digest(self.known.get(checked) or b"", keyed) and password_hash is not None:
            return True
        try:
            await self._places.take(address)
        except Full as error:
            raise TooManyLogins from error
        loop = asyncio.get_running_loop()
        try:
            running = loop.run_in_executor(self._threads, _verify, checked, password)
        except RuntimeError:  # no thread is to be had
            self._places.release(address)
            raise

        def settle(done: "asyncio.Future[bool]") -> None:
            # The thread was at it until now, whether or not anybody still waits for what it found.
            self._places.release(address)
            if password_hash is None or not done.result():
                on_wrong()

        running.add_done_callback(settle)
        if not await asyncio.shield(running) or password_hash is None:
            return False
        self.known.put(password_hash, keyed)
        loop.call_later(self._known_seconds, self.known.discard, password_hash)
        return True

    def _hash_keyed(self, password_hash: str, password: str) -> bytes:
        return hmac.digest(self._key, password_hash.encode() + b"\0" + _as_bytes(password), "sha256")


@contextmanager
def open_passwords() -> Iterator[Passwords]:
    """The threads that passwords are checked in; leaving waits for the checks that run."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="argon2") as threads:
        yield Passwords(threads)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, _as_bytes(password))
    except (VerificationError, InvalidHashError):
        return False


def _as_bytes(password: str) -> bytes:
    # JSON can carry a lone surrogate, which plain UTF-8 refuses with an exception.
    return password.encode("utf-8", "surrogatepass")
