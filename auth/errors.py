"""What can go wrong when somebody proves who they are.

    AuthError
    ├── Unauthenticated      no token, or one that does not count: sign in (again)
    ├── InvalidCredentials   name and password do not belong together; which of the two is wrong is never said
    ├── TooManyLogins        too many wrong passwords, or too many that wait: try again after `retry_after` seconds
    └── FileInvalid          the users file or the tokens file can't be used as it is: mend the entries it names

That an authenticated caller may not do something is `fleet.model.errors.Forbidden`; that nobody can say now who calls,
`IdentityUnavailable`, is a FleetError as well: no reason to sign in again.
"""

import math

from fleet.model.errors import Busy


class AuthError(Exception):
    """Anything `auth` reports; `str()` is safe to show to the caller."""


class Unauthenticated(AuthError):
    """The credential is missing or does not count. The messages are those yesterday's clients know."""


class InvalidCredentials(AuthError):
    """Name and password do not belong together; which of the two is wrong is never said.

    `user` is whose password was wrong, for the audit log; None where nobody has the name, which may be a password.
    """

    def __init__(self, user: str | None = None) -> None:
        super().__init__("invalid_credentials")
        self.user = user


class TooManyLogins(AuthError):
    """The password was not looked at, and would be after `retry_after` seconds, whole ones."""

    def __init__(self, retry_after: float = 1.0) -> None:
        super().__init__("too_many_logins")
        self.retry_after = max(1, math.ceil(retry_after))


class FileInvalid(AuthError):
    """A file is missing, unreadable, wrong or can't be written; the message names it, the entry and the field."""


class IdentityUnavailable(Busy):
    """Whoever vouches for the caller can't be asked now, and what was known does not do: try again."""
