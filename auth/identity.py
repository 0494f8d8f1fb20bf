"""Callers who signed in elsewhere: who they are by another's word, and what the users file gives them for it."""

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from auth.errors import Unauthenticated
from auth.principal import Principal
from auth.users import User
from fleet.model.errors import Forbidden
from fleet.model.visibility import Role, Scope


class Identity(Struct, frozen=True):
    """Who somebody else says that the caller is. Times are in Unix seconds; `expires_at` None: never."""

    name: str
    groups: tuple[str, ...] = ()
    issued_at: float = 0.0
    expires_at: float | None = None
    is_person: bool = True


class IdentitySource(Protocol):
    """Somebody else whose word counts."""

    @property
    def problem(self) -> str | None:
        """Why it can't be asked now; None while it can."""

    def knows(self, token: str) -> bool:
        """Whether this bearer token is for it to judge, by its form alone."""

    async def load(self, token: str) -> Identity:
        """Who the token is for. Raises Unauthenticated, and IdentityUnavailable where that can't be found out now."""


def admit(identity: Identity, entries: Iterable[User], default_role: Role | None = None) -> Principal:
    """The principal with what each of the entries gives; a person with the default role where there is none.

    Raises Forbidden where nothing is given, Unauthenticated where an entry says that the user was signed out since.
    """
    given = list(entries)
    if any(0 < entry.signed_out_at >= identity.issued_at for entry in given):
        raise Unauthenticated("this token or certificate was ended by a sign-out: sign in again, or get another")
    if not given and default_role is not None and identity.is_person:
        given = [User("", "", Scope(default_role))]
    if not given:
        groups = ", ".join(map(repr, identity.groups[:20])) or "none"
        raise Forbidden(
            f"you are signed in as {identity.name[:200]!r} (groups: {groups[:1000]}), to whom nothing is granted here: "
            "an entry of the users file has to name this user or one of these groups"
        )
    parts = tuple(
        Principal(identity.name, entry.scope, identity.groups, identity.expires_at, entry.writes)
        for entry in sorted(given, key=lambda entry: entry.scope.role, reverse=True)
    )
    if len(parts) == 1:
        return parts[0]
    scope = replace(parts[0].scope, also=tuple(part.scope for part in parts[1:]))
    return replace(parts[0], scope=scope, apart=parts)
