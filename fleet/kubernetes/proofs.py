"""What an API server and this server prove to each other, and how long that counts."""

import asyncio
from datetime import datetime

from msgspec import Struct

from fleet.kubernetes.auth.authorizers import FixedAuthorizer
from fleet.kubernetes.connection import HttpConnection
from fleet.kubernetes.errors import FOREIGN
from fleet.kubernetes.http1.dial import dial
from fleet.model.claims import Claims, read_claims
from fleet.ports import Connection


class Proofs(Struct, frozen=True):
    """`certificate_ends_at` is None in plain HTTP; `claims` are empty where no JWT is shown to the API server.

    `is_renewed` where the credential is: a file that is read again, a program that is run again.
    """

    certificate_ends_at: datetime | None = None
    claims: Claims = Claims()
    is_renewed: bool = False


async def load_proofs(connection: Connection, timeout: float) -> Proofs:
    """Looks at both, with a connection of its own. Raises ClusterError."""
    if not isinstance(connection, HttpConnection):
        return Proofs()
    try:
        async with asyncio.timeout(timeout):
            dialled = await dial(connection.route, lambda _: None)
            certificate = dialled.peer_certificate
            dialled.close()
            shown = await connection.target.authorizer.authorization()
    except FOREIGN as error:
        raise connection.translate(error, timeout) from error
    is_renewed = not isinstance(connection.target.authorizer, FixedAuthorizer)
    return Proofs(_read_end(certificate), read_claims((shown or "").removeprefix("Bearer ")), is_renewed)


def _read_end(certificate: bytes | None) -> datetime | None:
    if not certificate:
        return None
    from cryptography.x509 import load_der_x509_certificate  # a library that serving need not wait for

    return load_der_x509_certificate(certificate).not_valid_after_utc
