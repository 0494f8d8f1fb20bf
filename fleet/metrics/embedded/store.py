"""Usage and history in one SQLite file, for a server that has no InfluxDB.

One thread writes, a few read (WAL, so neither waits for the other), and the event loop does neither: it only asks
whether the newest points that it has are still those of the file. The file is
bounded by the age of its points and by its size; a task inside `open_embedded_store` keeps it so. One server has it.
"""

import asyncio
import contextlib
import logging
import queue
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from fleet.aio import tracing
from fleet.aio.complaints import Complaints
from fleet.aio.recorder import note_remembered, querying_metrics, with_recorder
from fleet.aio.timed import timed
from fleet.aio.tracing import Span
from fleet.metrics.embedded.bounds import Bounds
from fleet.metrics.embedded.extent import Extent, say_early
from fleet.metrics.embedded.file import describe, open_writer
from fleet.metrics.embedded.followed import Followed, FollowedFile
from fleet.metrics.embedded.histories import load_history
from fleet.metrics.embedded.layout import COUNT_SERIES
from fleet.metrics.embedded.newest import NewestPoints, pick_usages
from fleet.metrics.embedded.reads import load_latest, load_points
from fleet.metrics.embedded.sightings import load_sightings_of, load_sightings_on
from fleet.metrics.embedded.sqlite import translated
from fleet.metrics.embedded.view import Damages, View
from fleet.metrics.embedded.writes import PointWriter, build_rows
from fleet.metrics.spans import begin_store_span
from fleet.model.errors import MetricsUnavailable, PointsRefused
from fleet.model.objects import K, NodeKey, PodKey
from fleet.model.placements import GAP_NS, Placement, group_at, group_by_pod
from fleet.model.told import Told, tell
from fleet.model.usage import NANOSECONDS, Column, History, Kind, Measure, Point, TimeRange, Usage

logger = logging.getLogger(__name__)

T = TypeVar("T")

_READERS = 2
_SLICE_SECONDS = 0.025
_PAUSES = 2


class EmbeddedOptions(Struct, frozen=True):
    """Where the file is and what bounds it.

    `max_age` in seconds, `max_bytes` of the file (it may stand a quarter above until it is cut), `lookback` how old, in
    seconds, the newest point of an object may be to count as its usage, `timeout` of a question in seconds,
    `cut_interval` between two looks at the bounds, and at what may become blocks, in seconds. `clock` says the time in
    Unix nanoseconds.
    """

    path: Path
    max_age: float = 7 * 86400.0
    max_bytes: int = 512 * 1024 * 1024
    lookback: float = 3600.0
    timeout: float = 5.0
    cut_interval: float = 60.0
    clock: Callable[[], int] = time.time_ns


