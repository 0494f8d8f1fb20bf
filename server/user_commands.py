"""`openmcp-apiserver user`: the users file, without an editor. No hash and no password is ever printed."""

import time
from pathlib import Path

import click
from msgspec.structs import replace

from auth.errors import UsersFileInvalid
from auth.passwords import MAX_PASSWORD_CHARACTERS, hash_password
from auth.users import User, load_users, save_users
from fleet.model.visibility import Role, Scope
from server.cli_errors import CliError, ask_password

SHORTEST_PASSWORD = 8

_file_option = click.option(
    "--file",
    "path",
    envvar="OPENMCP_USERS_FILE",
    show_envvar=True,
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The users file.",
)


@click.group()
def user() -> None:
    """Add, remove and list users, set their passwords, sign them out."""


@user.command()
@click.argument("name")
@click.option("--role", type=click.Choice([role.name.lower() for role in Role]), required=True)
@click.option(
    "--cluster", "clusters", multiple=True, default=["*"], help="Pattern of clusters in reach; may be repeated."
)
@click.option(
    "--namespace", "namespaces", multiple=True, default=["*"], help="Pattern of namespaces in reach; may be repeated."
)
@click.option("--group", "groups", multiple=True, help="A group the user is in; may be repeated.")
@click.option("--write", "writes", multiple=True, help="A kind that role edit writes besides; may be repeated.")
@click.option(
    "--elsewhere", is_flag=True, help="The user signs in elsewhere, by OIDC for instance: no password is asked."
)
@click.option("--as-group", is_flag=True, help="NAME is a group of users who sign in elsewhere.")
@_file_option
def add(
    name: str,
    role: str,
    clusters: tuple[str, ...],
    namespaces: tuple[str, ...],
    groups: tuple[str, ...],
    writes: tuple[str, ...],
    path: Path,
    *,
    elsewhere: bool,
    as_group: bool,
) -> None:
    """Add a user or a group; asks for the password of who signs in here, or takes OPENMCP_PASSWORD."""
    users = _load(path, may_be_missing=True)
    scope = Scope(Role[role.upper()], clusters, namespaces)
    added = User(name, "", scope, groups, writes, 0 if as_group else int(time.time()), as_group)
    if added.label in users:
        raise CliError(f"user {name!r} is there already; `user passwd` sets a password, `user remove` takes them out")
    if not name.strip():
        raise CliError("the name must not be empty")
    if not elsewhere and not as_group:
        added = replace(added, password_hash=_hash_new_password())
    _save(path, {**users, added.label: added})
    click.echo(f"{'' if as_group else 'user '}{added.label} added with role {role}")


@user.command()
@click.argument("name")
@_file_option
def remove(name: str, path: Path) -> None:
    """Remove a user, or `group NAME`; their tokens stop to count within a second."""
    users = _load(path)
    _get(users, name, path)
    _save(path, {key: entry for key, entry in users.items() if key != name})
    click.echo(f"user {name} removed")


@user.command()
@click.argument("name")
@_file_option
def passwd(name: str, path: Path) -> None:
    """Set a user's password, and sign them out; asks for it, or takes OPENMCP_PASSWORD."""
    users = _load(path)
    found = _get(users, name, path)
    if found.is_group:
        raise CliError(f"{name!r} is a group, which has no password")
    _save(path, {**users, name: replace(found, password_hash=_hash_new_password(), signed_out_at=_end(found))})
    click.echo(f"password of user {name} set")


@user.command()
@click.argument("name")
@_file_option
def logout(name: str, path: Path) -> None:
    """Sign a user out: tokens and streams end within seconds; who knows the password may sign in again."""
    users = _load(path)
    found = _get(users, name, path)
    if found.is_group:
        raise CliError(f"{name!r} is a group: its members are signed out by their own names")
    _save(path, {**users, name: replace(found, signed_out_at=_end(found))})
    click.echo(f"user {name} signed out")


@user.command("list")
@_file_option
def list_users(path: Path) -> None:
    """List users with their roles and reach."""
    rows: list[tuple[str, ...]] = [("NAME", "ROLE", "CLUSTERS", "NAMESPACES", "GROUPS", "WRITES")]
    for entry in _load(path).values():
        scope = entry.scope
        reach = (",".join(part) or "-" for part in (scope.clusters, scope.namespaces, entry.groups, entry.writes))
        rows.append((entry.label, scope.role.name.lower(), *reach))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _end(user: User) -> int:
    """Now, and never the same time twice."""
    return max(int(time.time()), user.signed_out_at + 1)


def _hash_new_password() -> str:
    password = ask_password(confirm=True)
    if not SHORTEST_PASSWORD <= len(password) <= MAX_PASSWORD_CHARACTERS:
        raise CliError(f"the password must have {SHORTEST_PASSWORD} to {MAX_PASSWORD_CHARACTERS} characters")
    return hash_password(password)


def _load(path: Path, *, may_be_missing: bool = False) -> dict[str, User]:
    if may_be_missing and not path.exists():
        return {}
    try:
        return load_users(path)
    except UsersFileInvalid as error:
        raise CliError(str(error)) from error


def _save(path: Path, users: dict[str, User]) -> None:
    try:
        save_users(path, users.values())
    except UsersFileInvalid as error:
        raise CliError(str(error)) from error


def _get(users: dict[str, User], name: str, path: Path) -> User:
    if name not in users:
        raise CliError(f"there is no user {name!r} in {path}")
    return users[name]
