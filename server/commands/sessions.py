"""A person's sign-in at their own machine: begun, kept in a file of theirs, and renewed without asking."""

import hashlib
import os
import sys
import time
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from auth.errors import FileInvalid
from auth.files import load_yaml, locked, save_yaml
from auth.oidc.calls import Document, load_discovery
from auth.oidc.errors import IssuerFailed
from auth.oidc.issuer import Issuer
from auth.oidc.sign_in import Asking, Grant, SignInRefused, build_authorization_url, redeem
from fleet.model.claims import Claims, read_claims
from server.commands.errors import CliError, ask_password
from server.commands.kubeconfig import Client, ServerRefused
from server.commands.loopback import open_loopback
from server.own_command import own_command

SIGN_IN_SECONDS = 300.0
_NAMED = "sign-in"


class Session(Struct, frozen=True, omit_defaults=True):
    """What is kept of a sign-in."""

    token: str
    refresh_token: str | None = None

    def __repr__(self) -> str:
        """Without the tokens."""
        return "Session()"

    @property
    def times(self) -> tuple[float, float]:
        """From when until when the token counts, as it says itself, in Unix seconds."""
        claims = self.claims
        return (claims.exp if claims.iat is None else claims.iat), claims.exp

    @property
    def claims(self) -> Claims:
        """What the token says, unchecked: of one that can't be read, that it has ended."""
        return read_claims(self.token)


class Way(Protocol):
    """How one signs in."""

    @property
    def name(self) -> str:
        """What tells it from others."""

    def begin(self) -> Session:
        """Asks the person. Raises CliError, AuthError, ServerRefused."""

    def renew(self, kept: Session) -> Session | None:
        """Asks nobody; None where the person has to. Raises what says that nobody could be asked."""


class ByPassword(Struct, frozen=True):
    """As a user of the server itself."""

    client: Client
    server: str
    user: str
    may_ask: bool = True

    @property
    def name(self) -> str:
        return f"{self.server} {self.user}"

    def begin(self) -> Session:
        if not self.may_ask and not os.environ.get("OPENMCP_PASSWORD"):
            raise CliError(
                f"sign in first: {own_command()} login --server {self.server} --user {self.user}, since kubectl's "
                "standard input is in use"
            )
        return Session(self.client.load_token(self.user, ask_password()))

    def renew(self, kept: Session) -> Session | None:
        try:
            return Session(self.client.renew_token(kept.token))
        except ServerRefused as error:
            if error.status == 401:
                return None
            raise


class ByIssuer(Struct, frozen=True):
    """As a user of an OIDC issuer, in a browser; `port` is where the browser is led back to, 0: any."""

    issuer: Issuer
    port: int = 0
    opens_browser: bool = True

    @property
    def name(self) -> str:
        return f"{self.issuer.url} {self.issuer.audiences[0]} {self.issuer.scope}"

    def begin(self) -> Session:
        document, asking = load_discovery(self.issuer), Asking.new()
        with open_loopback(self.port) as loopback:
            url = build_authorization_url(self.issuer, document, loopback.redirect_uri, asking)
            sys.stderr.write(f"Sign in at {self.issuer.url} in your browser: {url}\n")
            sys.stderr.flush()
            if self.opens_browser:
                webbrowser.open(url)
            try:
                answer = loopback.wait(asking.state, SIGN_IN_SECONDS)
            except TimeoutError as error:
                raise CliError(f"nobody signed in within {SIGN_IN_SECONDS:g} s") from error
            return self._exchange(document, asking, answer, loopback.redirect_uri)

    def renew(self, kept: Session) -> Session | None:
        if kept.refresh_token is None:
            return kept if time.time() < kept.times[1] else None
        form = {"grant_type": "refresh_token", "refresh_token": kept.refresh_token}
        try:
            return _as_session(redeem(self.issuer, load_discovery(self.issuer), form))
        except SignInRefused:
            return None

    def _exchange(self, document: Document, asking: Asking, answer: Mapping[str, str], redirect_uri: str) -> Session:
        code = answer.get("code")
        if code is None:
            raise SignInRefused(answer.get("error_description") or answer.get("error") or "the issuer gave no code")
        if answer.get("iss", self.issuer.url) != self.issuer.url:  # RFC 9207
            raise SignInRefused(f"the answer is of {answer['iss'][:200]!r}, not of {self.issuer.url}")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": asking.verifier,
        }
        session = _as_session(redeem(self.issuer, document, form))
        if session.claims.nonce != asking.nonce:
            raise SignInRefused(f"the token that {self.issuer.url} gave is of another sign-in")
        return session


def sign_in(way: Way) -> Session:
    """The kept session, renewed in the second half of its token's life, or a new one.

    Of several that ask at once one renews: a refresh token is often good for one use. Raises CliError, AuthError,
    ServerRefused.
    """
    path = _find_path(way)
    with locked(path, _NAMED):
        kept = _load(path)
        if kept is not None:
            issued_at, expires_at = kept.times
            if time.time() < (issued_at + expires_at) / 2:
                return kept
            try:
                renewed = way.renew(kept)
            except (ServerRefused, IssuerFailed):
                if time.time() < expires_at:
                    return kept
                raise
            if renewed is not None:
                save_yaml(path, _NAMED, msgspec.to_builtins(renewed))
                return renewed
        session = way.begin()
        save_yaml(path, _NAMED, msgspec.to_builtins(session))
        return session


def forget(way: Way) -> None:
    """Removes what is kept."""
    _find_path(way).unlink(missing_ok=True)


def build_exec_credential(session: Session, api_version: str) -> dict[str, Any]:
    """What kubectl takes from a credential plugin (client.authentication.k8s.io)."""
    expires_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(session.times[1]))
    status = {"expirationTimestamp": expires_at, "token": session.token}
    return {"apiVersion": api_version, "kind": "ExecCredential", "status": status}


def _find_path(way: Way) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    folder = cache / "openmcp-apiserver" / "login"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(way.name.encode()).hexdigest()[:32]}.yaml"


def _load(path: Path) -> Session | None:
    if not path.exists():
        return None
    try:
        return msgspec.convert(load_yaml(path, _NAMED), Session)
    except (msgspec.ValidationError, FileInvalid):
        return None


def _as_session(grant: Grant) -> Session:
    return Session(grant.id_token, grant.refresh_token)
