"""Tokens count or do not, and the messages say which of the known reasons it is."""

import base64
import json
import time
from typing import Any

import jwt
import pytest

from auth.errors import Unauthenticated
from auth.tokens import Tokens, bearer_token

KEY = b"a key of more than thirty-two bytes, for tests"
TOKENS = Tokens(KEY)


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    kept = {"user": "alice", "iat": now, "exp": now + 86_400} | changed
    return {name: value for name, value in kept.items() if value is not None}


def signed(algorithm: str = "HS256", key: bytes = KEY, **changed: Any) -> str:
    return jwt.encode(claims(**changed), key.ljust(64, b"\0"), algorithm=algorithm)


def unsigned() -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims())
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


def test_a_token_has_exactly_the_known_claims_as_integers() -> None:
    token = Tokens(KEY, lifetime=3600).sign("alice")

    content = jwt.decode(token, KEY, algorithms=["HS256"])

    assert list(content) == ["user", "iat", "exp"]
    assert content["user"] == "alice"
    assert (type(content["iat"]), type(content["exp"])) == (int, int)
    assert content["exp"] - content["iat"] == 3600
    assert list(jwt.get_unverified_header(token)) == ["alg", "entry", "kid", "typ"]


def test_a_signed_token_verifies() -> None:
    found = TOKENS.verify(TOKENS.sign("alice"))

    assert found.user == "alice"
    assert found.expires_at == pytest.approx(time.time() + 3600, abs=5)


def test_a_token_is_handed_out_again_within_its_second_and_to_its_user_only() -> None:
    tokens = Tokens(KEY)
    handed_out = {user: [tokens.sign(user) for _ in range(50)] for user in ("alice", "bob")}

    for user, signed_for in handed_out.items():
        issued = {token: tokens.verify(token).expires_at for token in signed_for}
        assert {tokens.verify(token).user for token in signed_for} == {user}
        assert len({id(token) for token in signed_for}) == len(issued) == len(set(issued.values()))


def test_keys_are_exchanged_without_a_sign_out() -> None:
    """First the new key is known everywhere, then it signs, at last the old one is forgotten."""
    old, new = b"the key of last year, long enough by far", b"the key of this year, long enough by far"
    before, known, signs = Tokens(old), Tokens(old, others=[new]), Tokens(new, others=[old])
    for issuer in (before, known, signs):
        for verifier in (known, signs):
            found = verifier.verify(issuer.sign("alice", "her entry"))
            assert [found.user, verifier.is_for(found, "her entry"), verifier.is_for(found, "")] == [
                "alice",
                True,
                False,
            ]
    by_another = jwt.encode(claims(), old, algorithm="HS256")
    assert signs.verify(by_another).user == "alice"
    with pytest.raises(Unauthenticated, match="signature is invalid"):
        Tokens(new).verify(by_another)


def test_a_replica_s_clock_may_be_a_little_ahead() -> None:
    now = int(time.time())
    assert TOKENS.verify(signed(iat=now + 3)).user == "alice"
    with pytest.raises(Unauthenticated, match="Token used before issued"):
        TOKENS.verify(signed(iat=now + 30))


def test_a_short_key_signs_as_any_other_implementation_would() -> None:
    token = Tokens(b"seventeen bytes!!").sign("alice")

    assert jwt.decode(token, b"seventeen bytes!!".ljust(32, b"\0"), algorithms=["HS256"])["user"] == "alice"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (signed(exp=int(time.time()) - 1), "Token is expired"),
        (signed(exp=None), "Token has no claim exp"),
        (signed(user=None), "Token has no claim user"),
        (signed(iat=int(time.time()) + 86_400), "Token used before issued"),
        (signed(nbf=int(time.time()) + 86_400), "Token is not valid yet"),
        (signed(key=b"another key"), "signature is invalid"),
        (signed("HS384"), "Expected HS256 signing method but token specified HS384"),
        (signed("HS512"), "Expected HS256 signing method but token specified HS512"),
        (unsigned(), "Expected HS256 signing method but token specified none"),
        (signed(user=7), "token is malformed"),
        (signed(exp="soon"), "token is malformed"),
        (signed(exp=float("inf")), "token is malformed"),
        ("nonsense", "token contains an invalid number of segments"),
        ("a.b", "token contains an invalid number of segments"),
        ("a.b.c", "token is malformed"),
        ("a.b.c.d", "token contains an invalid number of segments"),
        ("é.é.é", "token is malformed"),
        ("a." * 9000 + "b", "token contains an invalid number of segments"),
    ],
)
def test_a_token_that_does_not_count_says_why(token: str, reason: str) -> None:
    with pytest.raises(Unauthenticated, match=f"^{reason}$"):
        TOKENS.verify(token)


@pytest.mark.parametrize("header", ["Bearer x", "bearer x", "BEARER x", "bEaReR\t x ", "  Bearer   x"])
def test_the_scheme_is_known_in_any_case(header: str) -> None:
    assert bearer_token(header) == "x"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "Required authorization token not found"),
        ("", "Required authorization token not found"),
        ("Bearer", "Authorization header format must be Bearer {token}"),
        ("Bearer a b", "Authorization header format must be Bearer {token}"),
        ("Basic eA==", "Authorization header format must be Bearer {token}"),
        ("x", "Authorization header format must be Bearer {token}"),
    ],
)
def test_a_header_of_another_form_says_what_is_wrong(header: str | None, reason: str) -> None:
    with pytest.raises(Unauthenticated) as raised:
        bearer_token(header)

    assert str(raised.value) == reason
