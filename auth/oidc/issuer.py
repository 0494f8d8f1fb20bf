"""What an issuer is: where it is found, which of its tokens count, and how their users are called here."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from auth.oidc.errors import IssuerInvalid


class Issuer(Struct, frozen=True):
    """An issuer whose tokens count if they are for one of `audiences` and have all `required_claims`.

    `url` is what its tokens and its discovery document have as `iss`. `certificate_authority` is PEM; None: the
    system's authorities. With `allow_http` it may be asked in the clear. `scope` is what people ask for who sign in;
    empty: what is useful.
    """

    url: str
    audiences: tuple[str, ...]
    username_claim: str = "sub"
    username_prefix: str = ""
    groups_claim: str | None = None
    groups_prefix: str = ""
    required_claims: tuple[tuple[str, str], ...] = ()
    discovery_url: str | None = None
    certificate_authority: str | None = None
    allow_http: bool = False
    scope: str = ""

    @property
    def document_url(self) -> str:
        """Where its discovery document is (OpenID Connect Discovery 1.0, section 4)."""
        return self.discovery_url or f"{self.url.rstrip('/')}/.well-known/openid-configuration"

    def check_url(self, url: object, what: str) -> str:
        """The URL, which is an https one, or leads to this machine. Raises IssuerInvalid, which says `what` it is."""
        parts = _split(url)
        if parts is None or not isinstance(url, str):
            raise IssuerInvalid(f"{what} is {str(url)[:200]!r}, must be an https URL without a user or a fragment")
        if parts[0] == "http" and not (self.allow_http or is_loopback(parts[1])):
            raise IssuerInvalid(
                f"{what} is {url[:200]!r}, must be an https URL: whoever is on the way could sign in as anybody"
            )
        return url


def check_issuers(issuers: Sequence[Issuer]) -> None:
    """Raises IssuerInvalid where they can't be used together."""
    for issuer in issuers:
        issuer.check_url(issuer.url, "the issuer's URL")
        if "?" in issuer.url:
            raise IssuerInvalid(f"the issuer's URL is {issuer.url[:200]!r}, must have no query")
        if issuer.discovery_url is not None:
            issuer.check_url(issuer.discovery_url, f"the discovery URL of issuer {issuer.url}")
        if not issuer.audiences:
            raise IssuerInvalid(f"issuer {issuer.url}: at least one audience is needed: the client id, as a rule")
    urls = [issuer.url for issuer in issuers]
    if len(set(urls)) < len(urls):
        twice = next(url for url in urls if urls.count(url) > 1)
        raise IssuerInvalid(f"issuer {twice} is there twice")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(url: object) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        return None
    plain = port_is_right and parts.username is None and not parts.fragment and str(url).isprintable()
    return (parts.scheme, parts.hostname) if parts.scheme in ("http", "https") and parts.hostname and plain else None
