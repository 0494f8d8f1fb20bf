"""Parsers of what issuers and their users send, and of what is kept of a sign-in."""

import base64
import time
from typing import Any

from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from auth.errors import IdentityUnavailable, Unauthenticated
from auth.oidc.calls import _parse
from auth.oidc.configuration import load_issuers
from auth.oidc.errors import IssuerFailed, IssuerInvalid
from auth.oidc.issuer import Issuer
from auth.oidc.keys import IssuerKeys, import_keys
from auth.oidc.tokens import OidcTokens
from server.commands.sessions import Session
from tests.fuzz.files import LINES, of_file
from tests.fuzz.hostile import ODD_VALUES, as_json, spoilt, spoilt_json, texts, yaml_of
from tests.fuzz.parsers import Parser

NOW = int(time.time())
KEY = ECKey.generate_key("P-256", {"kid": "k", "alg": "ES256", "use": "sig"})
ISSUER = Issuer("https://a", ("openmcp",), "email", "u:", "groups", "g:", (("hd", "b"),))
CLAIMS = {
    "iss": "https://a",
    "aud": ["openmcp"],
    "exp": NOW + 600,
    "nbf": NOW,
    "iat": NOW,
    "sub": "ann",
    "email": "ann@b",
    "email_verified": True,
    "groups": ["a"],
    "hd": "b",
}
HEADER = {"alg": "ES256", "kid": "k", "typ": "JWT", "crit": ["exp"], "jwk": {"kty": "oct", "k": "YQ"}, "b64": False}
SETS = [
    KEY.as_dict(private=False),
    RSAKey.generate_key(2048, {"kid": "r"}).as_dict(private=False),
    {"kty": "oct", "k": "YQ"},
    {"kty": "OKP", "crv": "Ed25519", "x": "YQ"},
]
CONFIGURATION = {
    "apiVersion": "apiserver.config.k8s.io/v1",
    "kind": "AuthenticationConfiguration",
    "jwt": [
        {
            "issuer": {
                "url": "https://a",
                "audiences": ["a"],
                "discoveryURL": "https://b",
                "certificateAuthority": "c",
            },
            "claimMappings": {"username": {"claim": "a", "prefix": ""}, "groups": {"claim": "a", "prefix": ""}},
            "claimValidationRules": [{"claim": "a", "requiredValue": "b"}],
        }
    ],
}


def build_tokens() -> OidcTokens:
    keys = IssuerKeys(ISSUER)
    keys._known = import_keys([KEY.as_dict(private=False)])
    return OidcTokens([keys])


TOKENS = build_tokens()


def sign(claims: object) -> str:
    return jws.serialize_compact({"alg": "ES256", "kid": "k"}, as_json(claims), KEY)


def head(header: object) -> str:
    parts = (as_json(header), as_json(CLAIMS), b"x" * 64)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def judge(token: str) -> Any:
    return TOKENS.find(token) if TOKENS.knows(token) else None


ISSUERS = (
    Parser(
        judge,
        spoilt(CLAIMS).map(sign) | spoilt(HEADER).map(head) | texts("e30.", ".", "a.b.c"),
        (Unauthenticated, IdentityUnavailable),
        ("auth.oidc.tokens.OidcTokens.find",),
    ),
    Parser(import_keys, spoilt(SETS).filter(lambda keys: isinstance(keys, list)), (IssuerFailed,)),
    Parser(
        lambda body: _parse(200, body, "a"), spoilt_json({"issuer": "a"}), (IssuerFailed,), ("auth.oidc.calls._parse",)
    ),
    Parser(
        of_file(load_issuers),
        spoilt_json(CONFIGURATION) | yaml_of(*LINES),
        (IssuerInvalid,),
        ("auth.oidc.configuration.load_issuers",),
    ),
    Parser(
        lambda url: ISSUER.check_url(url, "it"),
        texts("https://", "a", ":", "@", "[", "]", "/", "#", "?", "\n") | st.sampled_from(ODD_VALUES),
        (IssuerInvalid,),
        ("auth.oidc.issuer.Issuer.check_url",),
    ),
    Parser(
        lambda token: Session(token).times,
        spoilt(CLAIMS).map(sign) | texts("e30.", ".", "a.b.c"),
        names=("server.commands.sessions.Session.times",),
    ),
)
