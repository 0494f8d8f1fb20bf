"""How a FastAPI route learns who calls."""

from typing import Annotated, TypedDict

from fastapi import Depends
from starlette.requests import HTTPConnection

from auth.authenticator import Authenticator
from auth.impersonation import refuse_impersonation
from auth.principal import Principal


class AuthState(TypedDict):
    """What `CurrentPrincipal` reads of the lifespan's state."""

    authenticator: Authenticator


class _Connection(HTTPConnection[AuthState]):
    """A class of its own, since FastAPI finds a connection parameter by `issubclass`."""


async def get_principal(connection: _Connection) -> Principal:
    """The caller, who asks for nobody else. Raises Unauthenticated, Forbidden."""
    principal = await connection.state["authenticator"].authenticate(connection.headers.get("authorization"))
    refuse_impersonation(connection.scope["headers"])
    return principal


CurrentPrincipal = Annotated[Principal, Depends(get_principal)]
"""The parameter type of a route that only an authenticated caller may call."""
