"""Tries who may sign in: the key, the users file, issuers, trusted documents."""

import asyncio
from collections.abc import Mapping

from pydantic import SecretStr

from auth.authenticator import NOBODY, open_authenticator
from auth.errors import AuthError
from auth.oidc.calls import load_key_set
from fleet.model.told import detail_of
from graph.http.persisted_manifest import ManifestInvalid, read_manifest
from graph.schema import schema
from server.check.rows import Row
from server.lifespan import build_auth_options, build_issuers
from server.own_command import own_command
from server.reach import find_unmatched
from server.settings.environment import SettingsInvalid
from server.settings.groups import NO_SIGNING_KEY, PUBLISHED_SIGNING_KEY, Settings

KEY_BYTES = 32
"""As much as a hash of HS256 has: RFC 7518, section 3.2."""

_NEW_KEY = "export OPENMCP_SIGNING_KEY=$(openssl rand -hex 32)"
_PLACEHOLDER = SecretStr("of nobody: no token is signed while a configuration is tried")


def check_key(settings: Settings) -> Row:
    """Whether tokens can be signed, and whether somebody could guess the key."""
    what, key = "signing key", settings.auth.signing_key
    if key is None:
        return Row(what, "ill", NO_SIGNING_KEY, _NEW_KEY)
    value = key.get_secret_value()
    if value == PUBLISHED_SIGNING_KEY:
        said = "the one that the platform publishes: whoever has read it can sign tokens for any user"
        return Row(what, "warn", said, _NEW_KEY)
    if len(value.encode()) < KEY_BYTES or len(set(value)) < KEY_BYTES // 4:
        said = f"weak: whoever has a token can guess at it; {KEY_BYTES} random bytes can't be guessed"
        return Row(what, "warn", said, _NEW_KEY)
    return Row(what, "ok", f"there, {len(value.encode())} bytes")


async def check_users(settings: Settings, clusters: Mapping[str, Mapping[str, str]]) -> Row:
    """`clusters` are labels by name."""
    try:
        async with open_authenticator(build_auth_options(_with_key(settings))) as authenticator:
            users = authenticator.list_users()
    except (AuthError, SettingsInvalid) as error:
        return Row("users", "ill", detail_of(error))
    file = f"--file {settings.auth.users_file or 'users.yaml'}"
    if not (users or settings.oidc.default_role or settings.auth.token_review):
        return Row("users", "warn", f"can be used, but {NOBODY}", f"{own_command()} user add NAME --role admin {file}")
    said = [f"{len(users)} can be used", *find_unmatched(users, clusters, clusters)]
    mend = f"{own_command()} user set-role NAME ROLE --cluster PATTERN {file}" if said[1:] else ""
    return Row("users", "warn" if said[1:] else "ok", ", but ".join(said), mend)


def _with_key(settings: Settings) -> Settings:
    """The key has a row of its own."""
    if settings.auth.signing_key is not None:
        return settings
    return settings.model_copy(update={"auth": settings.auth.model_copy(update={"signing_key": _PLACEHOLDER})})


async def check_issuers(settings: Settings) -> list[Row]:
    """A row an issuer, which is asked for its keys."""
    try:
        issuers = build_issuers(settings.oidc)
    except AuthError:
        return []  # the row of users says it
    rows = []
    for issuer in issuers:
        try:
            _, keys = await asyncio.to_thread(load_key_set, issuer)
            rows.append(Row(f"issuer {issuer.url}", "ok", f"publishes {len(keys)} keys"))
        except AuthError as error:
            rows.append(Row(f"issuer {issuer.url}", "ill", str(error)))
    return rows


def check_documents(settings: Settings) -> list[Row]:
    """A row where trusted documents are set: the file, and each text against the schema."""
    path, what = settings.graph.trusted_documents, "trusted documents"
    if path is None:
        return []
    try:
        texts = read_manifest(path)
    except ManifestInvalid as error:
        return [Row(what, "ill", f"{path} {error}")]
    outdated = sorted(name for name, text in texts.items() if schema.find_mistakes(text))
    if outdated:
        return [Row(what, "ill", f"not of this schema (any more): {', '.join(outdated[:5])}")]
    return [Row(what, "ok", f"{len(texts)} can be asked")]
