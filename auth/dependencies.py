"""How a FastAPI route learns who calls."""

from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from auth.authenticator import Authenticator
from auth.principal import Principal


async def get_principal(connection: HTTPConnection) -> Principal:
    """The caller. Raises Unauthenticated, which the application answers with 401 and `WWW-Authenticate: Bearer`."""
    authenticator = cast("Authenticator", connection.state.authenticator)
    return await authenticator.authenticate(connection.headers.get("authorization"))


CurrentPrincipal = Annotated[Principal, Depends(get_principal)]
"""The parameter type of a route that only an authenticated caller may call."""
