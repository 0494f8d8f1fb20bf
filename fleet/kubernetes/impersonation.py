"""Calls that a member carries out as somebody else's.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
"""

from contextlib import AbstractAsyncContextManager

from msgspec.structs import replace

from fleet.model.errors import Forbidden
from fleet.model.rights import Subject
from fleet.ports import Answer, Call, Connection, StreamedAnswer, Upgraded

_SYSTEM = "system:"
_MOST_BYTES = 32 * 1024
"""Of all headers; a group may be named by its whole path in a directory."""


def check_subject(subject: Subject) -> Subject:
    """The subject as members may be told of it: without groups of the clusters' own. Raises Forbidden.

    Names that begin with `system:` are those of the clusters' own parts, which no credential of this server stands for.
    """
    if subject.user.startswith(_SYSTEM) or not _can_be_sent(subject.user):
        raise Forbidden(
            f"user {subject.user[:100]!r} can't be named to a cluster: a name begins with nothing blank and not with "
            f"`{_SYSTEM}`, which names a cluster's own parts, and holds no control characters"
        )
    groups = tuple(name for name in subject.groups if not name.startswith(_SYSTEM) and _can_be_sent(name))
    checked = Subject(subject.user, groups)
    if len(build_impersonation(checked)) > _MOST_BYTES:
        raise Forbidden(f"user {subject.user[:100]!r} has more groups than can be named to a cluster: {len(groups)}")
    return checked


def _can_be_sent(name: str) -> bool:
    # What an HTTP server would trim or cut is another name than the one that was authenticated.
    return bool(name) and name == name.strip() and name.isprintable()


def build_impersonation(subject: Subject) -> bytes:
    """The header lines of a checked subject."""
    lines = [("User", subject.user), *(("Group", name) for name in subject.groups)]
    return "".join(f"Impersonate-{kind}: {name}\r\n" for kind, name in lines).encode()


class ImpersonatedConnection:
    """The `Connection` port as a subject: each call is that subject's, and nothing is closed."""

    def __init__(self, connection: Connection, subject: Subject) -> None:
        self.cluster = connection.cluster
        self.own = connection
        self._subject = subject

    async def request(self, call: Call) -> Answer:
        return await self.own.request(replace(call, acting_for=self._subject))

    def open_stream(self, call: Call) -> AbstractAsyncContextManager[StreamedAnswer]:
        return self.own.open_stream(replace(call, acting_for=self._subject))

    def open_upgrade(self, call: Call) -> AbstractAsyncContextManager[Upgraded]:
        return self.own.open_upgrade(replace(call, acting_for=self._subject))

    async def close(self) -> None:
        """Nothing: the connection is another's."""


def as_server(connection: Connection) -> Connection:
    """The connection under this server's own credential."""
    return connection.own if isinstance(connection, ImpersonatedConnection) else connection
