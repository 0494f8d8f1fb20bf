"""Users and the file they are kept in: YAML, a list of entries.

```yaml
- name: alice
  password_hash: $argon2id$v=19$m=19456,t=2,p=1$...
  role: view                  # view, edit or admin
  clusters: [cluster*]        # shell patterns; left out: all
  cluster_labels: env=prod    # of these the clusters whose labels match; left out: all
  namespaces: [team-a]        # shell patterns; left out: all
  groups: [developers]        # left out: none
  writes: [widgets.acme.io]   # what role edit writes beyond Kubernetes' own edit: RESOURCE.GROUP, RESOURCE/SUB.GROUP,
                              # *.GROUP, of the core group RESOURCE; left out: nothing
  signed_out_at: 1764500000   # when `user logout` ended all tokens, in Unix seconds; left out: never
- name: bob@example.org       # without a hash: who signs in elsewhere, at an OIDC issuer for instance
  role: edit
- group: oidc:team-a          # all of this group who sign in elsewhere; role, clusters, namespaces and writes as above
  role: edit
  namespaces: [team-a]
```

Who signs in elsewhere may do what the entry of their name gives and what those of their groups give, each by itself.
Entries with a hash are never theirs, whatever they are called elsewhere.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from auth.errors import FileInvalid
from auth.files import load_yaml, save_yaml
from auth.passwords import is_password_hash
from fleet.model.errors import InvalidQuery
from fleet.model.label_selector import parse_requirements
from fleet.model.visibility import Role, Scope

_RIGHTS = ("role", "clusters", "cluster_labels", "namespaces", "writes")
_FIELDS = ("name", "password_hash", *_RIGHTS, "groups", "signed_out_at")
_GROUP_FIELDS = ("group", *_RIGHTS)
_ROLES = {role.name.lower(): role for role in Role}
_WRITTEN = re.compile(r"\*(\.[a-z0-9-]+)+|[a-z0-9-]+(/[a-z0-9-]+)?(\.[a-z0-9-]+)*")


class User(Struct, frozen=True):
    """Somebody who may sign in: here, or elsewhere where there is no `password_hash`; all of a group if `is_group`.

    `signed_out_at` (Unix seconds) is when all of their tokens were ended, 0: never.
    """

    name: str
    password_hash: str
    scope: Scope
    groups: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    signed_out_at: int = 0
    is_group: bool = False

    @property
    def label(self) -> str:
        """The entry's name in messages, and among all entries."""
        return f"group {self.name}" if self.is_group else self.name

    @property
    def entry(self) -> str:
        """What a token is given for: a password that is set, be it the same, and a sign-out make it another."""
        return f"{self.signed_out_at} {self.password_hash}"

    def __repr__(self) -> str:
        """Without the hash, which belongs in no log."""
        return f"User({self.name!r}, {self.scope!r}, {self.groups!r}, {self.writes!r})"


def load_users(path: Path, *, may_be_empty: bool = True) -> dict[str, User]:
    """All entries of the file by their labels. Raises FileInvalid, which names every wrong entry."""
    content = load_yaml(path, "users file")
    if content is None and not may_be_empty:
        raise FileInvalid(f"users file {path}: is empty; to have no user write []")
    return parse_users(content, str(path))


def parse_users(content: object, source: str) -> dict[str, User]:
    """Users from the decoded file. Raises FileInvalid; `source` is how the message names the file."""
    if content is None:
        return {}
    if not isinstance(content, list):
        raise FileInvalid(f"users file {source}: must be a list of users, is a {type(content).__name__}")
    users: dict[str, User] = {}
    problems: list[str] = []
    for number, entry in enumerate(content, 1):
        found, wrong = _parse_entry(entry, number)
        if found is not None and found.label in users:
            wrong = [f"user {found.label!r}: name: is there twice"]
        if found is not None and not wrong:
            users[found.label] = found
        problems += wrong
    if problems:
        raise FileInvalid(f"users file {source}: " + "; ".join(problems))
    return users


