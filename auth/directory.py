"""Who may sign in now: the users file, re-read when it changes, and the one administrator of the environment."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from auth.errors import FileInvalid
from auth.files import POLL_SECONDS, WatchedFile, watching
from auth.passwords import hash_password
from auth.users import User, load_users
from fleet.aio.detached import HANGING_SECONDS
from fleet.model.visibility import EVERYTHING


class Directory:
    """All entries of users and groups. A file that takes longer than `hanging_seconds` to be read hangs."""

    def __init__(self, path: Path | None, administrator: User | None, hanging_seconds: float = HANGING_SECONDS) -> None:
        self._without_file = {} if administrator is None else {administrator.name: administrator}
        self.file: WatchedFile[Mapping[str, User]] | None = None
        if path is not None:
            self.file = WatchedFile(path, "users file", lambda last: self._load(path, last), hanging_seconds)

    @property
    def problem(self) -> str | None:
        """What is wrong with the file while its last good content is still used."""
        return None if self.file is None else self.file.problem

    def get_user(self, name: str) -> User | None:
        """The user of that name, as the file has them now."""
        user = self._users.get(name)
        return None if user is None or user.is_group else user

    def find_entries(self, name: str, groups: Iterable[str]) -> list[User]:
        """The entries for somebody who signed in elsewhere, by name and by groups."""
        user = self.get_user(name)
        named = [] if user is None or user.password_hash else [user]
        labels = dict.fromkeys(f"group {group}" for group in groups)
        return named + [entry for label in labels if (entry := self._users.get(label)) is not None and entry.is_group]

    def get_stand_in(self, number: int) -> str | None:
        """The hash of some user, always the same for a number: what is checked of somebody who is not there.

        Hashes of other costs than this server's own may have come with the file.
        """
        hashes = [user.password_hash for user in self._users.values() if user.password_hash]
        return hashes[number % len(hashes)] if hashes else None

    def list_users(self) -> list[User]:
        return list(self._users.values())

    def __len__(self) -> int:
        return len(self._users)

    @property
    def _users(self) -> Mapping[str, User]:
        return (self.file.content if self.file is not None else self._without_file) or {}

    def _load(self, path: Path, last: Mapping[str, User] | None) -> Mapping[str, User]:
        # A file that is empty is being written, where it was not so before.
        users = load_users(path, may_be_empty=not last)
        if self._without_file.keys() & users.keys():
            raise FileInvalid(
                f"users file {path}: user {next(iter(self._without_file))!r}: name: is also the administrator's of "
                "API_USER_NAME; rename one of them"
            )
        return users | self._without_file


@asynccontextmanager
async def open_directory(
    path: Path | None, administrator: User | None, *, poll_seconds: float = POLL_SECONDS
) -> AsyncIterator[Directory]:
    """A directory that looks at its file every `poll_seconds`. Raises FileInvalid where it is wrong at first."""
    directory = Directory(path, administrator)
    if directory.file is None:
        yield directory
        return
    async with watching(directory.file, poll_seconds):
        yield directory


def build_administrator(name: str, password: str) -> User:
    """The one of the environment, in every process that knows the password with the same hash; in memory only.

    So tokens of one process count in the others, and after a start. Takes milliseconds: call it in a thread.
    """
    salt = hashlib.sha256(f"openmcp-apiserver {name}".encode()).digest()[:16]
    return User(name, hash_password(password, salt), EVERYTHING)
