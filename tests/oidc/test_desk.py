"""Codes and refresh tokens exchanged at a real issuer."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlsplit

import pytest

from auth.errors import IdentityUnavailable, TooManyLogins
from auth.oidc.calls import Document
from auth.oidc.desk import AT_ONCE_OF_ONE, MAX_WAITING_OF_ONE, Desk, Offer
from auth.oidc.errors import IssuerInvalid
from auth.oidc.issuer import Issuer
from auth.oidc.sign_in import Asking, SignInRefused, build_authorization_url
from auth.oidc.tokens import open_oidc_tokens
from tests.fakes.waiting import until
from tests.oidc.issuer import RunningIssuer

REDIRECT = "http://127.0.0.1/callback"


@pytest.fixture
def described(issuer: RunningIssuer) -> Issuer:
    return Issuer(issuer.url, ("openmcp",))


@pytest.fixture
async def desk(described: Issuer) -> AsyncIterator[Desk]:
    async with open_oidc_tokens([described]) as tokens:
        await until(lambda: tokens.find_document(described.url))
        yield Desk([described], tokens.find_document)


async def test_a_code_and_then_its_refresh_token_are_exchanged(
    desk: Desk, described: Issuer, issuer: RunningIssuer
) -> None:
    document, asking = desk._find_document(described.url), Asking.new()
    assert document is not None
    url = build_authorization_url(described, document, REDIRECT, asking)
    back = dict(parse_qsl(urlsplit(await issuer.browse(url, "bob")).query))
    assert back["state"] == asking.state
    given = {"code": back["code"], "code_verifier": asking.verifier, "redirect_uri": REDIRECT}

    grant = await desk.redeem(described.url, given, "10.0.0.1")

    assert grant.refresh_token is not None
    renewed = await desk.redeem(described.url, {"refresh_token": grant.refresh_token}, "10.0.0.1")
    assert renewed.refresh_token not in (None, grant.refresh_token)  # ID tokens of one second are the same
    assert renewed.id_token not in repr(renewed)
    with pytest.raises(SignInRefused, match="refuses the sign-in"):
        await desk.redeem(described.url, given, "10.0.0.1")  # a code is good for one use


async def test_what_the_issuer_does_not_know_is_refused(desk: Desk, described: Issuer) -> None:
    for given in ({"refresh_token": "guessed"}, {"code": "guessed"}, {}):
        with pytest.raises(SignInRefused):
            await desk.redeem(described.url, given, "10.0.0.1")
    with pytest.raises(SignInRefused, match="name an issuer of this server"):
        await desk.redeem("https://other.example.org", {"refresh_token": "a"}, "10.0.0.1")


async def test_an_issuer_that_fails_is_said(desk: Desk, described: Issuer, issuer: RunningIssuer) -> None:
    for fault in ("error", "garbage", "list", "down"):
        await issuer.order(mode=fault)
        with pytest.raises(IdentityUnavailable, match=described.url):
            await desk.redeem(described.url, {"refresh_token": "a"}, "10.0.0.1")
    with pytest.raises(IdentityUnavailable, match="can't be asked now"):
        await Desk([described], lambda _: None).redeem(described.url, {"refresh_token": "a"}, "10.0.0.1")


async def test_many_of_one_address_leave_others_their_turn(
    desk: Desk, described: Issuer, issuer: RunningIssuer
) -> None:
    await issuer.order(mode="hang")
    given = {"refresh_token": "a"}
    many = [
        asyncio.ensure_future(desk.redeem(described.url, given, "10.0.0.1"))
        for _ in range(AT_ONCE_OF_ONE + MAX_WAITING_OF_ONE)
    ]
    await asyncio.sleep(0)
    with pytest.raises(TooManyLogins):
        await desk.redeem(described.url, given, "10.0.0.1")
    await issuer.order(mode="ok")

    with pytest.raises(SignInRefused):
        await desk.redeem(described.url, given, "10.0.0.2")
    await asyncio.gather(*many, return_exceptions=True)


def test_only_where_it_is_safe_to_go_is_offered(described: Issuer) -> None:
    for endpoint in ("javascript:alert(1)", "http://issuer.example.org/auth", 7):
        document: Document = {"authorization_endpoint": endpoint, "scopes_supported": ["email", "openid", "other"]}
        offers = Desk([described], {described.url: document}.get).list_offers()
        assert offers == [Offer(described.url, "openmcp", "openid email")]
        with pytest.raises(IssuerInvalid, match="authorization_endpoint"):
            build_authorization_url(described, document, REDIRECT, Asking.new())
