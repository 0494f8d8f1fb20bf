"""Tokens of issuers (OpenID Connect Core 1.0, section 2): JSON Web Tokens that are signed by a published key."""

import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError
from joserfc.jws import JWSRegistry
from msgspec import Struct

from auth.errors import IdentityUnavailable, Unauthenticated
from auth.identity import Identity
from auth.oidc.calls import Document
from auth.oidc.issuer import Issuer
from auth.oidc.keys import IssuerKeys, Key, KeyTimes
from auth.tokens import LEEWAY_SECONDS, read_issuer, read_part
from fleet.aio.lru import Lru
from fleet.aio.tasks import open_task
from fleet.model.unreadable import UNREADABLE

ALGORITHMS = tuple(f"{family}{size}" for family in ("RS", "PS", "ES") for size in (256, 384, 512))
"""Those by which a key that everybody may know proves something: never `none`, nor an HMAC."""

MAX_TOKEN_CHARACTERS = 32 * 1024
MAX_VERIFIED = 1_024
MAX_GROUPS = 1_000
_KUBERNETES = "system:"
"""Users and groups so named are API servers' own: `system:masters` may do anything, where members decide."""

_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt", "application/jwt"})
"""What an issuer else signs for the same audience, such as a `logout+jwt`, is no proof of who calls."""

_FOREVER = 1e11
"""A time that calendars and timers still take."""

_log = logging.getLogger(__name__)


class _Registry(JWSRegistry):
    max_header_length = 4096


_REGISTRY = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


class _Header(Struct):
    alg: str = ""
    kid: str | None = None
    typ: str = "JWT"


class _Verified(Struct, frozen=True):
    keys: IssuerKeys
    thumbprint: str
    identity: Identity


class _NotKnown(Unauthenticated):
    """The token is of a key that the issuer did not publish when it was last asked, or published as another."""


class OidcTokens:
    """Judges the tokens of all issuers; `auth.identity.IdentitySource`."""

    def __init__(self, keys: Sequence[IssuerKeys]) -> None:
        self._keys: Mapping[str, IssuerKeys] = {each.issuer.url: each for each in keys}
        self._verified: Lru[str, _Verified] = Lru(MAX_VERIFIED)

    def find_document(self, url: str) -> Document | None:
        """The issuer's discovery document, once it is known."""
        return keys.document if (keys := self._keys.get(url)) else None

    @property
    def problem(self) -> str | None:
        """Which issuers can't be asked now; None while all can."""
        return "; ".join(each.problem for each in self._keys.values() if each.problem) or None

    def knows(self, token: str) -> bool:
        return self._verified.get(token) is not None or _peek(token) in self._keys

    async def load(self, token: str) -> Identity:
        try:
            return self.find(token)
        except (_NotKnown, IdentityUnavailable):
            await self._keys[_peek(token)].renew()
        return self.find(token)

    def find(self, token: str) -> Identity:
        known = self._verified.get(token)
        if known is None:
            known = _verify(token, self._keys[_peek(token)])
            self._verified.put(token, known)
        elif not known.keys.publishes(known.thumbprint):
            # Nobody waits for it, as who looks after open streams has many to look after.
            known.keys.ask()
            raise Unauthenticated(f"{known.keys.issuer.url} does not publish the key of this token: sign in again")
        expires_at = known.identity.expires_at
        if expires_at is not None and expires_at <= time.time():
            raise Unauthenticated("Token is expired")
        return known.identity


@asynccontextmanager
async def open_oidc_tokens(issuers: Sequence[Issuer], times: KeyTimes | None = None) -> AsyncIterator[OidcTokens]:
    """Follows the issuers' keys as long as the `with`; it does not wait for them."""
    async with AsyncExitStack() as stack:
        keys = [IssuerKeys(issuer, times) for issuer in issuers]
        for each in keys:
            await stack.enter_async_context(open_task(f"keys of {each.issuer.url}", each.run))
        yield OidcTokens(keys)


def _peek(token: str) -> str:
    """Whose token it says it is; nothing is believed of it."""
    return read_issuer(token) if len(token) <= MAX_TOKEN_CHARACTERS else ""


