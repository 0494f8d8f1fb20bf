"""How a route learns who calls."""

from typing import TypedDict, TypeVar

from starlette.requests import HTTPConnection

from auth.authenticator import Authenticator
from auth.impersonation import refuse_impersonation
from auth.principal import Principal


class AuthState(TypedDict):
    """What `get_principal` reads of the lifespan's state."""

    authenticator: Authenticator


S = TypeVar("S", bound=AuthState)


async def get_principal(connection: HTTPConnection[S]) -> Principal:
    """The caller, who asks for nobody else. Raises Unauthenticated, Forbidden."""
    headers = connection.scope["headers"]
    credential = next((value.decode("latin-1") for name, value in headers if name == b"authorization"), None)
    principal = await connection.state["authenticator"].authenticate(credential)
    refuse_impersonation(headers)
    return principal
