"""Who may sign in now: the users file, re-read when it changes, and the one administrator of the environment."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from auth.errors import UsersFileInvalid
from auth.users import User, load_users
from fleet.aio.detached import HANGING_SECONDS, Detached
from fleet.aio.tasks import open_task

POLL_SECONDS = 1.0

_log = logging.getLogger(__name__)

_Stamp = tuple[int, int, int] | None


class Directory:
    """All entries of users and groups. A file that takes longer than `hanging_seconds` to be read hangs."""

    def __init__(self, path: Path | None, administrator: User | None, hanging_seconds: float = HANGING_SECONDS) -> None:
        self._path = path
        self._administrator = administrator
        self._users: Mapping[str, User] = {}
        self._stamp: _Stamp = None
        self._reading = Detached(hanging_seconds)
        self._wrong: str | None = None
        self._hanging: str | None = None

    @property
    def problem(self) -> str | None:
        """What is wrong with the file while its last good content is still used."""
        return self._hanging or self._wrong

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

    async def load(self) -> None:
        """Reads the file whatever its age. Raises UsersFileInvalid."""
        try:
            await self._reading.run(self._load)
        except TimeoutError as error:
            raise UsersFileInvalid(_hangs(self._path)) from error

    async def reload(self) -> None:
        """Reads the file if it changed; what can't be used is logged and leaves the last good users in place."""
        try:
            await self._reading.run(self._reload)
        except TimeoutError:
            if self._hanging is None:
                self._hanging = _hangs(self._path)
                _log.error("the users of its last good content stay in force: %s", self._hanging)
        else:
            if self._hanging is not None:
                self._hanging = None
                _log.info("the users file can be read again")

    def _load(self) -> None:
        # The stamp is taken first, so that a write in between is seen as a change the next time.
        stamp = _stamp_of(self._path)
        # A file that is empty is being written, where it was not so before.
        users = load_users(self._path, may_be_empty=not self._users) if self._path is not None else {}
        if self._administrator is not None:
            if self._administrator.name in users:
                raise UsersFileInvalid(
                    f"users file {self._path}: user {self._administrator.name!r}: name: is also the administrator's of "
                    "API_USER_NAME; rename one of them"
                )
            users[self._administrator.name] = self._administrator
        self._users, self._stamp = users, stamp

    def _reload(self) -> None:
        stamp = _stamp_of(self._path)
        if stamp == self._stamp and (stamp is not None or self._wrong is not None):
            return
        try:
            self._load()
        except UsersFileInvalid as error:
            self._stamp = stamp
            self._wrong = str(error)
            _log.error("the users of its last good content stay in force: %s", error)
        else:
            self._wrong = None
            _log.info("users file read: %d users", len(self._users))


@asynccontextmanager
async def open_directory(
    path: Path | None, administrator: User | None, *, poll_seconds: float = POLL_SECONDS
) -> AsyncIterator[Directory]:
    """A directory that looks at its file every `poll_seconds`. Raises UsersFileInvalid where it is wrong at first.

    Polling by `stat` follows the swapped links of a mounted Secret and works on network file systems, where
    notifications do not.
    """
    directory = Directory(path, administrator)
    await directory.load()
    if path is None:
        yield directory
        return
    async with open_task("users file", lambda: _watch(directory, poll_seconds)):
        yield directory


async def _watch(directory: Directory, poll_seconds: float) -> None:
    while True:
        await asyncio.sleep(poll_seconds)
        await directory.reload()


def _hangs(path: Path | None) -> str:
    return f"users file {path}: can't be read, since it does not answer: is its mount gone?"


def _stamp_of(path: Path | None) -> _Stamp:
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
