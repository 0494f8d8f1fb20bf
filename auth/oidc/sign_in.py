"""The sign-in at an issuer: authorization code with PKCE (RFC 7636), and its renewal by a refresh token."""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from urllib.parse import urlencode

from msgspec import Struct

from auth.errors import AuthError
from auth.oidc.calls import Document, call
from auth.oidc.errors import IssuerFailed
from auth.oidc.issuer import Issuer

_USEFUL_SCOPES = ("profile", "email", "groups", "offline_access")


class SignInRefused(AuthError):
    """The issuer gives no token for this code or refresh token: sign in anew. The message is its own."""


class Grant(Struct, frozen=True):
    """What an issuer gave: an ID token, and where it is willing to renew it a refresh token."""

    id_token: str
    refresh_token: str | None = None

    def __repr__(self) -> str:
        """Without the tokens."""
        return "Grant()"


class Asking(Struct, frozen=True):
    """What is known of a sign-in to whoever began it: proves that a code is an answer to it."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> "Asking":
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def select_scope(issuer: Issuer, document: Document) -> str:
    """What is asked for: the configured scope, else what is useful of what the issuer says that it has."""
    supported = document.get("scopes_supported")
    known = supported if isinstance(supported, list) else []
    return issuer.scope or " ".join(["openid", *(scope for scope in _USEFUL_SCOPES if scope in known)])


def build_authorization_url(issuer: Issuer, document: Document, redirect_uri: str, asking: Asking) -> str:
    """Where a browser begins. Raises IssuerInvalid where that is nowhere to go."""
    endpoint = issuer.check_url(document.get("authorization_endpoint"), f"authorization_endpoint of {issuer.url}")
    scope = select_scope(issuer, document)
    asked = {
        "response_type": "code",
        "client_id": issuer.audiences[0],
        "redirect_uri": redirect_uri,
        "scope": scope,
        "state": asking.state,
        "nonce": asking.nonce,
        "code_challenge": asking.challenge,
        "code_challenge_method": "S256",
    }
    if "offline_access" in scope.split():
        asked["prompt"] = (
            "consent"  # without, it may be left out of what is given (OpenID Connect Core 1.0, section 11)
        )
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"


def redeem(issuer: Issuer, document: Document, form: Mapping[str, str]) -> Grant:
    """What the issuer gives for a code or a refresh token. Blocks. Raises SignInRefused, IssuerFailed."""
    endpoint = document.get("token_endpoint")
    if not isinstance(endpoint, str):
        raise IssuerFailed(f"the document of issuer {issuer.url} names no token_endpoint")
    status, answer = call(issuer, endpoint, urlencode({"client_id": issuer.audiences[0], **form}).encode())
    if 400 <= status < 500:
        said = answer.get("error_description") or answer.get("error") or status
        raise SignInRefused(f"{issuer.url} refuses the sign-in: {str(said)[:300]}")
    id_token, refresh_token = answer.get("id_token"), answer.get("refresh_token", form.get("refresh_token"))
    if status != 200 or not isinstance(id_token, str) or not isinstance(refresh_token, str | None):
        raise IssuerFailed(f"{endpoint} answers {status} and no ID token")
    return Grant(id_token, refresh_token)