def _verify(token: str, keys: IssuerKeys) -> _Verified:
    if not keys.are_known:
        raise IdentityUnavailable(keys.problem or f"issuer {keys.issuer.url} was not asked yet: try again")
    try:
        header = msgspec.json.decode(read_part(token.split(".", 1)[0]), type=_Header)
    except UNREADABLE as error:
        raise Unauthenticated("token is malformed") from error
    if header.alg not in ALGORITHMS:
        raise Unauthenticated(f"tokens of issuers are signed by {', '.join(ALGORITHMS)}, not {header.alg[:20]!r}")
    if header.typ.lower() not in _TYPES:
        raise Unauthenticated(f"a token of type {header.typ[:40]!r} does not say who calls: an ID token does")
    candidates = keys.find(header.kid)
    if not candidates:
        if not keys.are_sure:
            reason = keys.problem or f"issuer {keys.issuer.url} has not answered yet"
            raise IdentityUnavailable(f"the key of this token is not known, and {reason}: try again")
        raise _NotKnown(f"{keys.issuer.url} publishes no key {str(header.kid)[:100]!r}: sign in again")
    claims, key = _check_signature(token, candidates)
    return _Verified(keys, key.thumbprint(), _build_identity(claims, keys.issuer))


def _check_signature(token: str, candidates: Sequence[Key]) -> tuple[dict[str, Any], Key]:
    for key in candidates:
        try:
            return jwt.decode(token, key, registry=_REGISTRY).claims, key
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            _log.debug("a token is not signed by key %s: %s", key.kid, error)
    raise _NotKnown("signature is invalid")


def _build_identity(claims: dict[str, Any], issuer: Issuer) -> Identity:
    """Raises Unauthenticated for claims that do not count."""
    checks = jwt.JWTClaimsRegistry(
        leeway=int(LEEWAY_SECONDS),
        iss={"essential": True, "value": issuer.url},
        aud={"essential": True, "values": list(issuer.audiences)},
        exp={"essential": True},
    )
    try:
        checks.validate(claims)
    except ExpiredTokenError as error:
        raise Unauthenticated("Token is expired") from error
    except MissingClaimError as error:
        raise Unauthenticated(f"Token has no claim {error.claim}") from error
    except InvalidClaimError as error:
        raise Unauthenticated(_say_wrong(error.claim, claims, issuer)) from error
    except (JoseError, OverflowError, TypeError) as error:
        raise Unauthenticated("token is malformed") from error
    for name, value in issuer.required_claims:
        if claims.get(name) != value:
            raise Unauthenticated(f"the token's claim {name} is not {value!r}, which {issuer.url} needs here")
    name = issuer.username_prefix + _read_name(claims, issuer)
    groups = tuple(f"{issuer.groups_prefix}{group}" for group in _read_groups(claims, issuer))
    if own := [text for text in (name, *groups) if text.startswith(_KUBERNETES)]:
        raise Unauthenticated(f"{own[0][:100]!r} is a name of Kubernetes' own, which no issuer gives: set a prefix")
    return Identity(
        name,
        groups,
        float(max(claims.get("iat") or 0, 0)),
        float(min(claims["exp"], _FOREVER)),
    )


def _say_wrong(claim: str, claims: dict[str, Any], issuer: Issuer) -> str:
    match claim:
        case "aud":
            given = claims.get("aud")
            audiences = ", ".join(issuer.audiences)
            return f"the token is for {str(given)[:200]!r}, must be for one of the audiences {audiences}"
        case "nbf" | "iat":
            return "Token is not valid yet"
        case _:
            return f"the token's claim {claim} is wrong"


def _read_name(claims: dict[str, Any], issuer: Issuer) -> str:
    claim = issuer.username_claim
    name = claims.get(claim)
    if not isinstance(name, str) or not name or not name.isprintable():
        raise Unauthenticated(f"the token's claim {claim}, which names the user, is no text")
    if claim == "email" and claims.get("email_verified", True) is not True:
        raise Unauthenticated("the token's email is not verified")
    return name


def _read_groups(claims: dict[str, Any], issuer: Issuer) -> list[str]:
    """The groups; a single one may be written without a list."""
    claim = issuer.groups_claim
    written = None if claim is None else claims.get(claim)
    groups = [written] if isinstance(written, str) else written if written is not None else []
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups) or len(groups) > MAX_GROUPS:
        raise Unauthenticated(
            f"the token's claim {claim}, which names groups, is no list of at most {MAX_GROUPS} texts"
        )
    return groups
