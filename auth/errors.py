"""What can go wrong when somebody proves who they are.

    AuthError
    ├── Unauthenticated      no token, or one that does not count: sign in (again)
    ├── InvalidCredentials   name and password do not belong together; which of the two is wrong is never said
    ├── TooManyLogins        more sign-ins are waiting than are worth waiting for: try again shortly
    └── UsersFileInvalid     the users file can't be used as it is: mend the entries it names

That an authenticated caller may not do something is `fleet.model.errors.Forbidden`.
"""


class AuthError(Exception):
    """Anything `auth` reports; `str()` is safe to show to the caller."""


class Unauthenticated(AuthError):
    """The credential is missing or does not count. The messages are those yesterday's clients know."""


class InvalidCredentials(AuthError):
    """Name and password do not belong together; which of the two is wrong is never said."""

    def __init__(self) -> None:
        super().__init__("invalid_credentials")


class TooManyLogins(AuthError):
    """The queue of passwords to be checked is full."""

    def __init__(self) -> None:
        super().__init__("too_many_logins")


class UsersFileInvalid(AuthError):
    """The users file is missing, unreadable or wrong; the message names file, user and field."""
