"""What one question takes: counted at the seams while somebody wants to know, and nothing otherwise.

The recorder travels with the task that opened it and with the tasks and threads begun in it, so the server's own
work (watches, heartbeats) and other questions at the same time have none, or their own. Where there is none, a seam
costs one look at a context variable.
"""

import contextvars
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

from fleet.aio.counts import Calls, Sum
from fleet.model.errors import MetricsTooCostly

T = TypeVar("T")


class Span:
    """The seconds in which at least one wait, a `with` each, was under way: waits side by side count once.

    They count for the `whole`, too, of which this one is a part.
    """

    __slots__ = ("_running", "_since", "_total", "_whole")

    def __init__(self, whole: "Span | None" = None) -> None:
        self._whole = whole
        self._running = 0
        self._since = 0.0
        self._total = 0.0

    @property
    def seconds(self) -> float:
        """So far, waits that are still under way included."""
        return self._total + (time.monotonic() - self._since if self._running else 0.0)

    def __enter__(self) -> None:
        if not self._running:
            self._since = time.monotonic()
        self._running += 1
        if self._whole is not None:
            self._whole.__enter__()

    def __exit__(self, *_: object) -> None:
        self._running -= 1
        if not self._running:
            self._total += time.monotonic() - self._since
        if self._whole is not None:
            self._whole.__exit__()


class ClusterRecord:
    """What was taken from one cluster."""

    __slots__ = ("cache_hits", "cached_objects", "probes_awaited", "upstream_calls", "waited")

    def __init__(self, whole: Span) -> None:
        self.upstream_calls = 0
        """HTTP requests sent, or attempted, to its API server."""

        self.probes_awaited = 0
        """Waits for a sign of life of it, or for its first list.

        A probe is shared by all who wait for it, and is no upstream call of any.
        """

        self.cache_hits = 0
        """Lists, single objects and sums that were answered from what is in memory of it."""

        self.cached_objects = 0
        """Objects in these answers, before pages are cut."""

        self.waited = Span(whole)
        """While a call to it was under way, or a sign of life of it was awaited."""


class Recorder:
    """What one question took. Written on the event loop, but for the rows, which threads decode."""

    def __init__(self) -> None:
        self.clusters: dict[str, ClusterRecord] = {}
        self.metric_queries = 0
        """Statements sent to InfluxDB, one HTTP request each; questions to the metric file, one snapshot each."""

        self.metric_rows = 0
        """Rows that the metric store answered, before anything is made of them.

        Those of the metric file that were read before, and are known to be what it still holds, count as well.
        """

        self.waited = Span()
        """While a call, a wait for a sign of life or a metric query was under way."""

        self.metrics_waited = Span(self.waited)
        """While a metric query was under way."""

        self._started = time.monotonic()
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def cluster(self, name: str) -> ClusterRecord:
        """The record of a cluster, made when it is first needed."""
        found = self.clusters.get(name)
        if found is None:
            found = self.clusters[name] = ClusterRecord(self.waited)
        return found

    def add_rows(self, count: int) -> None:
        """Counts rows of the metric store; any thread may."""
        with self._lock:
            self.metric_rows += count


_CURRENT: contextvars.ContextVar[Recorder | None] = contextvars.ContextVar("recorder", default=None)

current_recorder = _CURRENT.get
"""The recorder of the question that is being answered; None where nobody wants to know."""


@contextmanager
def recording(recorder: Recorder | None) -> Iterator[None]:
    """Whatever is begun inside is written down in the recorder; None: nothing is."""
    token = _CURRENT.set(recorder)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def calling(cluster: str) -> AbstractContextManager[None]:
    """Around one HTTP request to a cluster's API server."""
    recorder = _CURRENT.get()
    if recorder is None:
        return _NOTHING
    record = recorder.cluster(cluster)
    record.upstream_calls += 1
    return record.waited


def awaiting_probe(cluster: str) -> AbstractContextManager[None]:
    """Around the wait for a cluster's sign of life."""
    recorder = _CURRENT.get()
    if recorder is None:
        return _NOTHING
    record = recorder.cluster(cluster)
    record.probes_awaited += 1
    return record.waited


METRIC_CALLS = Calls()
"""Queries of the metric store, for as long as the process lives: `ok`, `refused` (too dear), `failed`."""

METRIC_ROWS = Sum()
"""Rows that it answered; counted in threads, too."""


@contextmanager
def querying_metrics() -> Iterator[None]:
    """Around one query of the metric store."""
    recorder = _CURRENT.get()
    begun = time.perf_counter()
    try:
        if recorder is None:
            yield
        else:
            recorder.metric_queries += 1
            with recorder.metrics_waited:
                yield
    except Exception as error:
        METRIC_CALLS.note("refused" if isinstance(error, MetricsTooCostly) else "failed")
        raise
    METRIC_CALLS.note("ok", time.perf_counter() - begun)


def note_cached(cluster: str, objects: int) -> None:
    """An answer from a cluster's memory, of so many objects."""
    recorder = _CURRENT.get()
    if recorder is not None:
        record = recorder.cluster(cluster)
        record.cache_hits += 1
        record.cached_objects += objects


def note_rows(count: int) -> None:
    """Rows that the metric store answered; any thread may."""
    METRIC_ROWS.add(count)
    recorder = _CURRENT.get()
    if recorder is not None:
        recorder.add_rows(count)


def note_remembered(count: Callable[[], int]) -> None:
    """Rows that need not be read again; they are counted only where somebody wants to know."""
    recorder = _CURRENT.get()
    if recorder is not None:
        recorder.add_rows(count())


def counted_rows(rows: Iterable[T]) -> Iterator[T]:
    """The same rows, counted once the last is read."""
    count = 0
    for row in rows:
        count += 1
        yield row
    note_rows(count)


def with_recorder(work: Callable[[], T]) -> Callable[[], T]:
    """The work, fit for a thread of a pool: with the recorder of whoever asks for it now."""
    if _CURRENT.get() is None:
        return work
    context = contextvars.copy_context()
    return lambda: context.run(work)


_NOTHING = nullcontext()