def save_users(path: Path, users: Iterable[User]) -> None:
    """Writes the file whole or not at all, readable by its owner only. Raises FileInvalid."""
    entries = [_as_entry(user) for user in users]
    parse_users(entries, str(path))
    save_yaml(path, "users file", entries)


def find_selector_mistake(selector: object) -> str | None:
    """What is wrong with a label selector that is to limit somebody; None where nothing is."""
    if not isinstance(selector, str) or not selector.strip():
        return "must be a label selector such as env=prod; to reach all clusters leave it out"
    try:
        parse_requirements(selector)
    except InvalidQuery as error:
        return str(error)
    return None


def _as_entry(user: User) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "group" if user.is_group else "name": user.name,
        **({"password_hash": user.password_hash} if user.password_hash else {}),
        "role": user.scope.role.name.lower(),
        "clusters": list(user.scope.clusters),
        "namespaces": list(user.scope.namespaces),
    }
    if user.scope.cluster_labels:
        entry["cluster_labels"] = user.scope.cluster_labels
    for field in ("groups", "writes"):
        if values := getattr(user, field):
            entry[field] = list(values)
    if user.signed_out_at:
        entry["signed_out_at"] = user.signed_out_at
    return entry


def _parse_entry(entry: object, number: int) -> tuple[User | None, list[str]]:
    if not isinstance(entry, dict):
        return None, [f"entry {number}: must be a mapping, is a {type(entry).__name__}"]
    what = "group" if "group" in entry else "name"
    name = entry.get(what)
    named = isinstance(name, str) and bool(name.strip())
    label = f"{'group' if what == 'group' else 'user'} {name!r}" if named else f"entry {number}"
    problems = [] if named else [f"{label}: {what}: must be a text that is not empty"]
    problems += [f"{label}: {field}: {wrong}" for field, wrong in _wrong_fields(entry)]
    if problems:
        return None, problems
    scope = Scope(
        role=_ROLES[entry["role"]],
        clusters=tuple(entry.get("clusters", ["*"])),
        namespaces=tuple(entry.get("namespaces", ["*"])),
        cluster_labels=entry.get("cluster_labels", ""),
    )
    groups, writes = (tuple(entry.get(field, [])) for field in ("groups", "writes"))
    signed_out_at = entry.get("signed_out_at", 0)
    return User(entry[what], entry.get("password_hash", ""), scope, groups, writes, signed_out_at, what == "group"), []


def _wrong_fields(entry: Mapping[Any, Any]) -> Iterable[tuple[str, str]]:
    password_hash = entry.get("password_hash")
    if "password_hash" in entry and not (isinstance(password_hash, str) and is_password_hash(password_hash)):
        yield (
            "password_hash",
            "must be an argon2id hash ($argon2id$...), as `openmcp-apiserver user add` writes it, or be left out",
        )
    if not isinstance(entry.get("role"), str) or entry["role"] not in _ROLES:
        yield "role", f"is {entry.get('role')!r}, must be one of {', '.join(_ROLES)}"
    for field in ("clusters", "namespaces", "groups", "writes"):
        values = entry.get(field, [])
        if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
            yield field, "must be a list of texts that are not empty"
        elif field == "writes" and not all(_WRITTEN.fullmatch(value) for value in values):
            yield (
                field,
                "must be names as kubectl takes them, such as widgets.acme.io, widgets/scale.acme.io, *.acme.io",
            )
    if "cluster_labels" in entry and (wrong := find_selector_mistake(entry["cluster_labels"])):
        yield "cluster_labels", wrong
    if entry.get("writes") and entry.get("role") != "edit":
        yield "writes", "adds to role edit alone: view writes nothing, admin everything"
    signed_out_at = entry.get("signed_out_at", 0)
    if type(signed_out_at) is not int or signed_out_at < 0:
        yield (
            "signed_out_at",
            "must be a whole number of seconds since 1970, as `openmcp-apiserver user logout` writes it",
        )
    known = _GROUP_FIELDS if "group" in entry else _FIELDS
    for field in entry:
        if field not in known:
            yield str(field)[:50], f"is not known; known are {', '.join(known)}"
