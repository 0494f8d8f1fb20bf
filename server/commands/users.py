"""`openmcp-apiserver user`: the users file, without an editor. No hash and no password is ever printed."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from msgspec.structs import replace

from auth.errors import FileInvalid
from auth.files import locked
from auth.passwords import MAX_PASSWORD_CHARACTERS, hash_password
from auth.users import User, load_users, save_users
from fleet.model.visibility import Role, Scope
from server.commands.errors import (
    CliError,
    ask_password,
    check_selector,
    describe_clusters,
    examples,
    format_table,
    password_option,
)

SHORTEST_PASSWORD = 8

_ROLES = click.Choice([role.name.lower() for role in Role])

file_option = click.option(
    "--file",
    "path",
    envvar="OPENMCP_USERS_FILE",
    show_envvar=True,
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The users file.",
)


@click.group(
    epilog=examples(
        "user list --file users.yaml",
    )
)
def user() -> None:
    """Add, remove and list users, set their roles and passwords, say what they may do, sign them out."""


@user.command(
    epilog=examples(
        "user add alice --role edit --namespace 'shop-*' --file users.yaml",
        "user add bob@example.org --role view --elsewhere --file users.yaml",
    )
)
@click.argument("name")
@click.option("--role", type=_ROLES, required=True)
@click.option(
    "--cluster", "clusters", multiple=True, default=["*"], help="Pattern of clusters in reach; may be repeated."
)
@click.option(
    "--namespace", "namespaces", multiple=True, default=["*"], help="Pattern of namespaces in reach; may be repeated."
)
@click.option("--cluster-labels", help="Selector of clusters in reach by their labels, such as env=prod.")
@click.option("--group", "groups", multiple=True, help="A group the user is in; may be repeated.")
@click.option("--write", "writes", multiple=True, help="A kind that role edit writes besides; may be repeated.")
@click.option(
    "--elsewhere", is_flag=True, help="The user signs in elsewhere, by OIDC for instance: no password is asked."
)
@click.option("--as-group", is_flag=True, help="NAME is a group of users who sign in elsewhere.")
@password_option
@file_option
def add(
    name: str,
    role: str,
    clusters: tuple[str, ...],
    namespaces: tuple[str, ...],
    cluster_labels: str | None,
    groups: tuple[str, ...],
    writes: tuple[str, ...],
    path: Path,
    *,
    elsewhere: bool,
    as_group: bool,
) -> None:
    """Add a user or a group; asks for the password of who signs in here, or takes OPENMCP_PASSWORD."""
    if cluster_labels is not None:
        check_selector(cluster_labels)
    scope = Scope(Role[role.upper()], clusters, namespaces, cluster_labels=cluster_labels or "")
    # Of who proves elsewhere who they are, what they have there counts at once.
    signed_out_at = 0 if as_group or elsewhere else int(time.time())
    added = User(name, "", scope, groups, writes, signed_out_at, as_group)
    _refuse_known(load_entries(path) if path.exists() else (), added)  # before a password is asked for
    if not name.strip():
        raise CliError("the name must not be empty")
    if not elsewhere and not as_group:
        added = replace(added, password_hash=_hash_new_password())
    with _changing(path, may_be_missing=True) as users:
        _refuse_known(users, added)
        users[added.label] = added
    click.echo(f"{'' if as_group else 'user '}{added.label} added with role {role}")


@user.command(
    "set-role",
    epilog=examples(
        "user set-role alice admin --file users.yaml",
        "user set-role 'group devs' edit --cluster 'dev-*' --file users.yaml",
    ),
)
@click.argument("name")
@click.argument("role", type=_ROLES)
@click.option("--cluster", "clusters", multiple=True, help="Pattern of clusters in reach, in the place of those there.")
@click.option("--namespace", "namespaces", multiple=True, help="The same of namespaces.")
@click.option("--cluster-labels", help="Selector of clusters by labels; an empty one takes it out.")
@file_option
def set_role(
    name: str, role: str, clusters: tuple[str, ...], namespaces: tuple[str, ...], cluster_labels: str | None, path: Path
) -> None:
    """Give a user, or `group NAME`, another role or reach; it counts within a second, nobody is signed out."""
    if cluster_labels:
        check_selector(cluster_labels)
    with _changing(path) as users:
        found = get_entry(users, name, path)
        labels = found.scope.cluster_labels if cluster_labels is None else cluster_labels
        scope = replace(
            found.scope,
            role=Role[role.upper()],
            clusters=clusters or found.scope.clusters,
            namespaces=namespaces or found.scope.namespaces,
            cluster_labels=labels,
        )
        users[name] = replace(found, scope=scope)
    click.echo(f"user {name} has role {role}")


@user.command(
    epilog=examples(
        "user remove alice --file users.yaml",
    )
)
@click.argument("name")
@file_option
def remove(name: str, path: Path) -> None:
    """Remove a user, or `group NAME`; their tokens stop to count within a second."""
    with _changing(path) as users:
        get_entry(users, name, path)
        del users[name]
    click.echo(f"user {name} removed")


@user.command(
    epilog=examples(
        "user passwd alice --password-stdin --file users.yaml < password",
    )
)
@click.argument("name")
@password_option
@file_option
def passwd(name: str, path: Path) -> None:
    """Set a user's password, and sign them out; asks for it, or takes OPENMCP_PASSWORD."""
    _get_person(load_entries(path), name, path)  # before a password is asked for
    password_hash = _hash_new_password()
    with _changing(path) as users:
        found = _get_person(users, name, path)
        users[name] = replace(found, password_hash=password_hash, signed_out_at=_end(found))
    click.echo(f"password of user {name} set")