class EmbeddedStore:
    """The `MetricStore` of a file, and where a collector writes, if it has a writer. Raises MetricsUnavailable."""

    name = "embedded"

    def __init__(
        self,
        options: EmbeddedOptions,
        writer: PointWriter | None,
        readers: Iterable[Followed],
        newest: NewestPoints,
        damages: Damages,
    ) -> None:
        self.extent: Extent | None = None
        """How far back the file reaches, as it was at the last cut here."""
        self.damages = damages
        self._complaints = Complaints()
        self._options = options
        self._writer = writer
        self._newest = newest
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="metrics-write")
        self._reading = ThreadPoolExecutor(_READERS, thread_name_prefix="metrics-read")
        self._readers: queue.SimpleQueue[Followed] = queue.SimpleQueue()
        for reader in readers:
            self._readers.put(reader)

    async def latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> Mapping[K, Usage]:
        since = self._options.clock() - int(self._options.lookback * NANOSECONDS)
        cached = self._newest.cached(kind, measures)
        missing = tuple(keys.difference(cached))
        note_remembered(lambda: sum(newest.points for key in keys if (newest := cached.get(key)) is not None))
        if missing:
            read = await self._read(lambda view: load_latest(view, kind, missing, measures, since))
            cached.update((key, read.get(key)) for key in missing)
            return pick_usages(cached, keys, since)
        with querying_metrics():
            return pick_usages(cached, keys, since)

    async def history(
        self, kind: Kind, keys: frozenset[K], window: TimeRange, columns: frozenset[Column]
    ) -> Mapping[K, History]:
        return await self._read(lambda view: load_history(view, kind, tuple(keys), window, columns))

    async def points(
        self, kind: Kind, key: PodKey | NodeKey, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[Point]:
        is_newest = start_ns is None and end_ns is None
        kept = self._newest.points() if is_newest else {}
        found = kept.get((kind, key))
        if found is None:
            wanted = 1 if is_newest else limit
            found = await self._read(
                lambda view: load_points(view, kind, key, start_ns=start_ns, end_ns=end_ns, limit=wanted)
            )
            if found:  # names that nobody measures are the caller's, and as many as they like
                kept[kind, key] = found
        return found

    async def pods_on_nodes(self, keys: frozenset[NodeKey], at_ns: int) -> Mapping[NodeKey, list[Placement]]:
        start, end = at_ns - GAP_NS, at_ns + GAP_NS
        return await self._read(lambda view: group_at(keys, load_sightings_on(view, keys, start, end), at_ns))

    async def placements(
        self, keys: frozenset[PodKey], *, start_ns: int, end_ns: int
    ) -> Mapping[PodKey, list[Placement]]:
        return await self._read(lambda view: group_by_pod(keys, load_sightings_of(view, keys, start_ns, end_ns)))

    async def check(self) -> str:
        series = await self._read(lambda view: int(view.connection.execute(COUNT_SERIES).fetchone()[0]))
        return describe(self._options.path, series)

    async def write(
        self, pods: Iterable[tuple[PodKey, Point]] = (), nodes: Iterable[tuple[NodeKey, Point]] = ()
    ) -> None:
        """Writes one delivery, whole or not at all. A point of the same object and time replaces the one before."""
        with timed(logger, "the metric file was written"):
            await self._write(lambda writer: writer.write(build_rows(pods, nodes)))

    async def cut(self) -> bool:
        """Removes what is too old, and the oldest while the file is too large; gives the room back to the disk.

        Where all is too old, nothing is until a newer point comes: a clock that jumped ahead takes no history away.
        Answers whether there is something to `seal`.
        """
        extent, waits = await self._write(lambda writer: writer.cut())
        self.extent = extent
        if (said := say_early(extent)) is None:
            self._complaints.settle("early")
        elif self._complaints.is_due("early", extent.needed_bytes):
            logger.warning("the metric file is too small, %s", said)
        return waits

    async def seal(self) -> bool:
        """Makes blocks of some rows that are old enough, for a moment; whether more may wait."""
        return await self._write(lambda writer: writer.seal(_SLICE_SECONDS))

    async def _read(self, question: Callable[[View], T]) -> T:
        deadline = time.monotonic() + self._options.timeout

        def read() -> T:
            followed = self._readers.get()
            try:
                with translated(self._options.path):
                    reader = followed.get()
                    # A question nobody waits for any more is ended inside SQLite, so that it does not hold a thread.
                    reader.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
                    return question(View(reader, self.damages, deadline))
            finally:
                self._readers.put(followed)

        span = None if tracing.tracer is None else self._begin_span()
        try:
            with span or tracing.UNTRACED, querying_metrics(), timed(logger, "the metric file was read"):
                async with asyncio.timeout(self._options.timeout):
                    return await asyncio.get_running_loop().run_in_executor(self._reading, with_recorder(read))
        except TimeoutError as error:
            raise MetricsUnavailable(f"the metric file did not answer within {self._options.timeout:g} s") from error

    def _begin_span(self) -> Span | None:
        return begin_store_span("sqlite", "read", database=self._options.path.name)

    async def _write(self, change: Callable[[PointWriter], T]) -> T:
        writer = self._writer
        if writer is None:
            named = Told("the metric file", f"the metric file {self._options.path.name}")
            raise MetricsUnavailable(tell("{} is written by another process", named))

        def write() -> T:
            with translated(self._options.path, refused=PointsRefused):
                writer.follow()
                return change(writer)

        return await asyncio.get_running_loop().run_in_executor(self._writing, write)

    def stop(self) -> None:
        self._writing.shutdown(wait=True)
        self._reading.shutdown(wait=True, cancel_futures=True)


@contextlib.asynccontextmanager
async def open_embedded_store(options: EmbeddedOptions) -> AsyncIterator[EmbeddedStore]:
    """Opens the file, made where it is new, and keeps it within its bounds until the `with` is left.

    Raises MetricsUnavailable where the file can't be used.
    """
    file = FollowedFile(options.path, options.max_bytes, writes=True)
    connections = await asyncio.to_thread(_open_connections, file)
    following, looking, *readers = connections
    damages = Damages()
    bounds = Bounds(int(options.max_age * NANOSECONDS), options.max_bytes)
    writer = PointWriter(following, bounds, damages, options.clock)
    store = EmbeddedStore(options, writer, readers, NewestPoints(looking), damages)
    keeping = asyncio.create_task(_keep_bounded(store, options.cut_interval), name="keep the metric file bounded")
    try:
        yield store
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await asyncio.to_thread(store.stop)
        # The writer last: whoever closes last empties the log into the file.
        for connection in reversed(connections):
            connection.close()


@contextlib.asynccontextmanager
async def open_embedded_reader(options: EmbeddedOptions) -> AsyncIterator[EmbeddedStore]:
    """Opens a file that another process writes and keeps within its bounds. Raises MetricsUnavailable."""
    with contextlib.ExitStack() as stack:
        with translated(options.path):
            file = FollowedFile(options.path, options.max_bytes, writes=False)
            looking, *readers = [
                stack.enter_context(contextlib.closing(Followed(file, file.open_reader))) for _ in range(1 + _READERS)
            ]
        store = EmbeddedStore(options, None, readers, NewestPoints(looking), Damages())
        try:
            yield store
        finally:
            await asyncio.to_thread(store.stop)


def prepare_file(options: EmbeddedOptions) -> None:
    """Makes the file where there is none, so that it can be read. Raises MetricsUnavailable."""
    with translated(options.path), contextlib.closing(open_writer(options.path, options.max_bytes)):
        pass


def _open_connections(file: FollowedFile) -> list[Followed]:
    connections: list[Followed] = []
    try:
        with translated(file.path):
            connections.append(Followed(file, file.open_writer))
            connections.extend(Followed(file, file.open_reader) for _ in range(1 + _READERS))
    except BaseException:
        for connection in connections:
            connection.close()
        raise
    return connections


async def _keep_bounded(store: EmbeddedStore, interval: float) -> None:
    complaints, loop = Complaints(), asyncio.get_running_loop()
    while True:
        try:
            waits, begun = await store.cut(), loop.time()
            while waits and await store.seal():
                # A third of a core at most, and never in the way of a delivery for long.
                await asyncio.sleep((loop.time() - begun) * _PAUSES)
                begun = loop.time()
            complaints.settle("cut")
            if waits:
                continue  # what was left for these rows is cut now
        except MetricsUnavailable as error:
            if complaints.is_due("cut", str(error)):
                logger.warning("old points could not be made smaller or removed: %s", error)
        await asyncio.sleep(interval)
