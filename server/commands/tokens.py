"""`openmcp-apiserver token`: access tokens for scripts. A token is printed once, when it is made."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from auth.access_tokens import (
    AccessToken,
    build_digest,
    build_owner_entry,
    load_access_tokens,
    new_secret,
    save_access_tokens,
)
from auth.directory import build_administrator
from auth.errors import FileInvalid
from auth.files import locked
from auth.users import User, load_users
from fleet.model.visibility import Role, Scope
from server.commands.errors import CliError, check_selector, describe_clusters, examples, format_table
from server.settings.units import parse_seconds

_WILDCARDS = "*?["

_file_option = click.option(
    "--file",
    "path",
    envvar="OPENMCP_TOKENS_FILE",
    show_envvar=True,
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The tokens file.",
)


@click.group(
    epilog=examples(
        "token list --file tokens.yaml",
    )
)
def token() -> None:
    """Create, list and revoke access tokens for scripts."""


@token.command(
    epilog=examples(
        "token create ci --owner alice --expires-in 90d --file tokens.yaml --users-file users.yaml",
    )
)
@click.argument("name")
@click.option("--owner", required=True, help="The user whose rights it has at most.")
@click.option("--role", type=click.Choice([role.name.lower() for role in Role]), default="view", show_default=True)
@click.option("--cluster", "clusters", multiple=True, default=["*"], help="Pattern of its clusters; may be repeated.")
@click.option(
    "--namespace", "namespaces", multiple=True, default=["*"], help="Pattern of its namespaces; may be repeated."
)
@click.option("--cluster-labels", help="Selector of its clusters by labels, such as env=prod.")
@click.option("--expires-in", required=True, help="How long it counts, such as 90d or 12h; or never, until revoked.")
@_file_option
@click.option(
    "--users-file",
    envvar="OPENMCP_USERS_FILE",
    show_envvar=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The users file.",
)
@click.option("--administrator", envvar=["OPENMCP_USER_NAME", "API_USER_NAME"], hidden=True)
@click.option("--password", envvar=["OPENMCP_USER_PASSWORD", "API_USER_PW"], hidden=True)
def create(
    name: str,
    owner: str,
    role: str,
    clusters: tuple[str, ...],
    namespaces: tuple[str, ...],
    cluster_labels: str | None,
    expires_in: str,
    path: Path,
    users_file: Path | None,
    administrator: str | None,
    password: str | None,
) -> None:
    """Make a token, and print it: it is not kept, and can't be told again."""
    is_administrator = owner == administrator and password
    user = build_administrator(owner, password or "") if is_administrator else _get_user(owner, users_file)
    if not 1 <= len(name.strip()) <= len(name) <= 100 or not name.isprintable():
        raise CliError("the name must have 1 to 100 printable characters")
    secret, now = new_secret(), int(time.time())
    made = AccessToken(
        name=name,
        owner=owner,
        digest=build_digest(secret),
        owner_entry=build_owner_entry(user),
        role=role,  # type: ignore[arg-type]  # one of the choices
        created_at=now,
        expires_at=_parse_end(expires_in, now),
        clusters=clusters,
        namespaces=namespaces,
        cluster_labels=cluster_labels,
    )
    if cluster_labels is not None:
        check_selector(cluster_labels)
    _check_reach(user, made)
    with _changing(path) as tokens:
        if any(other.name == name for other in tokens):
            raise CliError(f"token {name!r} is there already; `token revoke` takes it out")
        tokens.append(made)
    click.echo(secret)
    click.echo(f"token {name} of {owner} made; keep it now, it is not shown again", err=True)


@token.command(
    "list",
    epilog=examples(
        "token list --file tokens.yaml",
    ),
)
@_file_option
def list_tokens(path: Path) -> None:
    """List tokens with their owners and what they may do at most."""
    rows = [("NAME", "OWNER", "ROLE", "CLUSTERS", "NAMESPACES", "CREATED", "EXPIRES")]
    for entry in _load(path):
        reach = (describe_clusters(entry.scope), ",".join(entry.namespaces) or "-")
        end = "never" if entry.expires_at is None else _format_time(entry.expires_at)
        end += " (has expired)" if entry.has_expired else ""
        rows.append((entry.name, entry.owner, entry.role, *reach, _format_time(entry.created_at), end))
    click.echo(format_table(rows))


@token.command(
    epilog=examples(
        "token revoke ci --file tokens.yaml",
    )
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_file_option
def revoke(names: tuple[str, ...], path: Path) -> None:
    """Take tokens out: they stop to count within a second, and their streams end within five."""
    with _changing(path, may_be_missing=False) as tokens:
        if missing := set(names) - {entry.name for entry in tokens}:
            raise CliError(f"there is no token {', '.join(map(repr, sorted(missing)))} in {path}")
        tokens[:] = [entry for entry in tokens if entry.name not in names]
    click.echo(f"revoked: {', '.join(names)}")


def _get_user(name: str, users_file: Path | None) -> User:
    if users_file is None:
        raise CliError(f"user {name!r} is looked for in the users file: name it by --users-file or OPENMCP_USERS_FILE")
    try:
        users = load_users(users_file)
    except FileInvalid as error:
        raise CliError(str(error)) from error
    if name not in users or users[name].is_group:
        raise CliError(f"there is no user {name!r} in {users_file}")
    return users[name]


def _parse_end(text: str, now: int) -> int | None:
    if text == "never":
        return None
    seconds = parse_seconds(text)
    if not isinstance(seconds, float) or not 1 <= seconds < 100 * 365 * 86400:
        raise CliError(f"--expires-in is {text!r}, must be a duration such as 90d, 12h or 1h30m, or never")
    return now + math.ceil(seconds)


def _check_reach(owner: User, made: AccessToken) -> None:
    """Raises CliError for what the owner may not do. What a pattern matches, only the clusters themselves tell."""
    scope, own = made.scope, owner.scope
    if scope.role > own.role:
        raise CliError(
            f"user {owner.name!r} has role {own.role.name.lower()}: a token of theirs can't have {made.role}"
        )
    for what, names, patterns in (
        ("cluster", scope.clusters, own.clusters),
        ("namespace", scope.namespaces, own.namespaces),
    ):
        reach = Scope(own.role, patterns)
        for name in names:
            if not any(sign in name for sign in _WILDCARDS) and not reach.sees_cluster(name):
                raise CliError(f"user {owner.name!r} does not reach {what} {name!r}: their patterns are {patterns}")


def _format_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ")


def _load(path: Path) -> list[AccessToken]:
    try:
        return load_access_tokens(path)
    except FileInvalid as error:
        raise CliError(str(error)) from error


@contextmanager
def _changing(path: Path, *, may_be_missing: bool = True) -> Iterator[list[AccessToken]]:
    """The tokens, saved at the end of the `with`; whoever else changes them waits."""
    try:
        with locked(path, "tokens file"):
            tokens = [] if may_be_missing and not path.exists() else load_access_tokens(path)
            yield tokens
            save_access_tokens(path, tokens)
    except FileInvalid as error:
        raise CliError(str(error)) from error
