"""Access tokens: for scripts, each with a name and an owner among the users, in a YAML file of their own.

```yaml
- name: deploy
  owner: alice
  digest: sha256:...          # of the token, which is shown once
  owner_entry: ...            # of the owner's entry as it was: a new password or a sign-out makes it another
  role: view                  # of the owner's no more than this
  created_at: 1764500000      # Unix seconds
  expires_at: 1772276000      # left out: never
  clusters: [cluster*]        # shell patterns, of what the owner reaches; left out: all of it
  cluster_labels: env=prod    # of these the clusters whose labels match; left out: all
  namespaces: [team-a]
```

A token is `omcp_`, by which secret scanners find it, 30 random letters and digits (178 bits), and 6 that are the CRC-32
of these, so that half a token is told from one that was revoked. Its digest is a plain SHA-256: slow hashes such as
argon2 are for what can be guessed.
"""

import hashlib
import secrets
import string
import time
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from auth.errors import FileInvalid, Unauthenticated
from auth.files import WatchedFile, load_yaml, save_yaml, watching
from auth.users import User, find_selector_mistake
from fleet.model.visibility import Role, Scope

PREFIX = "omcp_"
_ALPHABET = string.digits + string.ascii_letters
_RANDOM, _CHECKSUM = 30, 6
_NAMED = "tokens file"

_Text = Annotated[str, Meta(min_length=1)]
_Time = Annotated[int, Meta(ge=0)]


class AccessToken(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the file says of one. Times are in Unix seconds."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    owner: _Text
    digest: Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}\Z")]
    owner_entry: _Text
    role: Literal["view", "edit", "admin"]
    created_at: _Time
    expires_at: _Time | None = None
    clusters: tuple[_Text, ...] = ("*",)
    namespaces: tuple[_Text, ...] = ("*",)
    cluster_labels: str | None = None

    @property
    def scope(self) -> Scope:
        """What it may do at most; never more than its owner."""
        return Scope(Role[self.role.upper()], self.clusters, self.namespaces, cluster_labels=self.cluster_labels or "")

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= time.time()


class AccessTokens:
    """Those of a file, as they are now. Without a path there are none."""

    def __init__(self, path: Path | None) -> None:
        self.file: WatchedFile[Mapping[str, AccessToken]] | None = None
        if path is not None:
            self.file = WatchedFile(path, _NAMED, lambda last: _load(path, may_be_empty=not last))

    @property
    def problem(self) -> str | None:
        """What is wrong with the file while its last good content is still used."""
        return None if self.file is None else self.file.problem

    def find(self, secret: str) -> AccessToken:
        """The token that counts. Raises Unauthenticated with the reason."""
        if not _is_whole(secret):
            raise Unauthenticated("this access token is not whole: its checksum does not fit, was it cut or mistyped?")
        # How long this takes tells of the digest, which nobody can choose, and nothing of the secret.
        token = (self.file.content or {}).get(build_digest(secret)) if self.file is not None else None
        if token is None:
            raise Unauthenticated("this access token is not known: it was revoked, or is another server's")
        if token.has_expired:
            raise Unauthenticated("this access token has expired: `openmcp-apiserver token create` makes another")
        return token


@asynccontextmanager
async def open_access_tokens(path: Path | None, *, poll_seconds: float) -> AsyncIterator[AccessTokens]:
    """The tokens of a file that is looked at every `poll_seconds`. Raises FileInvalid where it is wrong at first."""
    tokens = AccessTokens(path)
    if tokens.file is None:
        yield tokens
        return
    async with watching(tokens.file, poll_seconds):
        yield tokens


def new_secret() -> str:
    """A token, of which only the digest is to be kept."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return f"{PREFIX}{random}{_build_checksum(random)}"


def build_digest(secret: str) -> str:
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"


def build_owner_entry(owner: User) -> str:
    """The owner's entry as a token is bound to it: one way, as the entry holds a password's hash."""
    return hashlib.sha256(f"access token {owner.entry}".encode()).hexdigest()[:32]


def load_access_tokens(path: Path) -> list[AccessToken]:
    """All of the file. Raises FileInvalid, which names every wrong entry."""
    return list(_load(path, may_be_empty=True).values())


def save_access_tokens(path: Path, tokens: Iterable[AccessToken]) -> None:
    """Writes the file whole or not at all, readable by its owner only. Raises FileInvalid."""
    save_yaml(path, _NAMED, msgspec.to_builtins(list(tokens), builtin_types=()))


def _load(path: Path, *, may_be_empty: bool) -> Mapping[str, AccessToken]:
    """Tokens by digest."""
    content = load_yaml(path, _NAMED)
    if content is None and not may_be_empty:
        raise FileInvalid(f"{_NAMED} {path}: is empty; to have no token write []")
    entries = [] if content is None else content
    if not isinstance(entries, list):
        raise FileInvalid(f"{_NAMED} {path}: must be a list of tokens, is a {type(content).__name__}")
    tokens: dict[str, AccessToken] = {}
    problems = []
    for number, entry in enumerate(entries, 1):
        try:
            token = msgspec.convert(entry, AccessToken)
        except msgspec.ValidationError as error:
            problems.append(f"entry {number}: {error}")
            continue
        if token.cluster_labels is not None and (wrong := find_selector_mistake(token.cluster_labels)):
            problems.append(f"entry {number}: cluster_labels: {wrong}")
        if any(token.name == other.name for other in tokens.values()) or token.digest in tokens:
            problems.append(f"entry {number}: token {token.name!r} is there twice")
        tokens[token.digest] = token
    if problems:
        raise FileInvalid(f"{_NAMED} {path}: " + "; ".join(problems))
    return tokens


def _is_whole(secret: str) -> bool:
    random, checksum = secret[len(PREFIX) : -_CHECKSUM], secret[-_CHECKSUM:]
    return len(secret) == len(PREFIX) + _RANDOM + _CHECKSUM and checksum == _build_checksum(random)


def _build_checksum(random: str) -> str:
    number, digits = zlib.crc32(random.encode("utf-8", "surrogatepass")), []
    for _ in range(_CHECKSUM):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
