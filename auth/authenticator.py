"""From a credential to a `Principal`."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from auth.access_tokens import PREFIX, AccessTokens, build_owner_entry, open_access_tokens
from auth.attempts import Attempts, normalise_address
from auth.certificates import ClientCertificate, Credential
from auth.directory import Directory, build_administrator, open_directory
from auth.errors import IdentityUnavailable, InvalidCredentials, TooManyLogins, Unauthenticated
from auth.files import POLL_SECONDS
from auth.identity import Identity, IdentitySource, admit
from auth.oidc.desk import Desk
from auth.oidc.issuer import Issuer
from auth.passwords import MAX_PASSWORD_CHARACTERS, Passwords, open_passwords
from auth.principal import Principal
from auth.tokens import Claims, Tokens, bearer_token
from auth.users import User
from fleet.aio.counts import Calls
from fleet.model.errors import ClusterTimeout, Forbidden
from fleet.model.visibility import Role

RENEWABLE_SECONDS = 24 * 3600
"""How long after the password was given a token is renewed for: the longest that a token may count by itself."""

MAX_WAIT_SECONDS = 5.0
"""How long a sign-in may take: yesterday's clients give up after 10."""

FindLabels = Callable[[], Awaitable[Mapping[str, Mapping[str, str]]]]
"""The labels of all clusters by name. Raises ClusterTimeout while it is not known which there are."""

_log = logging.getLogger(__name__)
NOBODY = "nobody can sign in: set API_USER_NAME and API_USER_PW, or OPENMCP_USERS_FILE"


async def _find_none() -> Mapping[str, Mapping[str, str]]:
    return {}


class AuthOptions(Struct, frozen=True):
    """What an authenticator is opened with. `token_lifetime` and `poll_seconds` are in seconds.

    Tokens of `verification_keys` count as those of the signing key do. `default_role` is of who signs in at one of the
    `issuers` and has no entry in the users file. With `impersonate` members decide what callers may see.
    """

    signing_key: bytes
    token_lifetime: int = 3600
    verification_keys: tuple[bytes, ...] = ()
    users_file: Path | None = None
    tokens_file: Path | None = None
    administrator: tuple[str, str] | None = None
    poll_seconds: float = POLL_SECONDS
    issuers: tuple[Issuer, ...] = ()
    default_role: Role | None = None
    impersonate: bool = False

    def __repr__(self) -> str:
        """Without the key and the password."""
        return f"AuthOptions(token_lifetime={self.token_lifetime}, users_file={self.users_file})"


