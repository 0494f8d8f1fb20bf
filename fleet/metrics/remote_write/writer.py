"""Writes points by Prometheus remote write 1.0, one request after the other.

What a receiver refuses for what it says (400, 413, 422 and their like) is lost, all else is worth another attempt: a
wrong credential or path is mended sooner or later. Source: prometheus.io/docs/specs/prw/remote_write_spec.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import urllib3

from fleet.metrics.pool import Call, Pool
from fleet.metrics.recorded import recorded_name
from fleet.metrics.remote_write.encode import HEADERS, Series, encode_write
from fleet.metrics.remote_write.options import RemoteWriteOptions
from fleet.metrics.sending import Sender
from fleet.model.errors import MetricsBusy, MetricsUnavailable, PointsRefused
from fleet.model.objects import NodeKey, PodKey
from fleet.model.told import foreign, tell
from fleet.model.usage import Kind, Measure, Point

_A_REQUEST = 10_000
"""Series of one request: 1.4 MB, 220 KB compressed."""

_LATER = frozenset({401, 403, 404, 407, 408, 429})
_HINTS = {
    401: ", check the credential",
    403: ", check what the credential may",
    404: ", check the path; Prometheus wants --web.enable-remote-write-receiver",
}
_MOST_PATIENCE = 300.0
_MOST_WORDS = 300
_NAMES = {kind: [(measure.value, recorded_name(kind, measure)) for measure in Measure] for kind in Kind}

Pods = Iterable[tuple[PodKey, Point]]
Nodes = Iterable[tuple[NodeKey, Point]]


def build_series(pods: Pods, nodes: Nodes, cluster_label: str) -> Iterator[Series]:
    """A series for each measure that a point has, by the names of `fleet.metrics.recorded`."""
    for pod, point in pods:
        labels = [(cluster_label, pod.cluster), ("namespace", pod.namespace), ("pod", pod.name)]
        if point.node:
            labels.append(("node", point.node))
        yield from _series_of(Kind.POD, labels, point)
    for node, point in nodes:
        yield from _series_of(Kind.NODE, [(cluster_label, node.cluster), ("node", node.name)], point)


def _series_of(kind: Kind, labels: list[tuple[str, str]], point: Point) -> Iterator[Series]:
    labels.sort()
    time_ms = point.time_ns // 1_000_000
    for field, name in _NAMES[kind]:
        value = getattr(point, field)
        if value is not None:
            yield (("__name__", name), *labels), ((value, time_ms),)


class RemoteWriter:
    """A `PointStore`. Made by `open_remote_writer`. Raises MetricsUnavailable, MetricsBusy, PointsRefused."""

    def __init__(self, options: RemoteWriteOptions, pool: Pool) -> None:
        self._options = options
        self._pool = pool

    async def write(self, pods: Pods, nodes: Nodes) -> None:
        """Sends all of it, in requests of some thousand series; those behind a refused one, too."""
        series = build_series(pods, nodes, self._options.cluster_label)
        refused: PointsRefused | None = None
        while body := await asyncio.to_thread(_encode_next, series):
            try:
                await self._send(body)
            except PointsRefused as error:
                refused = error
        if refused is not None:
            raise refused

    async def check(self) -> str:
        """Sends a request without a series, and says what took it."""
        await self._send(encode_write(()))
        return tell("{} is taken", self._options.server)

    async def _send(self, body: bytes) -> None:
        await self._pool.send(Call("", HEADERS, body), lambda answer: answer, self._refuse)

    def _refuse(self, status: int, words: bytes) -> MetricsUnavailable:
        message = _explain(self._options, status, words)
        # Of the statuses below 400 only redirects arrive here: they are not followed with a credential.
        return PointsRefused(message) if 400 <= status < 500 and status not in _LATER else MetricsUnavailable(message)


def _encode_next(series: Iterator[Series]) -> bytes:
    batch = list(islice(series, _A_REQUEST))
    return encode_write(batch) if batch else b""


def _explain(options: RemoteWriteOptions, status: int, words: bytes) -> str:
    said = foreign(" ".join(words[:_MOST_WORDS].decode(errors="replace").split()))
    return tell("{} is answered with {}{}: {}", options.server, status, _HINTS.get(status, ""), said)


class _PatientSender(Sender):
    """Heeds `Retry-After`, where a receiver says it in whole seconds."""

    def __init__(self, options: RemoteWriteOptions) -> None:
        super().__init__(options)
        self._receiver = options

    def request(self, call: Call, timeout: float) -> urllib3.BaseHTTPResponse:
        response = super().request(call, timeout)
        patience = response.headers.get("Retry-After", "")
        if response.status >= 400 and patience.isdecimal():
            response.close()
            message = _explain(self._receiver, response.status, f"to be sent again in {patience} s".encode())
            raise MetricsBusy(message, min(float(patience), _MOST_PATIENCE))
        return response


@contextlib.asynccontextmanager
async def open_remote_writer(options: RemoteWriteOptions) -> AsyncIterator[RemoteWriter]:
    """Opens it; nothing is sent. Leaving waits for a request under way, at most for its timeout."""
    thread = ThreadPoolExecutor(options.connections, thread_name_prefix="remote-write")
    try:
        yield RemoteWriter(options, Pool(options, _PatientSender(options).request, thread, complains=False))
    finally:
        await asyncio.to_thread(thread.shutdown, wait=True, cancel_futures=True)
