"""How a route learns who calls."""

from typing import Any, NotRequired, TypedDict, TypeVar

from starlette.requests import HTTPConnection

from auth.authenticator import Authenticator
from auth.certificates import ClientCertificate, Credential, is_of_another_page
from auth.impersonation import refuse_impersonation
from auth.principal import Principal
from fleet.aio.admission import Admission
from fleet.aio.request_context import note_user


class AuthState(TypedDict):
    """What is read here of the lifespan's state, and of the connection's: a certificate, where it has one."""

    authenticator: Authenticator
    client_certificate: NotRequired[ClientCertificate]
    admission: NotRequired[Admission]


S = TypeVar("S", bound=AuthState)


def note_principal(connection: HTTPConnection[Any], principal: Principal) -> Principal:
    """From here on it is known whose request this is: to errors, which say more to some, and to logs."""
    connection.scope["principal"] = principal
    note_user(principal.name)
    return principal


async def get_principal(connection: HTTPConnection[S]) -> Principal:
    """The caller, who asks for nobody else. Raises Unauthenticated, Forbidden, TooManyRequests."""
    caller = await connection.state["authenticator"].authenticate(read_credential(connection))
    principal = note_principal(connection, caller)
    refuse_impersonation(connection.scope["headers"])
    await check_rate(connection, principal)
    return principal


def read_credential(connection: HTTPConnection[Any], authorization: str | None = None) -> Credential:
    """The connection's certificate, which goes before any token as with an API server; else the Authorization.

    A page of another site does not get to use a certificate.
    """
    headers = connection.scope["headers"]
    certificate: ClientCertificate | None = connection.scope["state"].get("client_certificate")
    if certificate is not None and not is_of_another_page(headers):
        return certificate
    return authorization or next((value.decode("latin-1") for name, value in headers if name == b"authorization"), None)


async def check_rate(connection: HTTPConnection[S], principal: Principal) -> None:
    """Raises TooManyRequests where the caller sends too many a second."""
    admission: Admission | None = connection.scope["state"].get("admission")
    if admission is not None and not admission.rate.take(principal.name):
        await admission.rate.refuse(principal.name)
