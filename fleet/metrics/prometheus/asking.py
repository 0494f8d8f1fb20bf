"""Questions to a Prometheus: all samples of what is selected in a span of time, or values of expressions at steps."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import urlencode

from msgspec import Struct

from fleet.metrics.pool import Call, HttpAnswer, Pool
from fleet.metrics.prometheus.answer import Decoder, Found, build_refuse
from fleet.metrics.prometheus.options import PrometheusOptions
from fleet.metrics.sending import Sender
from fleet.model.usage import TimeRange

T = TypeVar("T")

_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_MILLISECOND = 1_000_000


class Engine(Struct, frozen=True):
    """How spans are read: `closed`, with a sample at their very beginning; `victoria`, rates from the one before."""

    closed: bool
    victoria: bool


class Asking:
    """Sends queries. Made by `open_asking`."""

    def __init__(self, options: PrometheusOptions, pool: Pool, threads: ThreadPoolExecutor) -> None:
        self.options = options
        self._threads = threads
        self._pool = pool
        self._engine: Engine | None = None
        self._decoder = Decoder("" if options.only_cluster else options.cluster_label)
        self._refuse = build_refuse(options)

    async def samples(self, selectors: Iterable[str], start_ns: int, end_ns: int) -> Found:
        """All samples in [start, end) of the series that are selected, and a few before the start."""
        at_ms = -(-end_ns // _MILLISECOND) - 1
        # Prometheus 3 and VictoriaMetrics leave out a sample at the beginning of a span.
        span_ms = max(1, at_ms - start_ns // _MILLISECOND + 1)
        found = await self._each(
            ({"query": f"{selector}[{span_ms}ms]", "time": _seconds(at_ms)} for selector in selectors), "/api/v1/query"
        )
        return Found([row for each in found for row in each.rows], find_missing(found))

    async def steps(self, expressions: Iterable[str], window: TimeRange) -> list[Found]:
        """The values of each expression at the last millisecond of each step."""
        first, last = window.start_ns + window.step_ns, window.start_ns + window.steps * window.step_ns
        span = {
            "start": _seconds(first // _MILLISECOND - 1),
            "end": _seconds(last // _MILLISECOND - 1),
            "step": _seconds(window.step_ns // _MILLISECOND),
        }
        return await self._each(({"query": text, **span} for text in expressions), "/api/v1/query_range")

    async def newest(self, expressions: Iterable[str]) -> list[Found]:
        """The values of each expression now."""
        return await self._each(({"query": text} for text in expressions), "/api/v1/query")

    async def engine(self) -> Engine:
        """How it reads spans of time: asked once."""
        if self._engine is None:
            # Three where a span has both of its ends.
            found = await self._ask("/api/v1/query", {"query": "count_over_time(vector(1)[2s:1s])", "time": "10"})
            counted = found.rows[0].values[0] if found.rows else 0
            self._engine = Engine(closed=counted == 3, victoria=found.victoria)
        return self._engine

    async def work(self, build: Callable[[], T]) -> T:
        """What is made of answers, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, build)

    async def get(self, path: str) -> HttpAnswer:
        """What is at a path of the API. Raises MetricsUnavailable."""
        call = Call(path, {"Accept": "application/json"}, b"", "GET")
        return await self._pool.send(call, lambda answer: answer, self._refuse)

    async def _each(self, params: Iterable[Mapping[str, str]], path: str) -> list[Found]:
        return await asyncio.gather(*(self._ask(path, each) for each in params))

    async def _ask(self, path: str, params: Mapping[str, str]) -> Found:
        # VictoriaMetrics shifts a question about now by half a minute unless told otherwise.
        form = {**params, "timeout": f"{self.options.timeout:g}", "nocache": "1", "latency_offset": "1ms"}
        return await self._pool.send(Call(path, _FORM, urlencode(form).encode()), self._decoder.decode, self._refuse)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}"


def find_missing(found: Iterable[Found]) -> str:
    """What the server said is missing from one of the answers; empty where nothing is."""
    return next((each.missing for each in found if each.missing), "")


@contextlib.asynccontextmanager
async def open_asking(options: PrometheusOptions) -> AsyncIterator[Asking]:
    """Opens the pool; nothing is sent. Leaving waits for queries under way, at most for their timeout."""
    threads = ThreadPoolExecutor(options.connections, thread_name_prefix="prometheus")
    try:
        yield Asking(options, Pool(options, Sender(options).request, threads), threads)
    finally:
        await asyncio.to_thread(threads.shutdown, wait=True, cancel_futures=True)
