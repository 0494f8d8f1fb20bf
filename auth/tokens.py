"""Tokens of our own: JSON Web Tokens (RFC 7519), HS256, with exactly the claims `user`, `iat` and `exp`.

A renewed one has `auth_time` too, as OpenID Connect names the time when the password was given. In the header, which is
signed as well, `kid` names the key, and `entry` says, by a hash that only the key makes, which entry of the users file
the token was given for. A token that somebody else signed with the key need have neither.
"""

import base64
import hmac
import time
from collections.abc import Sequence
from typing import Any

import jwt
import msgspec
from msgspec import Struct

from auth.errors import Unauthenticated
from fleet.aio.lru import Lru
from fleet.model.unreadable import UNREADABLE

ALGORITHM = "HS256"
MAX_TOKEN_CHARACTERS = 8192
MAX_VERIFIED = 1_024
"""Tokens that are remembered as verified: a signature that was right stays right, only its time has to be looked at."""

MAX_SIGNED = 64
"""Tokens that are handed out again within their second: what they say is the same, and so is the signature."""

LEEWAY_SECONDS = 10.0
"""By how much the clock of the replica that issued a token may be ahead."""

_OPTIONS: Any = {"require": ["exp", "user"], "verify_iat": False}
_SHORTEST_KEY_THAT_PYJWT_TAKES_QUIETLY = 32


class _Issued(Struct):
    iss: str = ""


class Claims(Struct, frozen=True):
    """What a valid token says, and the key that it was signed with.

    Times are in Unix seconds; `signed_in_at` is when the password was given.
    """

    user: str
    expires_at: float
    issued_at: float
    signed_in_at: float
    entry: str | None
    kid: str


class Tokens:
    """Signs tokens with one key, and verifies those of `others` too. `lifetime` is in seconds."""

    def __init__(self, key: bytes, lifetime: int = 3600, others: Sequence[bytes] = ()) -> None:
        # HMAC pads a short key with zero bytes itself (RFC 2104, section 2), so the signature is that of the key as it
        # was given; PyJWT would write a warning about its length at every call. Settings warn once, at the start.
        padded = [given.ljust(_SHORTEST_KEY_THAT_PYJWT_TAKES_QUIETLY, b"\0") for given in (key, *others)]
        self._keys = {_digest(given, "kid", 6): given for given in padded}
        self._kid = next(iter(self._keys))
        self._lifetime = lifetime
        self._verified: Lru[str, Claims] = Lru(MAX_VERIFIED)
        self._signed: Lru[tuple[str, str, int, int | None], str] = Lru(MAX_SIGNED)

    def sign(self, user: str, entry: str = "", signed_in_at: int | None = None) -> str:
        """A token for the user as `entry` has them, valid from now on for the lifetime.

        `signed_in_at` is for who gave the password earlier.
        """
        now = int(time.time())
        token = self._signed.get((user, entry, now, signed_in_at))
        if token is None:
            key = self._keys[self._kid]
            claims = {"user": user, "iat": now, "exp": now + self._lifetime}
            header = {"kid": self._kid, "entry": _digest(key, entry, 12)}
            earlier = {} if signed_in_at is None else {"auth_time": signed_in_at}
            token = jwt.encode(claims | earlier, key, algorithm=ALGORITHM, headers=header)
            self._signed.put((user, entry, now, signed_in_at), token)
        return token

    def is_for(self, claims: Claims, entry: str) -> bool:
        """Whether a token that counts was given for this entry; yes where it does not say."""
        return claims.entry is None or hmac.compare_digest(
            claims.entry.encode("utf-8", "surrogatepass"), _digest(self._keys[claims.kid], entry, 12).encode()
        )

    def number(self, text: str) -> int:
        """A number that is always the same for a text, and that nobody without the key can tell."""
        return int.from_bytes(base64.urlsafe_b64decode(_digest(self._keys[self._kid], f"number {text}", 6)))

    def verify(self, token: str) -> Claims:
        """The claims of a token that counts. Raises Unauthenticated with the reason.

        Only HS256 counts, `exp` must be there, and a time of issue that is further ahead than clocks differ is refused.
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
            header = jwt.get_unverified_header(token)
            kid = header.get("kid")
            # What others sign with one of the keys need not say which.
            kids = [kid] if kid in self._keys else list(self._keys)
            for number, candidate in enumerate(kids, 1):
                try:
                    claims = jwt.decode(token, self._keys[candidate], algorithms=[ALGORITHM], options=_OPTIONS)
                    break
                except jwt.InvalidSignatureError:
                    if number == len(kids):
                        raise
            return _claims_of(claims, header.get("entry"), candidate)
        except (jwt.InvalidTokenError, OverflowError, UnicodeEncodeError) as error:
            raise Unauthenticated(_reason(error, token)) from error


def read_algorithm(token: str) -> str | None:
    """What a JWT says it is signed by; None of what is none."""
    try:
        return str(jwt.get_unverified_header(token).get("alg"))
    except jwt.InvalidTokenError:
        return None


def bearer_token(authorization: str | None) -> str:
    """The token of an `Authorization` header (RFC 6750). Raises Unauthenticated when there is none of that form."""
    if not authorization:
        raise Unauthenticated("Required authorization token not found")
    fields = authorization.split()
    if len(fields) != 2 or fields[0].lower() != "bearer":
        raise Unauthenticated("Authorization header format must be Bearer {token}")
    return fields[1]


def _claims_of(claims: dict[str, Any], entry: object, kid: str) -> Claims:
    user, expires_at = claims["user"], claims["exp"]
    if not isinstance(user, str) or not isinstance(expires_at, int | float) or not isinstance(entry, str | None):
        raise Unauthenticated("token is malformed")
    issued_at = claims.get("iat", 0)
    if isinstance(issued_at, bool) or not isinstance(issued_at, int | float):
        raise Unauthenticated("token is malformed")
    if issued_at > time.time() + LEEWAY_SECONDS:
        raise Unauthenticated("Token used before issued")
    signed_in_at = claims.get("auth_time", issued_at)
    if not isinstance(signed_in_at, int | float):
        signed_in_at = 0
    return Claims(user, float(expires_at), float(issued_at), float(signed_in_at), entry, kid)


def _digest(key: bytes, text: str, size: int) -> str:
    digest = hmac.digest(key, f"openmcp-apiserver {text}".encode("utf-8", "surrogatepass"), "sha256")
    return base64.urlsafe_b64encode(digest[:size]).decode()


def _reason(error: Exception, token: str) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "Token is expired"
        case jwt.ImmatureSignatureError():
            return "Token is not valid yet"
        case jwt.InvalidSignatureError():
            return "signature is invalid"
        case jwt.InvalidAlgorithmError():
            algorithm = str(jwt.get_unverified_header(token).get("alg"))
            said = f"Expected {ALGORITHM} signing method but token specified {algorithm[:20]}"
            issuer = read_issuer(token)
            return f"{said}: it is of issuer {issuer[:200]!r}, whose tokens do not count here" if issuer else said
        case jwt.MissingRequiredClaimError():
            return f"Token has no claim {error.claim}"
        case _:
            return "token is malformed"


def read_issuer(token: str) -> str:
    """Whose token it says it is, of which nothing is believed; empty where it says nothing."""
    parts = token.split(".", 3)
    if len(parts) != 3:
        return ""
    try:
        return msgspec.json.decode(read_part(parts[1]), type=_Issued).iss
    except UNREADABLE:
        return ""


def read_part(part: str) -> bytes:
    """Header or claims of a token. Raises ValueError."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
