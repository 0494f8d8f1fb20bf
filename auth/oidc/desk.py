"""Sign-ins of pages: what they need to know of the issuers, and their codes exchanged for tokens.

The server exchanges them, so that an issuer needs to allow no page's origin, and a page needs to reach no other host.
It keeps nothing of it: the page holds the code's verifier.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from auth.attempts import normalise_address
from auth.errors import IdentityUnavailable, TooManyLogins
from auth.oidc.calls import Document
from auth.oidc.errors import IssuerFailed, IssuerInvalid
from auth.oidc.issuer import Issuer
from auth.oidc.sign_in import Grant, SignInRefused, redeem, select_scope
from fleet.aio.detached import start
from fleet.aio.fair import FairPlaces, Full

AT_ONCE, AT_ONCE_OF_ONE, MAX_WAITING, MAX_WAITING_OF_ONE = 8, 4, 200, 20
MAX_WAIT_SECONDS = 8.0
_GRANTS = {
    "authorization_code": ("code", "code_verifier", "redirect_uri"),
    "refresh_token": ("refresh_token",),
}


class Offer(Struct, frozen=True, rename="camel"):
    """An issuer to sign in at; `authorization_endpoint` is None while it is not known."""

    issuer: str
    client_id: str
    scope: str
    authorization_endpoint: str | None = None


class Desk:
    """Exchanges codes at any of the issuers, whose discovery documents `find_document` has."""

    def __init__(self, issuers: Sequence[Issuer], find_document: Callable[[str], Document | None]) -> None:
        self._issuers = {issuer.url: issuer for issuer in issuers}
        self._find_document = find_document
        self._places = FairPlaces(AT_ONCE, MAX_WAITING, MAX_WAITING_OF_ONE, AT_ONCE_OF_ONE)

    def list_offers(self) -> list[Offer]:
        return [self._build_offer(issuer, self._find_document(issuer.url) or {}) for issuer in self._issuers.values()]

    async def redeem(self, url: str, given: Mapping[str, str], address: str) -> Grant:
        """What the issuer gives. Raises SignInRefused, IdentityUnavailable, TooManyLogins."""
        issuer, document, address = self._issuers.get(url), self._find_document(url), normalise_address(address)
        form = _read_form(given)
        if issuer is None or form is None:
            raise SignInRefused(
                "name an issuer of this server, and code, code_verifier and redirect_uri, or refresh_token"
            )
        if document is None:
            raise IdentityUnavailable(f"issuer {url} can't be asked now: try again")
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                await self._places.take(address)
                try:
                    running = start(lambda: redeem(issuer, document, form))
                except RuntimeError:  # no thread is to be had
                    self._places.release(address)
                    raise
                # Who gave up leaves the thread at it: the place is free when it ends.
                running.add_done_callback(lambda _: self._places.release(address))
                return await asyncio.shield(running)
        except Full as error:
            raise TooManyLogins from error
        except (TimeoutError, IssuerFailed, IssuerInvalid) as error:
            raise IdentityUnavailable(f"issuer {url}: {str(error) or 'does not answer'}") from error

    def _build_offer(self, issuer: Issuer, document: Document) -> Offer:
        endpoint = document.get("authorization_endpoint")
        try:
            known = None if endpoint is None else issuer.check_url(endpoint, "the authorization endpoint")
        except IssuerInvalid:
            known = None
        return Offer(issuer.url, issuer.audiences[0], select_scope(issuer, document), known)


def _read_form(given: Mapping[str, str]) -> dict[str, str] | None:
    for kind, names in _GRANTS.items():
        if all(given.get(name) for name in names):
            return {"grant_type": kind} | {name: given[name] for name in names}
    return None