@user.command(
    epilog=examples(
        "user logout alice --file users.yaml",
    )
)
@click.argument("name")
@file_option
def logout(name: str, path: Path) -> None:
    """Sign a user out: tokens and streams end within seconds; who knows the password may sign in again."""
    with _changing(path) as users:
        found = _get_person(users, name, path)
        users[name] = replace(found, signed_out_at=_end(found))
    click.echo(f"user {name} signed out")


@user.command(
    "list",
    epilog=examples(
        "user list --file users.yaml",
    ),
)
@file_option
def list_users(path: Path) -> None:
    """List users with their roles and reach."""
    rows: list[tuple[str, ...]] = [("NAME", "ROLE", "CLUSTERS", "NAMESPACES", "GROUPS", "WRITES")]
    for entry in load_entries(path).values():
        scope = entry.scope
        parts = (",".join(part) or "-" for part in (scope.namespaces, entry.groups, entry.writes))
        rows.append((entry.label, scope.role.name.lower(), describe_clusters(scope), *parts))
    click.echo(format_table(rows))


def _end(user: User) -> int:
    """Now, and never the same time twice."""
    return max(int(time.time()), user.signed_out_at + 1)


def _hash_new_password() -> str:
    password = ask_password(confirm=True)
    if not SHORTEST_PASSWORD <= len(password) <= MAX_PASSWORD_CHARACTERS:
        raise CliError(f"the password must have {SHORTEST_PASSWORD} to {MAX_PASSWORD_CHARACTERS} characters")
    return hash_password(password)


@contextmanager
def _changing(path: Path, *, may_be_missing: bool = False) -> Iterator[dict[str, User]]:
    """The users, saved at the end of the `with`; whoever else changes them waits."""
    try:
        with locked(path, "users file"):
            users = {} if may_be_missing and not path.exists() else load_users(path)
            yield users
            save_users(path, users.values())
    except FileInvalid as error:
        raise CliError(str(error)) from error


def load_entries(path: Path) -> dict[str, User]:
    try:
        return load_users(path)
    except FileInvalid as error:
        raise CliError(str(error)) from error


def get_entry(users: dict[str, User], name: str, path: Path) -> User:
    if name not in users:
        raise CliError(f"there is no user {name!r} in {path}")
    return users[name]


def _get_person(users: dict[str, User], name: str, path: Path) -> User:
    found = get_entry(users, name, path)
    if found.is_group:
        raise CliError(f"{name!r} is a group: its members have passwords, and are signed out, by their own names")
    return found


def _refuse_known(users: Collection[str], added: User) -> None:
    if added.label in users:
        raise CliError(
            f"user {added.name!r} is there already; `user passwd` sets a password, `user remove` takes them out"
        )
