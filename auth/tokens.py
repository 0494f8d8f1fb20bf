"""Tokens of our own: JSON Web Tokens (RFC 7519), HS256, with exactly the claims `user`, `iat` and `exp`.

A renewed one has `auth_time` too, as OpenID Connect names the time when the password was given.
"""

import hmac
import time
from typing import Any

import jwt
from msgspec import Struct

from auth.errors import Unauthenticated
from fleet.aio.lru import Lru

ALGORITHM = "HS256"
MAX_TOKEN_CHARACTERS = 8192
MAX_VERIFIED = 1_024
"""Tokens that are remembered as verified: a signature that was right stays right, only its time has to be looked at."""

MAX_SIGNED = 64
"""Tokens that are handed out again within their second: what they say is the same, and so is the signature."""

_SHORTEST_KEY_THAT_PYJWT_TAKES_QUIETLY = 32


class Claims(Struct, frozen=True):
    """What a valid token says. Times are in Unix seconds; `signed_in_at` is when the password was given."""

    user: str
    expires_at: float
    signed_in_at: float


class Tokens:
    """Signs and verifies tokens with one key. `lifetime` is in seconds."""

    def __init__(self, key: bytes, lifetime: int = 3600) -> None:
        # HMAC pads a short key with zero bytes itself (RFC 2104, section 2), so the signature is that of the key as it
        # was given; PyJWT would write a warning about its length at every call. Settings warn once, at the start.
        self._key = key.ljust(_SHORTEST_KEY_THAT_PYJWT_TAKES_QUIETLY, b"\0")
        self._lifetime = lifetime
        self._verified: Lru[str, Claims] = Lru(MAX_VERIFIED)
        self._signed: Lru[tuple[str, int, int | None], str] = Lru(MAX_SIGNED)

    def sign(self, user: str, signed_in_at: int | None = None) -> str:
        """A token for the user, valid from now on for the lifetime; `signed_in_at` where the password came earlier."""
        now = int(time.time())
        token = self._signed.get((user, now, signed_in_at))
        if token is None:
            claims = {"user": user, "iat": now, "exp": now + self._lifetime}
            earlier = {} if signed_in_at is None else {"auth_time": signed_in_at}
            token = jwt.encode(claims | earlier, self._key, algorithm=ALGORITHM)
            self._signed.put((user, now, signed_in_at), token)
        return token

    def number(self, text: str) -> int:
        """A number that is always the same for a text, and that nobody without the key can tell."""
        return int.from_bytes(hmac.digest(self._key, b"number\0" + text.encode("utf-8", "surrogatepass"), "sha256")[:8])

    def verify(self, token: str) -> Claims:
        """The claims of a token that counts. Raises Unauthenticated with the reason.

        Only HS256 counts, `exp` must be there, and a time of issue in the future is refused without leeway.
        """
        known = self._verified.get(token)
        if known is not None and known.expires_at > time.time():
            return known
        claims = self._verify(token)
        self._verified.put(token, claims)
        return claims

    def _verify(self, token: str) -> Claims:
        if token.count(".") != 2 or len(token) > MAX_TOKEN_CHARACTERS:
            raise Unauthenticated("token contains an invalid number of segments")
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM], options={"require": ["exp", "user"]})
        except (jwt.InvalidTokenError, OverflowError) as error:
            raise Unauthenticated(_reason(error, token)) from error
        return _claims_of(claims)


def bearer_token(authorization: str | None) -> str:
    """The token of an `Authorization` header (RFC 6750). Raises Unauthenticated when there is none of that form."""
    if not authorization:
        raise Unauthenticated("Required authorization token not found")
    fields = authorization.split()
    if len(fields) != 2 or fields[0].lower() != "bearer":
        raise Unauthenticated("Authorization header format must be Bearer {token}")
    return fields[1]


def _claims_of(claims: dict[str, Any]) -> Claims:
    user, expires_at = claims["user"], claims["exp"]
    if not isinstance(user, str) or not isinstance(expires_at, int | float):
        raise Unauthenticated("token is malformed")
    signed_in_at = claims.get("auth_time", claims.get("iat"))
    if not isinstance(signed_in_at, int | float):
        signed_in_at = 0
    return Claims(user=user, expires_at=float(expires_at), signed_in_at=float(signed_in_at))


def _reason(error: Exception, token: str) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "Token is expired"
        case jwt.ImmatureSignatureError():
            return "Token is not valid yet" if "nbf" in str(error) else "Token used before issued"
        case jwt.InvalidSignatureError():
            return "signature is invalid"
        case jwt.InvalidAlgorithmError():
            algorithm = str(jwt.get_unverified_header(token).get("alg"))
            return f"Expected {ALGORITHM} signing method but token specified {algorithm[:20]}"
        case jwt.MissingRequiredClaimError():
            return f"Token has no claim {error.claim}"
        case _:
            return "token is malformed"
