"""Which tokens of a real issuer count, and for how long."""

import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from auth.errors import IdentityUnavailable, Unauthenticated
from auth.identity import Identity
from auth.oidc.issuer import Issuer
from auth.oidc.keys import KeyTimes
from auth.oidc.tokens import OidcTokens, open_oidc_tokens
from tests.fakes.waiting import until
from tests.oidc.issuer import RunningIssuer, open_issuer

QUICK = KeyTimes(refresh=3600, least=0.0, first_backoff=0.02, last_backoff=0.02)


def described(issuer: RunningIssuer, **changed: Any) -> Issuer:
    return Issuer(**{"url": issuer.url, "audiences": ("openmcp",), "groups_claim": "groups"} | changed)


@asynccontextmanager
async def judging(issuer: RunningIssuer, times: KeyTimes = QUICK, **changed: Any) -> AsyncIterator[OidcTokens]:
    async with open_oidc_tokens([described(issuer, **changed)], times) as tokens:
        yield tokens


async def refused(tokens: OidcTokens, token: str) -> str:
    with pytest.raises(Unauthenticated) as raised:
        await tokens.load(token)
    return str(raised.value)


async def test_a_token_says_who_calls(issuer: RunningIssuer) -> None:
    until_then = int(time.time()) + 500
    token = await issuer.sign(groups=["a", "b"], email="ann@example.org", exp=until_then, iat=until_then - 600)

    async with judging(issuer) as tokens:
        found = await tokens.load(token)

        assert found == Identity("ann", ("a", "b"), until_then - 600, until_then)
        assert tokens.knows(token)
        assert tokens.find(token) == found


@pytest.mark.parametrize("algorithm", ["RS256", "PS512", "ES256", "ES384"])
async def test_asymmetric_algorithms_count(issuer: RunningIssuer, algorithm: str) -> None:
    await issuer.order(make={"second": algorithm}, publish=["first", "second"])

    async with judging(issuer) as tokens:
        assert (await tokens.load(await issuer.sign("second"))).name == "ann"


async def test_names_and_groups_are_prefixed(issuer: RunningIssuer) -> None:
    token = await issuer.sign(email="ann@example.org", email_verified=True, roles="admins")
    names: dict[str, Any] = {
        "username_claim": "email",
        "username_prefix": "oidc:",
        "groups_claim": "roles",
        "groups_prefix": "g:",
    }

    async with judging(issuer, **names) as tokens:
        found = await tokens.load(token)

    assert (found.name, found.groups) == ("oidc:ann@example.org", ("g:admins",))


NOW = int(time.time())


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": "another"}, "must be for one of the audiences openmcp"),
        ({"aud": None}, "no claim aud"),
        ({"aud": []}, "must be for one of the audiences"),
        ({"exp": NOW - 60}, "Token is expired"),
        ({"exp": None}, "no claim exp"),
        ({"exp": "tomorrow"}, "claim exp is wrong"),
        ({"nbf": NOW + 86_400}, "not valid yet"),
        ({"iat": NOW + 86_400}, "not valid yet"),
        ({"sub": None}, "claim sub is wrong"),
        ({"sub": ""}, "claim sub, which names the user"),
        ({"sub": "a\nb"}, "claim sub, which names the user"),
        ({"sub": "system:admin"}, "'system:admin' is a name of Kubernetes' own"),
        ({"groups": ["a", "system:masters"]}, "'system:masters' is a name of Kubernetes' own"),
        ({"groups": [1]}, "claim groups"),
        ({"groups": {"a": 1}}, "claim groups"),
        ({"hd": "example.com"}, "claim hd is not 'example.org'"),
        ({"hd": ["example.org"]}, "claim hd is not 'example.org'"),
        ({"hd": None}, "claim hd is not 'example.org'"),
        ({"header": {"typ": "logout+jwt"}}, "an ID token does"),
        ({"header": {"alg": "none"}}, "are signed by RS256"),
        ({"header": {"crit": ["x-mine"], "x-mine": 1}}, "signature is invalid"),
    ],
)
async def test_claims_that_do_not_count(issuer: RunningIssuer, claims: dict[str, Any], words: str) -> None:
    token = await issuer.sign(**{"hd": "example.org"} | claims)

    async with judging(issuer, required_claims=(("hd", "example.org"),)) as tokens:
        assert words in await refused(tokens, token)
        assert words in await refused(tokens, token)


async def test_an_email_that_is_not_verified_names_nobody(issuer: RunningIssuer) -> None:
    async with judging(issuer, username_claim="email") as tokens:
        for verified in (False, "true"):
            token = await issuer.sign(email="ann@example.org", email_verified=verified)
            assert "not verified" in await refused(tokens, token)


async def test_a_public_key_is_no_secret_to_sign_with(issuer: RunningIssuer) -> None:
    pem = (await issuer.order(pem="first"))["pem"]

    async with judging(issuer) as tokens:
        for algorithm in ("HS256", "HS512"):
            token = await issuer.sign(secret=pem, header={"alg": algorithm})
            assert "not 'HS" in await refused(tokens, token)


async def test_a_signature_of_another_key_under_a_published_id_is_none(issuer: RunningIssuer) -> None:
    await issuer.order(make={"mine": "RS256"})

    async with judging(issuer) as tokens:
        assert "signature" in await refused(tokens, await issuer.sign("mine", header={"kid": "first"}))
        token = await issuer.sign()
        assert "signature" in await refused(tokens, f"{token[:-20]}{'A' * 20}")


