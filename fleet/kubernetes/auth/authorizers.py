"""Ways to prove oneself to a member: each gives the Authorization header of the next request."""

import asyncio
import base64
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from fleet.aio.detached import Detached
from fleet.aio.files import read_bytes


class CredentialError(Exception):
    """The credential can't be read; the message says what to mend and holds no secret."""


class Authorizer(Protocol):
    """Gives the Authorization header, fresh for each request."""

    async def authorization(self) -> str | None:
        """The header's value, None where TLS or nothing proves who we are. Raises CredentialError."""

    def forget(self) -> None:
        """Drops what is remembered, because the member refused it (401)."""


@dataclass(frozen=True)
class FixedAuthorizer:
    """A header that never changes, or none."""

    value: str | None = field(default=None, repr=False)

    async def authorization(self) -> str | None:
        return self.value

    def forget(self) -> None:
        """Nothing to forget: there is no other."""


ANONYMOUS = FixedAuthorizer()


def bearer(token: str) -> FixedAuthorizer:
    return FixedAuthorizer(f"Bearer {token}")


def basic(username: str, password: str) -> FixedAuthorizer:
    """HTTP basic authentication (RFC 7617), UTF-8."""
    return FixedAuthorizer("Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii"))


MAX_TOKEN_BYTES = 1024 * 1024
TOKEN_SECONDS = 1.0
"""How long a call to a member waits for a new token while the last one is there."""


class TokenFileAuthorizer:
    """A token in a file that is replaced from time to time, such as a pod's bound service-account token.

    Read again after `max_age` seconds or a refusal; when reading fails then, the last token is used on, or the `first`.
    """

    def __init__(self, path: Path, *, first: str | None = None, max_age: float = 10.0) -> None:
        self._path = path
        self._max_age = max_age
        self._value = None if first is None else f"Bearer {first}"
        self._read_at = float("-inf")
        self._reading = Detached(TOKEN_SECONDS)

    async def authorization(self) -> str | None:
        now = asyncio.get_running_loop().time()
        if self._value is None or now - self._read_at >= self._max_age:
            self._read_at = now  # first: others use the last one meanwhile
            try:
                token = await self._reading.run(partial(load_token, self._path))
            except (CredentialError, TimeoutError) as error:
                if self._value is None:
                    raise CredentialError(str(error) or f"the token file {self._path} does not answer") from error
            else:
                self._value = f"Bearer {token}"
        return self._value

    def forget(self) -> None:
        self._read_at = float("-inf")


def load_token(path: Path) -> str:
    """The token in a file. Raises CredentialError."""
    try:
        token = read_bytes(path, MAX_TOKEN_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise CredentialError(f"the token file {path} can't be read: {reason}") from error
    if not is_token(token):
        raise CredentialError(f"the token file {path} is empty or holds more than one token")
    return token


def is_token(text: str) -> bool:
    """Whether a text can stand in a header: printable ASCII without spaces."""
    return bool(text) and all("!" <= character <= "~" for character in text)
