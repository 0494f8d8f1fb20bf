"""Follows one small collection of the host cluster: list, then watch, and again for ever.

Source: Kubernetes API concepts, "Efficient detection of changes". Not by kubernetes_asyncio: its `Watch` opens a
client of its own, reconnects without backoff, resumes an expired version (410) once as it was and takes 646 us an
event; and its list would be read by other code than the watch, for 42 MiB more.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Generic, NoReturn, Protocol, TypeVar
from urllib.parse import urlencode

from fleet.aio.backoff import Backoff, jittered
from fleet.kubernetes.codec.codec import Codec, EventType
from fleet.kubernetes.codec.watch import build_watch_query, iter_lines
from fleet.kubernetes.codec.wire import DecodeError, status_message
from fleet.model.errors import (
    ClusterAnswerInvalid,
    ClusterError,
    ClusterForbidden,
    ClusterTimeout,
    ClusterUnreachable,
)
from fleet.model.told import foreign, tell
from fleet.ports import LIST_BYTES, Call, Connection

logger = logging.getLogger(__name__)

# Of the largest objects that there are, Secrets of 1 MiB, so many fit into LIST_BYTES.
_PAGE_SIZE = 32
_MOST_PAGES = 1000
_GONE = 410


class Nameable(Protocol):
    """Whose name is its key in the collection."""

    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Nameable)


@dataclass(frozen=True)
class FollowOptions:
    """Times in seconds.

    `answer` bounds a page and the head of a watch, `watch` is how long a watch is asked to last, `silence` ends one
    that says nothing (API servers send a bookmark a minute), `retry` is the longest wait between two attempts.
    """

    answer: float = 5.0
    watch: float = 240.0
    silence: float = 75.0
    retry: float = 5.0


class Follower(Generic[N]):
    """A collection by name, as far as it is known.

    `synced` says that it was listed once; `tried` that there was an answer or a failure. `absent` says that the API
    server does not know the kind, `problem` what the last attempt failed with. `on_change` is called when any changes.
    """

    def __init__(
        self,
        codec: Codec[N],
        on_change: Callable[[], None],
        options: FollowOptions | None = None,
        *,
        optional: bool = False,
    ) -> None:
        self.objects: Mapping[str, N] = {}
        self.synced = False
        self.absent = False
        self.problem: ClusterError | None = None
        self._codec = codec
        self._on_change = on_change
        self._optional = optional
        self._options = options or FollowOptions()

    @property
    def tried(self) -> bool:
        """Whether anything is known, be it a failure."""
        return self.synced or self.absent or self.problem is not None

    @property
    def trouble(self) -> str | None:
        """Why not all of it may be known, where that is so."""
        if self.absent and not self._optional:
            return f"{self._codec.path}: the API server does not know this kind"
        return None if self.problem is None else str(self.problem)

    async def run(self, connection: Connection) -> NoReturn:
        """Follows until cancelled. What was known before stays until a list replaces it."""
        backoff = Backoff(first=0.1, last=self._options.retry)
        version: str | None = None
        while True:
            try:
                if version is None:
                    version = await self._list(connection)
                version = await self._watch(connection, version)
                backoff.reset()
            except _RelistError as reason:
                logger.info("%s: listing again: %s", self._codec.path, reason)
                version = None
            except ClusterError as error:
                self._note_problem(error)
                version = None
            await asyncio.sleep(backoff.next_delay())

    async def _list(self, connection: Connection) -> str:
        objects: dict[str, N] = {}
        pages = 0
        token: str | None = None
        while True:
            query = {**self._codec.query, "limit": str(_PAGE_SIZE), **({"continue": token} if token else {})}
            call = Call("GET", self._codec.path, self._options.answer, urlencode(query), most_bytes=LIST_BYTES)
            answer = await connection.request(call)
            if answer.status == 404:
                self._set_absent()
                raise _RelistError("the API server does not know the kind")
            if answer.status == _GONE:
                raise _RelistError("the list expired between its pages")
            if answer.status != 200:
                raise _refusal(connection.cluster, self._codec.path, answer.status, answer.body)
            try:
                page = self._codec.decode_list(answer.body, connection.cluster)
            except DecodeError as error:
                raise ClusterAnswerInvalid(connection.cluster, f"cluster {connection.cluster}: {error}") from error
            for problem in page.malformed:
                logger.warning("%s", problem)
            objects.update((record.name, record) for record in page.records)
            pages += 1
            if pages > _MOST_PAGES:
                raise ClusterAnswerInvalid(
                    connection.cluster, f"cluster {connection.cluster}: its list has more than {_MOST_PAGES} pages"
                )
            token = page.continue_token
            if token is None:
                break
        self._set(objects)
        return page.resource_version

    async def _watch(self, connection: Connection, version: str) -> str:
        """Applies changes until the watch ends, and says from which version it can be resumed."""
        options = self._options
        query = build_watch_query(version, jittered(options.watch), **self._codec.query)
        call = Call("GET", self._codec.path, options.answer, query, idle_timeout=options.silence)
        async with connection.open_stream(call) as stream:
            if stream.status == _GONE:
                raise _RelistError("the watched version has expired")
            if stream.status != 200:
                raise _refusal(connection.cluster, self._codec.path, stream.status, b"")
            async with aclosing(iter_lines(stream.chunks())) as lines:  # type: ignore[type-var]  # a generator
                # A silent or broken watch is nothing unusual: the next attempt shows whether the host is well.
                with suppress(ClusterTimeout, ClusterUnreachable):
                    async for line in lines:
                        version = self._apply(line, connection.cluster) or version
        return version

    def _apply(self, line: bytes, cluster: str) -> str:
        try:
            event = self._codec.decode_event(line, cluster)
        except DecodeError as error:
            raise ClusterAnswerInvalid(cluster, f"cluster {cluster}: {error}") from error
        if event.type is EventType.ERROR:
            if event.code == _GONE:
                raise _RelistError("the watch has expired")
            said = foreign(event.message or "")
            raise ClusterAnswerInvalid(
                cluster, tell("cluster {}: a watch ended with {}: {}", cluster, event.code, said)
            )
        if event.type is EventType.BOOKMARK:
            return event.resource_version
        if event.record is None:
            raise _RelistError(event.message or "an object can't be read")
        objects = {name: record for name, record in self.objects.items() if name != event.record.name}
        if event.type is not EventType.DELETED:
            objects[event.record.name] = event.record
        self._set(objects)
        return event.resource_version

    def _set(self, objects: Mapping[str, N]) -> None:
        changed = not self.synced or self.absent or self.problem is not None or objects != self.objects
        self.objects, self.synced, self.absent, self.problem = objects, True, False, None
        if changed:
            self._on_change()

    def _set_absent(self) -> None:
        changed = not self.absent
        self.objects, self.synced, self.absent, self.problem = {}, True, True, None
        if changed:
            logger.warning("%s: the API server does not know this kind", self._codec.path)
            self._on_change()

    def _note_problem(self, error: ClusterError) -> None:
        if self.problem is None:
            logger.warning("%s can't be followed: %s", self._codec.path, error)
        changed = str(error) != str(self.problem)
        self.problem = error
        if changed:
            self._on_change()


class _RelistError(Exception):
    """What was listed or watched is of no use any more."""


def _refusal(cluster: str, path: str, status: int, body: bytes) -> ClusterError:
    kind = ClusterForbidden if status == 403 else ClusterAnswerInvalid
    return kind(cluster, f"cluster {cluster} answered {status} to {path}: {status_message(body)[:300] or 'no message'}")
