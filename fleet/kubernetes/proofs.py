"""What an API server and this server prove to each other, and how long that counts: for whoever tries a configuration."""

import asyncio
from datetime import datetime

from msgspec import Struct

from fleet.kubernetes.connection import HttpConnection
from fleet.kubernetes.errors import FOREIGN
from fleet.kubernetes.http1.dial import dial
from fleet.model.claims import Claims, read_claims
from fleet.ports import Connection


class Proofs(Struct, frozen=True):
    """`certificate_ends_at` is None in plain HTTP; `claims` are empty where no JWT is shown to the API server."""

    certificate_ends_at: datetime | None = None
    claims: Claims = Claims()


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
    return Proofs(_read_end(certificate), read_claims((shown or "").removeprefix("Bearer ")))


def _read_end(certificate: bytes | None) -> datetime | None:
    if not certificate:
        return None
    from cryptography.x509 import load_der_x509_certificate  # a library that serving need not wait for

    return load_der_x509_certificate(certificate).not_valid_after_utc