async def test_a_token_of_somebody_else_is_not_for_it_to_judge(issuer: RunningIssuer) -> None:
    async with judging(issuer) as tokens:
        for iss in ("https://other.example.org", f"{issuer.url}/", None, 7, [issuer.url]):
            assert not tokens.knows(await issuer.sign(iss=iss))
        for text in ("", ".", "..", "a.b.c", "e30.e30.", "x" * 50_000, f"a.{'W' * 30_000}.c"):
            assert not tokens.knows(text)


async def test_keys_are_exchanged_without_a_refusal(issuer: RunningIssuer) -> None:
    old = await issuer.sign()
    async with judging(issuer) as tokens:
        await tokens.load(old)
        await issuer.order(make={"second": "ES256"}, publish=["second", "first"])
        new = await issuer.sign("second")

        assert (await tokens.load(new)).name == "ann"
        assert (await tokens.load(old)).name == "ann"

        await issuer.order(make={"third": "RS256"}, publish=["third", "second"])
        assert (await tokens.load(await issuer.sign("third"))).name == "ann"
        assert "does not publish the key" in await refused(tokens, old)
        await issuer.order(mode="hang")
        assert "does not publish the key" in await refused(tokens, old)  # at once
        await issuer.order(mode="ok")
        assert "publishes no key 'first'" in await refused(tokens, await issuer.sign("first", sub="bob"))
        assert (await tokens.load(new)).name == "ann"


async def test_another_key_under_an_id_that_is_known_is_found(issuer: RunningIssuer) -> None:
    await issuer.order(make={"same": "RS256"}, publish=["same"])
    old = await issuer.sign("same")
    async with judging(issuer) as tokens:
        await tokens.load(old)
        await issuer.order(make={"same": "RS256"}, publish=["same"])

        assert (await tokens.load(await issuer.sign("same"))).name == "ann"
        assert "does not publish the key" in await refused(tokens, old)


async def test_keys_are_asked_for_again_by_themselves(issuer: RunningIssuer) -> None:
    old = await issuer.sign()
    async with judging(issuer, replace(QUICK, refresh=0.05)) as tokens:
        await tokens.load(old)
        await issuer.order(make={"second": "RS256"}, publish=["second"])

        def is_gone() -> bool:
            try:
                tokens.find(old)
            except Unauthenticated:
                return True
            return False

        await until(is_gone)


async def test_unknown_keys_are_asked_for_once_in_a_while(issuer: RunningIssuer) -> None:
    await issuer.order(make={"mine": "RS256"})
    async with judging(issuer, KeyTimes(least=3600)) as tokens:
        await tokens.load(await issuer.sign())
        before = (await issuer.order())["asked"]
        for number in range(20):
            await refused(tokens, await issuer.sign("mine", header={"kid": f"unknown {number}"}))
            await refused(tokens, await issuer.sign("mine", header={"kid": "first"}, sub=f"user {number}"))

        assert (await issuer.order())["asked"] == before


FAULTS = ["down", "hang", "garbage", "list", "error", "elsewhere", "other", "clear", "file", "huge"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_issuer_that_fails_leaves_its_known_keys(issuer: RunningIssuer, fault: str) -> None:
    token, later = await issuer.sign(), await issuer.sign(sub="bob")
    async with judging(issuer, replace(QUICK, refresh=0.02)) as tokens:
        await until(lambda: _counts(tokens, token))
        await issuer.order(make={"second": "RS256"}, publish=["first", "second"], mode=fault)
        await until(lambda: tokens.problem)

        assert tokens.problem is not None
        assert re.search(rf"^issuer {issuer.url}: \S", tokens.problem)
        assert (await tokens.load(token)).name == "ann"
        assert (await tokens.load(later)).name == "bob"
        new = await issuer.sign("second")
        with pytest.raises(IdentityUnavailable, match=issuer.url):
            await tokens.load(new)

        await issuer.order(mode="ok")
        await until(lambda: _counts(tokens, new))


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_issuer_that_never_answered_refuses_nobody_for_it(issuer: RunningIssuer, fault: str) -> None:
    token = await issuer.sign()
    await issuer.order(mode=fault)
    async with judging(issuer, replace(QUICK, wait=0.2)) as tokens:
        with pytest.raises(IdentityUnavailable, match=issuer.url):
            await tokens.load(token)

        await issuer.order(mode="ok")
        await until(lambda: _counts(tokens, token))


def _counts(tokens: OidcTokens, token: str) -> bool:
    try:
        return tokens.find(token).name == "ann"
    except (IdentityUnavailable, Unauthenticated):
        return False


async def test_two_issuers_have_users_and_keys_of_their_own(issuer: RunningIssuer, tmp_path: Any) -> None:
    async with open_issuer(tmp_path / "other") as other:
        both: Sequence[Issuer] = [described(issuer), described(other, username_prefix="other:")]
        async with open_oidc_tokens(both, QUICK) as tokens:
            assert (await tokens.load(await issuer.sign())).name == "ann"
            assert (await tokens.load(await other.sign())).name == "other:ann"
            assert "signature" in await refused(tokens, await issuer.sign(iss=other.url))

            await issuer.order(mode="down")
            assert (await tokens.load(await other.sign())).name == "other:ann"
