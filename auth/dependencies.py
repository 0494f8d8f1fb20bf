"""How a FastAPI route learns who calls."""

from typing import Annotated, TypedDict

from fastapi import Depends
from starlette.requests import HTTPConnection

from auth.authenticator import Authenticator
from auth.principal import Principal


class AuthState(TypedDict):
    """What `CurrentPrincipal` reads of the lifespan's state."""

    authenticator: Authenticator


class _Connection(HTTPConnection[AuthState]):
    """A class of its own, since FastAPI finds a connection parameter by `issubclass`."""


async def get_principal(connection: _Connection) -> Principal:
    """The caller. Raises Unauthenticated, which the application answers with 401 and `WWW-Authenticate: Bearer`."""
    return await connection.state["authenticator"].authenticate(connection.headers.get("authorization"))


CurrentPrincipal = Annotated[Principal, Depends(get_principal)]
"""The parameter type of a route that only an authenticated caller may call."""