class Authenticator:
    """Says who calls. A token counts as long as its user exists; the user's rights are those of this moment.

    `sign_ins` counts passwords and codes of issuers: `ok`, `refused`, `delayed` (not looked at, since others failed).
    """

    def __init__(
        self,
        tokens: Tokens,
        access_tokens: AccessTokens,
        directory: Directory,
        passwords: Passwords,
        sources: Sequence[IdentitySource] = (),
        default_role: Role | None = None,
        desk: Desk | None = None,
        find_labels: FindLabels = _find_none,
    ) -> None:
        self.desk = desk or Desk((), lambda _: None)
        self._tokens = tokens
        self._access_tokens = access_tokens
        self._directory = directory
        self._passwords = passwords
        self._sources = sources
        self._default_role = default_role
        self._find_labels = find_labels
        self._attempts = Attempts()
        self.sign_ins = Calls()

    @property
    def problem(self) -> str | None:
        """What is wrong with a file whose last good content is in force; None while all is well."""
        return self._directory.problem or self._access_tokens.problem

    @property
    def sources_problem(self) -> str | None:
        """Whom of those who vouch for callers this server can't ask; None while it can, or where there is nobody."""
        return "; ".join(source.problem for source in self._sources if source.problem) or None

    def list_users(self) -> list[User]:
        """All who may sign in, groups of those who do it elsewhere among them."""
        return self._directory.list_users()

    async def authenticate(self, credential: Credential) -> Principal:
        """The caller who proves it with this, with the reach that they have now.

        Raises Unauthenticated; Forbidden and IdentityUnavailable of who is known by another's word.
        """
        principal = await self._identify(credential)
        if not principal.scope.goes_by_labels:
            return principal
        try:
            labels = await self._find_labels()
        except ClusterTimeout as error:
            raise IdentityUnavailable("labels of clusters say what you reach, and are not known yet") from error
        apart = tuple(replace(part, scope=part.scope.resolve(labels)) for part in principal.apart)
        return replace(principal, scope=principal.scope.resolve(labels), apart=apart)

    async def _identify(self, credential: Credential) -> Principal:
        if isinstance(credential, ClientCertificate):
            return replace(self._admit(credential.check()), credential="client certificate")
        token = bearer_token(credential)
        if token.startswith(PREFIX):
            return self._identify_script(token)
        source = next((source for source in self._sources if source.knows(token)), None)
        if source is not None:
            return replace(self._admit(await source.load(token)), credential="token of another issuer")
        claims, user = self._find(token)
        return Principal(
            user.name, user.scope, user.groups, claims.expires_at, user.writes, credential="token of a sign-in"
        )

    def renew(self, authorization: str | None) -> str:
        """A new token for who has one that counts. Raises Unauthenticated, too long after the password was given."""
        token = bearer_token(authorization)
        if token.startswith(PREFIX):
            raise Unauthenticated("an access token is not renewed: it counts until it expires or is revoked")
        if any(source.knows(token) for source in self._sources):
            raise Unauthenticated(
                "a token of somebody else's is renewed there; an issuer's at /oidc, by a refresh token"
            )
        claims, user = self._find(token)
        if time.time() - claims.signed_in_at > RENEWABLE_SECONDS:
            hours = RENEWABLE_SECONDS // 3600
            raise Unauthenticated(f"a token is renewed for {hours} hours after the password was given: sign in again")
        return self._tokens.sign(user.name, user.entry, int(claims.signed_in_at))

    async def login(self, username: str, password: str, *, address: str = "") -> str:
        """A token for the user, who asks from this address.

        Raises InvalidCredentials, after the same time for a wrong name as for a wrong password, and TooManyLogins.
        """
        if not username or not password or len(password) > MAX_PASSWORD_CHARACTERS:
            raise InvalidCredentials
        address = normalise_address(address)
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS), self._attempts.one_of(address, username):
                token = await self._login(username, password, address)
        except TimeoutError as error:
            self.sign_ins.note("delayed")
            raise TooManyLogins from error
        except (TooManyLogins, InvalidCredentials) as error:
            self.sign_ins.note("delayed" if isinstance(error, TooManyLogins) else "refused")
            raise
        self.sign_ins.note("ok", time.perf_counter() - begun)
        return token

    async def _login(self, username: str, password: str, address: str) -> str:
        self._attempts.check(address, username)
        user = self._directory.get_user(username)
        right = await self._passwords.matches(
            (user.password_hash or None) if user else None,
            password,
            address=address,
            stand_in=self._directory.get_stand_in(self._tokens.number(username)),
            on_wrong=lambda: self._attempts.add_failure(address, username),
        )
        if user is None or not right:
            # An unknown name stays out of the log: it may be a password typed into the wrong field.
            _log.warning("sign-in refused for %s", f"user {user.name!r}" if user else "an unknown user")
            raise InvalidCredentials(user.name if user else None)
        self._attempts.add_success(address, username)
        return self._tokens.sign(user.name, user.entry)

    def _admit(self, identity: Identity) -> Principal:
        user = self._directory.get_user(identity.name)
        if user is not None and user.password_hash:
            # Two people of one name would share what is counted and written down by names, and what members grant it.
            raise Forbidden(
                f"{identity.name[:200]!r}, as you are called elsewhere, is the name of a user with a password here: a "
                "prefix for names from there, or the entry without its password_hash, would tell who is meant"
            )
        return admit(identity, self._directory.find_entries(identity.name, identity.groups), self._default_role)

    def _identify_script(self, secret: str) -> Principal:
        token = self._access_tokens.find(secret)
        user = self._directory.get_user(token.owner)
        if user is None:
            raise Unauthenticated("the owner of this access token does not exist any more")
        if token.owner_entry != build_owner_entry(user):
            raise Unauthenticated("this access token was ended by a new password or a sign-out of its owner")
        named, scope = f"access token {token.name}", user.scope.narrow(token.scope)
        return Principal(user.name, scope, user.groups, token.expires_at, user.writes, credential=named)

    def _find(self, token: str) -> tuple[Claims, User]:
        claims = self._tokens.verify(token)
        user = self._directory.get_user(claims.user)
        if user is None:
            raise Unauthenticated("the user of this token does not exist any more")
        ended = claims.entry is None and 0 < user.signed_out_at >= claims.issued_at
        if ended or not self._tokens.is_for(claims, user.entry):
            raise Unauthenticated("this token was ended by a new password or a sign-out: sign in again")
        return claims, user


class ImpersonatingAuthenticator(Authenticator):
    """The same where members decide what a caller may see: each principal sees nothing until they were asked."""

    async def authenticate(self, credential: Credential) -> Principal:
        return (await super().authenticate(credential)).as_subject()


@asynccontextmanager
async def open_authenticator(
    options: AuthOptions, reviewed: IdentitySource | None = None, find_labels: FindLabels = _find_none
) -> AsyncIterator[Authenticator]:
    """Opens the users, the access tokens and the threads passwords are checked in. Raises FileInvalid.

    `reviewed` is asked about tokens that are nobody else's, `find_labels` which labels the clusters have.
    """
    async with AsyncExitStack() as stack:
        passwords = stack.enter_context(open_passwords())
        administrator = None
        if options.administrator is not None:
            name, password = options.administrator
            administrator = await asyncio.to_thread(build_administrator, name, password)
        directory = await stack.enter_async_context(
            open_directory(options.users_file, administrator, poll_seconds=options.poll_seconds)
        )
        access_tokens = await stack.enter_async_context(
            open_access_tokens(options.tokens_file, poll_seconds=options.poll_seconds)
        )
        if not len(directory) and reviewed is None and not (options.issuers and options.default_role):
            _log.warning(NOBODY)
        tokens = Tokens(options.signing_key, options.token_lifetime, options.verification_keys)
        sources: list[IdentitySource] = []
        desk = None
        if options.issuers:
            from auth.oidc.tokens import open_oidc_tokens  # a library that others need not wait for

            oidc = await stack.enter_async_context(open_oidc_tokens(options.issuers))
            sources.append(oidc)
            desk = Desk(options.issuers, oidc.find_document)
        if reviewed is not None:
            sources.append(reviewed)
        kind = ImpersonatingAuthenticator if options.impersonate else Authenticator
        yield kind(tokens, access_tokens, directory, passwords, sources, options.default_role, desk, find_labels)
