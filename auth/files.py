"""YAML files that say who may call: read again when they change, written whole or not at all, by one at a time."""

import asyncio
import fcntl
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import yaml

from auth.errors import FileInvalid
from fleet.aio.detached import HANGING_SECONDS, Detached
from fleet.aio.files import read_bytes
from fleet.aio.tasks import open_task
from fleet.model.unreadable import load_yaml as read_yaml

MAX_FILE_BYTES = 4 * 1024 * 1024
POLL_SECONDS = 1.0

T = TypeVar("T")

_log = logging.getLogger(__name__)

_Stamp = tuple[int, int, int] | None


class WatchedFile(Generic[T]):
    """What `load` makes of a file, which `named` names in messages; read longer than `hanging_seconds` it hangs.

    `load` is given what the file was last, None at first, and raises FileInvalid.
    """

    def __init__(
        self, path: Path, named: str, load: Callable[[T | None], T], hanging_seconds: float = HANGING_SECONDS
    ) -> None:
        self._path = path
        self._named = named
        self._make = load
        self._content: T | None = None
        self._stamp: _Stamp = None
        self._reading = Detached(hanging_seconds)
        self._wrong: str | None = None
        self._hanging: str | None = None

    @property
    def content(self) -> T | None:
        """The last that could be used; None before the first."""
        return self._content

    @property
    def problem(self) -> str | None:
        """What is wrong with the file while its last good content is still used."""
        return self._hanging or self._wrong

    async def load(self) -> None:
        """Reads the file whatever its age. Raises FileInvalid."""
        try:
            await self._reading.run(self._load)
        except TimeoutError as error:
            raise FileInvalid(self._hangs()) from error

    async def reload(self) -> None:
        """Reads the file if it changed; what can't be used is logged and leaves the last good content in place."""
        try:
            await self._reading.run(self._reload)
        except TimeoutError:
            if self._hanging is None:
                self._hanging = self._hangs()
                _log.error("those of its last good content stay in force: %s", self._hanging)
        else:
            if self._hanging is not None:
                self._hanging = None
                _log.info("the %s can be read again", self._named)

    async def watch(self, poll_seconds: float) -> None:
        while True:
            await asyncio.sleep(poll_seconds)
            await self.reload()

    def _load(self) -> None:
        # The stamp is taken first, so that a write in between is seen as a change the next time.
        stamp = self._find_stamp()
        self._content, self._stamp = self._make(self._content), stamp

    def _reload(self) -> None:
        stamp = self._find_stamp()
        if stamp == self._stamp and (stamp is not None or self._wrong is not None):
            return
        try:
            self._load()
        except FileInvalid as error:
            self._stamp = stamp
            self._wrong = str(error)
            _log.error("those of its last good content stay in force: %s", error)
        else:
            self._wrong = None
            _log.info("the %s was read again", self._named)

    def _hangs(self) -> str:
        return f"{self._named} {self._path}: can't be read, since it does not answer: is its mount gone?"

    def _find_stamp(self) -> _Stamp:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size


@asynccontextmanager
async def watching(file: WatchedFile[T], poll_seconds: float) -> AsyncIterator[None]:
    """Loads the file, and looks at it every `poll_seconds`. Raises FileInvalid where it is wrong at first.

    Polling by `stat` follows the swapped links of a mounted Secret and works on network file systems, where
    notifications do not.
    """
    await file.load()
    async with open_task("watched file", lambda: file.watch(poll_seconds)):
        yield


def load_yaml(path: Path, named: str) -> object:
    """The file's content. Raises FileInvalid."""
    try:
        raw = read_bytes(path, MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FileInvalid(f"{named} {path}: {error.strerror or error}") from error
    if len(raw) > MAX_FILE_BYTES:
        raise FileInvalid(f"{named} {path}: larger than {MAX_FILE_BYTES} bytes")
    try:
        return read_yaml(raw)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise FileInvalid(f"{named} {path}{line}: not YAML: {getattr(error, 'problem', error)}") from error


def save_yaml(path: Path, named: str, content: object) -> None:
    """Writes the file whole or not at all, readable by its owner only. Raises FileInvalid."""
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=False)
    # A link (a mounted volume, say) stays a link: the file it leads to is replaced.
    target = path.resolve()
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mkstemp gives mode 0600
        temporary = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise FileInvalid(f"{named} {path}: can't be written: {error.strerror or error}") from error


@contextmanager
def locked(path: Path, named: str) -> Iterator[None]:
    """Waits until nobody else is inside the `with` of this file: what is read there is what is replaced.

    The lock is a file beside it, since the file itself is another one after each write. Raises FileInvalid.
    """
    target = path.resolve()
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(target.with_name(f".{target.name}.lock"), flags, 0o600)
    except OSError as error:
        raise FileInvalid(f"{named} {path}: can't be written: {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
