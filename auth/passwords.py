"""Passwords: argon2id (RFC 9106), never computed on the event loop.

The portals ask for a token before each of their calls: a password that was right a moment ago is known again by a keyed
hash, so that it costs no argon2. What is wrong costs one each time, and a hash that the users file replaced counts for
nothing: it is part of what is hashed.
"""

import asyncio
import hmac
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from auth.errors import TooManyLogins
from fleet.aio.lru import Lru

THREADS = 2
MAX_WAITING = 128
MAX_PASSWORD_CHARACTERS = 1024
KNOWN_SECONDS = 60.0
"""How long a password is known again, from its last argon2."""
MAX_KNOWN = 1024

# OWASP's first choice for argon2id: 19 MiB, two passes, one lane; some 20 ms of one core.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)


def hash_password(password: str) -> str:
    """The argon2id hash in its PHC string format. Takes milliseconds: call it in a thread, or in a command."""
    return _HASHER.hash(_as_bytes(password))


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
        self._waiting = 0
        self._known_seconds = known_seconds
        self._key = secrets.token_bytes(32)  # of this process: what is remembered is worth nothing elsewhere
        self.known: Lru[str, bytes] = Lru(MAX_KNOWN)
        self._nobody = hash_password("")

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether the password has this hash; None (no such user) takes as long and is False. Raises TooManyLogins."""
        keyed = self._hash_keyed(password_hash or self._nobody, password)
        if hmac.compare_digest(self.known.get(password_hash or self._nobody) or b"", keyed):
            return True
        if self._waiting >= MAX_WAITING:
            raise TooManyLogins
        self._waiting += 1
        loop = asyncio.get_running_loop()
        try:
            right = await loop.run_in_executor(self._threads, _verify, password_hash or self._nobody, password)
        finally:
            self._waiting -= 1
        if not right or password_hash is None:
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
