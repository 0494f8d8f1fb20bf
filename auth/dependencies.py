"""How a route learns who calls."""

from typing import Any, NotRequired, TypedDict, TypeVar

from starlette.requests import HTTPConnection

from auth.authenticator import Authenticator
from auth.impersonation import refuse_impersonation
from auth.principal import Principal
from fleet.aio.admission import Admission


class AuthState(TypedDict):
    """What `get_principal` reads of the lifespan's state."""

    authenticator: Authenticator
    admission: NotRequired[Admission]


S = TypeVar("S", bound=AuthState)


def note_principal(connection: HTTPConnection[Any], principal: Principal) -> Principal:
    """From here on it is known whose request this is: to errors, which say more to some."""
    connection.scope["principal"] = principal
    return principal


async def get_principal(connection: HTTPConnection[S]) -> Principal:
    """The caller, who asks for nobody else. Raises Unauthenticated, Forbidden, TooManyRequests."""
    headers = connection.scope["headers"]
    credential = next((value.decode("latin-1") for name, value in headers if name == b"authorization"), None)
    principal = note_principal(connection, await connection.state["authenticator"].authenticate(credential))
    refuse_impersonation(headers)
    await check_rate(connection, principal)
    return principal


async def check_rate(connection: HTTPConnection[S], principal: Principal) -> None:
    """Raises TooManyRequests where the caller sends too many a second."""
    admission: Admission | None = connection.scope["state"].get("admission")
    if admission is not None:
        await admission.rate.check(principal.name)
