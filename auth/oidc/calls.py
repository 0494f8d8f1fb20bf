"""Calls of an issuer's endpoints: blocking, bounded in time and size, and to nowhere else than was said.

`urllib` does for what is asked every few minutes, in a thread: it is there already, and takes the proxies of the
environment, by which an issuer on the internet may be reached.
"""

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from auth.oidc.errors import IssuerFailed, IssuerInvalid
from auth.oidc.issuer import Issuer

CALL_SECONDS = 5.0
MAX_ANSWER = 512 * 1024
_PIECE = 64 * 1024

Document = Mapping[str, Any]


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        return None  # keys and codes come from where the configuration says


def call(issuer: Issuer, url: str, data: bytes | None = None) -> tuple[int, Document]:
    """Status and JSON object of a GET, or of a POST of a form. Raises IssuerFailed, IssuerInvalid."""
    issuer.check_url(url, f"a URL of issuer {issuer.url}")
    until = time.monotonic() + CALL_SECONDS
    request = Request(url, data, {"Accept": "application/json"})  # noqa: S310 - http and https alone, by check_url
    opener = build_opener(_NoRedirects, HTTPSHandler(context=_build_context(issuer)))
    try:
        with opener.open(request, timeout=CALL_SECONDS) as answer:
            status, body = answer.status, _read(answer, url, until)
    except HTTPError as error:
        with error:
            status, body = error.code, _read(error, url, until)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise IssuerFailed(
            f"{url} can't be reached: {getattr(error, 'reason', error) or type(error).__name__}"
        ) from error
    return status, _parse(status, body, url)


def load_discovery(issuer: Issuer) -> Document:
    """The issuer's discovery document, which names the same issuer. Raises IssuerFailed, IssuerInvalid."""
    document = _get(issuer, issuer.document_url)
    if document.get("issuer") != issuer.url:
        raise IssuerFailed(
            f"{issuer.document_url} is of issuer {str(document.get('issuer'))[:200]!r}, must be of {issuer.url!r}"
        )
    return document


def load_key_set(issuer: Issuer) -> tuple[Document, list[Any]]:
    """Its document, and the keys it publishes as they are written (RFC 7517). Raises IssuerFailed, IssuerInvalid."""
    document = load_discovery(issuer)
    url = document.get("jwks_uri")
    keys = _get(issuer, issuer.check_url(url, f"jwks_uri of issuer {issuer.url}")).get("keys")
    if not isinstance(keys, list):
        raise IssuerFailed(f"{url} has no list `keys`")
    return document, keys


def _get(issuer: Issuer, url: str) -> Document:
    status, document = call(issuer, url)
    if status != 200:
        raise IssuerFailed(f"{url} answers {status}, must answer 200")
    return document


def _parse(status: int, body: bytes, url: str) -> Document:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        if status == 200:
            raise IssuerFailed(f"{url} does not answer JSON") from error
        content = {}
    if isinstance(content, dict):
        return content
    raise IssuerFailed(f"{url} does not answer a JSON object")


def _read(answer: Any, url: str, until: float) -> bytes:
    pieces, size = [], 0
    try:
        while piece := answer.read1(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_ANSWER:
                raise IssuerFailed(f"{url} answers more than {MAX_ANSWER} bytes")
            if time.monotonic() > until:
                raise IssuerFailed(f"{url} did not answer within {CALL_SECONDS:g} s")
    except (OSError, http.client.HTTPException) as error:
        raise IssuerFailed(f"{url} broke off: {error}") from error
    return b"".join(pieces)


def _build_context(issuer: Issuer) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=issuer.certificate_authority)
    except (ssl.SSLError, ValueError) as error:
        raise IssuerInvalid(f"the certificate authority of issuer {issuer.url} is not PEM: {error}") from error
