"""Client certificates as credentials: whom one names, as Kubernetes reads it, and until when it counts."""

import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from auth.errors import Unauthenticated
from auth.identity import Identity


class ClientCertificate(Struct, frozen=True):
    """One that was verified in a handshake. `has_changed` says whether the authorities have since then."""

    identity: Identity
    has_changed: Callable[[], bool]

    def check(self) -> Identity:
        """Who the caller is. Raises Unauthenticated once the certificate counts no more."""
        if self.identity.expires_at is not None and self.identity.expires_at <= time.time():
            raise Unauthenticated("the client certificate has expired")
        if self.has_changed():
            raise Unauthenticated("the authorities of client certificates have changed: connect again")
        return self.identity


Credential = str | ClientCertificate | None
"""What a caller proves who they are with: the value of an `Authorization` header, or the connection's certificate."""


def read_identity(certificate: dict[str, Any]) -> Identity | None:
    """Whom a verified certificate names, as `ssl` decodes it: CN the user, each O a group; None without a CN."""
    subject = [pair for part in certificate.get("subject", ()) for pair in part]
    names = [value for name, value in subject if name == "commonName" and value]
    if not names:
        return None
    groups = tuple(value for name, value in subject if name == "organizationName")
    begins, ends = (ssl.cert_time_to_seconds(certificate[time]) for time in ("notBefore", "notAfter"))
    return Identity(names[-1], groups, float(begins), float(ends), is_person=False)


def is_of_another_page(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a browser says that another site's page asks: it sends the certificate along unasked.

    Sources: Fetch Metadata (`Sec-Fetch-Site`), RFC 6454 (`Origin`).
    """
    named = dict(headers)
    if named.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        return True
    origin = named.get(b"origin")
    return origin is not None and urlsplit(origin).netloc.lower() != named.get(b"host", b"").lower()
