"""Passwords: argon2id (RFC 9106), never computed on the event loop."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from auth.errors import TooManyLogins

THREADS = 2
MAX_WAITING = 128
MAX_PASSWORD_CHARACTERS = 1024

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

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._waiting = 0
        self._nobody = hash_password("")

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether the password has this hash; None (no such user) takes as long and is False. Raises TooManyLogins."""
        if self._waiting >= MAX_WAITING:
            raise TooManyLogins
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            right = await loop.run_in_executor(self._threads, _verify, password_hash or self._nobody, password)
        finally:
            self._waiting -= 1
        return right and password_hash is not None


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
