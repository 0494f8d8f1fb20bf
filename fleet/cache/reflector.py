"""Keeps a store equal to one member's objects of one kind: lists in pages, then watches from the listed version.

Source: Kubernetes API concepts, "Efficient detection of changes" and "Retrieving large results sets in chunks".
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Generic, NoReturn
from urllib.parse import urlencode

import msgspec

from fleet.aio.backoff import Backoff, jittered
from fleet.aio.counts import Follows
from fleet.aio.tracing import beginning
from fleet.aio.turns import Turns
from fleet.cache.filling import R, ReadsKind, Target
from fleet.kubernetes.codec.codec import EventType, WatchEvent
from fleet.kubernetes.codec.watch import build_watch_query, iter_arrived
from fleet.kubernetes.codec.wire import DecodeError, WireList, read_refusal, refusal_text
from fleet.model.errors import (
    ClusterAnswerInvalid,
    ClusterAnswerTooLarge,
    ClusterError,
    ClusterForbidden,
    ClusterTimeout,
    ClusterUnauthorized,
    ClusterUnreachable,
)
from fleet.model.told import foreign, tell
from fleet.ports import LIST_BYTES, Call, Connection, StreamedAnswer

logger = logging.getLogger(__name__)

_LINES_A_TURN = 50
_OBJECTS_A_TURN = 125  # some 2 ms
_ORDINARY_SECONDS = 5.0  # a watch that was open this long is followed by the next one at once
_REFUSALS_BEFORE_RELIST = 3
_GONE = 410
_REFUSALS = {401: ClusterUnauthorized, 403: ClusterForbidden}


class ReflectorOptions(msgspec.Struct, frozen=True):
    """ObjectCounts and times (seconds) of one reflector.

    `answer_timeout` bounds a page and the head of a watch; `watch_seconds` is how long a member is asked to keep a
    watch open; `silence_seconds` ends one that says nothing: API servers send a bookmark a minute. A list of more than
    `most_objects` has no end: Kubernetes is made for half as many pods.
    """

    page_size: int = 250
    answer_timeout: float = 30.0
    watch_seconds: float = 300.0
    silence_seconds: float = 75.0
    most_objects: int = 300_000


class Reflector(Generic[R]):
    """List and watch of one kind. It may be run, cancelled and run again: it goes on from the last version it saw.

    `live` says that the store follows the member: it was just listed, or the watch from its version on is open.
    `problem` is what the last attempt failed with, `failures` how many did since a watch last spoke.
    `on_seen` is called with each sign of life, `on_change` whenever `live` or `problem` changed.
    """

    def __init__(
        self,
        connection: Connection,
        codec: ReadsKind[R],
        store: Target[R],
        *,
        on_seen: Callable[[], None],
        on_change: Callable[[], None] = lambda: None,
        options: ReflectorOptions | None = None,
        turns: Turns | None = None,
        backoff: Backoff | None = None,
        follows: Follows | None = None,
    ) -> None:
        self.live = False
        self.problem: ClusterError | None = None
        self.failures = 0
        self._connection = connection
        self._codec = codec
        # Near members spend more time on compressing than the network saves; a watch is handed over undecoded.
        self._headers = ((b"accept", codec.accept), (b"accept-encoding", b"identity"))
        self._store = store
        self._on_seen = on_seen
        self._on_change = on_change
        self._options = options or ReflectorOptions()
        self._page_size = self._options.page_size
        self._turns = turns or Turns()
        self._backoff = backoff or Backoff()
        self._follows = follows or Follows()
        self._version: str | None = None
        self._whole_list = False

    async def run(self) -> NoReturn:
        """Follows the member until cancelled. Every answer of a member, however wrong, leads to another attempt."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    if self._version is None:
                        with beginning(f"list {self._codec.path}", {"k8s.cluster.name": self._connection.cluster}):
                            self._version = await self._list()
                        self._set_live()
                    opened = loop.time()
                    await self._watch(self._version)
                    if loop.time() - opened >= _ORDINARY_SECONDS:
                        self._backoff.reset()
                        continue
                except _ExpiredError as expired:
                    logger.info("%s of %s: %s; listing again", self._codec.path, self._connection.cluster, expired)
                    self._version = None
                    self._set_dead(None)
                except ClusterError as error:
                    self._note_failure(error)
                await asyncio.sleep(self._backoff.next_delay())
        finally:
            self._backoff.reset()
            self._set_dead(self.problem)

    async def _list(self) -> str:
        begun = time.perf_counter()
        staged = self._store.stage()
        token: str | None = None
        version, count = "", 0
        while True:
            page = await self._list_page(token)
            items = page.items or []
            if (count := count + len(items)) > self._options.most_objects:
                raise self._invalid(f"its list has more than {self._options.most_objects:,} objects")
            for start in range(0, len(items), _OBJECTS_A_TURN):
                await self._turns.wait()
                cluster = self._connection.cluster
                records, malformed = self._codec.build_records(items[start : start + _OBJECTS_A_TURN], cluster)
                for complaint in malformed:
                    logger.warning("%s: left out: %s", cluster, complaint)
                staged.add(records)
            version = version or page.metadata.resource_version
            token = page.metadata.continue_token or None
            if token is None:
                break
        if not version:
            raise self._invalid("its list has no resourceVersion")
        staged.commit()
        self._follows.note_list(time.perf_counter() - begun)
        self._whole_list = False
        return version

    async def _list_page(self, token: str | None) -> WireList:
        query = {**self._codec.query, **({} if self._whole_list else {"limit": str(self._page_size)})}
        if token is not None:
            query["continue"] = token
        timeout = self._options.answer_timeout
        call = Call("GET", self._codec.path, timeout, urlencode(query), self._headers, most_bytes=LIST_BYTES)
        answer = await self._connection.request(call)
        self._on_seen()
        if answer.status == _GONE and token is not None:
            # The pages took longer than the member keeps a version: the next attempt takes all in one.
            self._whole_list = True
            raise _ExpiredError("the list expired between its pages")
        if answer.status != 200:
            raise self._refusal(answer.status, refusal_text(answer.body))
        try:
            return self._codec.read_list(answer.body)
        except DecodeError as error:
            raise self._invalid(str(error)) from error

    async def _watch(self, version: str) -> None:
        options = self._options
        query = build_watch_query(version, jittered(options.watch_seconds), **self._codec.query)
        call = Call(
            "GET", self._codec.path, options.answer_timeout, query, self._headers, idle_timeout=options.silence_seconds
        )
        async with self._connection.open_stream(call) as stream:
            self._on_seen()
            if stream.status == _GONE:
                raise _ExpiredError("the watched version has expired")
            if stream.status != 200:
                raise self._refusal(stream.status, await read_refusal(stream.chunks()))
            self._follows.watches += 1
            self._set_live()
            # A silent or broken watch is nothing unusual: the next attempt shows whether the member is well.
            with contextlib.suppress(ClusterTimeout, ClusterUnreachable):
                await self._apply_lines(stream)
        self._set_dead(None)

    async def _apply_lines(self, stream: StreamedAnswer) -> None:
        count = 0
        try:
            async with contextlib.aclosing(iter_arrived(stream.chunks())) as arrived:  # type: ignore[type-var]  # a generator
                async for lines in arrived:
                    self._on_seen()
                    for line in lines:
                        self._apply(line)
                        count += 1
                        if count % _LINES_A_TURN == 0:
                            await self._turns.wait()
        except DecodeError as error:
            raise self._invalid(str(error)) from error

    def _apply(self, line: bytes) -> None:
        event = self._codec.decode_event(line, self._connection.cluster)
        kind, record = event.type, event.record
        if record is not None:
            if kind is EventType.DELETED:
                self._store.discard(record)
            else:
                self._store.put(record)
        elif kind is EventType.ERROR:
            if event.code == _GONE:
                raise _ExpiredError("the watch has expired")
            raise self._refusal(event.code or 0, event.message or "")
        elif kind is not EventType.BOOKMARK:
            self._skip_malformed(event)
        if event.resource_version:
            self._version = event.resource_version
        self.failures = 0
        self._backoff.reset()

    def _skip_malformed(self, event: WatchEvent[R]) -> None:
        """An object that can't be read is not there, as in a list. Raises ClusterAnswerInvalid where it has no name."""
        if event.name is None:
            # Which object it was can't be told from here, so only a list makes the store true again.
            self._version = None
            raise self._invalid(event.message or "an object can't be read")
        logger.warning("%s: left out: %.300s", self._connection.cluster, event.message)
        self._store.drop(event.name)

    def _note_failure(self, error: ClusterError) -> None:
        self.failures += 1
        if isinstance(error, ClusterAnswerTooLarge):
            self._page_size, self._whole_list = max(1, self._page_size // 2), False
        if isinstance(error, ClusterAnswerInvalid) and self.failures % _REFUSALS_BEFORE_RELIST == 0:
            self._version = None  # a version that the member never knew (a restored backup) is refused for ever
        if self.problem is None:
            logger.warning("%s can't be followed on %s: %s", self._codec.path, error.cluster, error)
        self._set_dead(error)

    def _set_live(self) -> None:
        if not self.live or self.problem is not None:
            self.live, self.problem = True, None
            self._on_change()

    def _set_dead(self, problem: ClusterError | None) -> None:
        if self.live or problem is not self.problem:
            self.live, self.problem = False, problem
            self._on_change()

    def _invalid(self, message: str) -> ClusterAnswerInvalid:
        cluster = self._connection.cluster
        return ClusterAnswerInvalid(cluster, tell("{}: {}", cluster, foreign(message[:300])))

    def _refusal(self, status: int, message: str) -> ClusterError:
        cluster = self._connection.cluster
        said = foreign(message[:300])
        text = tell("{} answered {} to a list of {}: {}", cluster, status, self._codec.path, said)
        return _REFUSALS.get(status, ClusterAnswerInvalid)(cluster, text)


class _ExpiredError(Exception):
    """The member has forgotten the version that was asked for: only a list helps."""
