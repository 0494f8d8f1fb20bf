"""Writes points by Prometheus remote write 1.0, from a thread of its own, one request after the other.

What a receiver refuses for what it says (400, 413, 422 and their like) is lost, all else is worth another attempt: a
wrong credential or path is mended sooner or later. Source: prometheus.io/docs/specs/prw/remote_write_spec.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as PoolTimeoutError

from fleet.metrics.recorded import recorded_name
from fleet.metrics.remote_write.encode import HEADERS, Series, encode_write
from fleet.metrics.remote_write.options import RemoteWriteOptions
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
_WORDS_BYTES = 300
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

    def __init__(self, options: RemoteWriteOptions, pool: urllib3.PoolManager, thread: ThreadPoolExecutor) -> None:
        self._options = options
        self._pool = pool
        self._thread = thread

    async def write(self, pods: Pods, nodes: Nodes) -> None:
        """Sends all of it, in requests of some thousand series; those behind a refused one, too."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._send_all, pods, nodes)

    async def check(self) -> str:
        """Sends a request without a series, and says what took it."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._send, encode_write(()))
        return tell("{} is taken", self._options.server)

    def _send_all(self, pods: Pods, nodes: Nodes) -> None:
        series = build_series(pods, nodes, self._options.cluster_label)
        refused: PointsRefused | None = None
        while batch := list(islice(series, _A_REQUEST)):
            try:
                self._send(encode_write(batch))
            except PointsRefused as error:
                refused = error
        if refused is not None:
            raise refused

    def _send(self, body: bytes) -> None:
        options = self._options
        try:
            response = self._pool.request(
                "POST",
                options.url,
                body=body,
                headers=self._build_headers(),
                timeout=urllib3.Timeout(total=options.timeout),
                redirect=False,
                retries=False,
                preload_content=False,
            )
            words = response.read1(_WORDS_BYTES)
        except (HTTPError, OSError, ValueError) as error:
            raise MetricsUnavailable(tell("{} {}", options.server, _verdict(error, options.timeout))) from error
        if words:
            response.close()  # no more than this is read of what it says
        response.release_conn()
        if response.status >= 300:
            raise self._refusal(response.status, response.headers.get("Retry-After", ""), words)

    def _build_headers(self) -> dict[str, str]:
        """Raises OSError, ValueError where the token can't be read or sent."""
        options = self._options
        headers = {**HEADERS, "User-Agent": "openmcp-apiserver"}
        token = options.token_file.read_text().strip() if options.token_file is not None else options.token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        elif options.username:
            basic = base64.b64encode(f"{options.username}:{options.password}".encode()).decode()
            headers["Authorization"] = f"Basic {basic}"
        if options.tenant:
            headers["X-Scope-OrgID"] = options.tenant
        return headers

    def _refusal(self, status: int, retry_after: str, words: bytes) -> MetricsUnavailable:
        said = foreign(" ".join(words.decode(errors="replace").split()))
        hint = _HINTS.get(status, "")
        message = tell("{} is answered with {}: {}", self._options.server, f"{status}{hint}", said)
        if retry_after.isdecimal():
            return MetricsBusy(message, min(float(retry_after), _MOST_PATIENCE))
        if status in _LATER or not 400 <= status < 500:
            return MetricsUnavailable(message)
        return PointsRefused(message)


def _verdict(error: Exception, timeout: float) -> str:
    # In the order of their classes: an unknown host is a refused connection, which is a time-out, to the pool.
    if isinstance(error, NameResolutionError):
        return "is not possible: its host name is not known"
    if isinstance(error, NewConnectionError):
        return "is not possible: it does not accept connections"
    if isinstance(error, PoolTimeoutError):
        return f"was not answered within {timeout:g} s"
    if isinstance(error, SSLError):
        return foreign(f"is not possible: its TLS certificate, or ours, is not accepted ({error})")
    return foreign(f"is not possible ({type(error).__name__}: {error})")


@contextlib.asynccontextmanager
async def open_remote_writer(options: RemoteWriteOptions) -> AsyncIterator[RemoteWriter]:
    """Opens it; nothing is sent. Leaving waits for a request under way."""
    ca, cert, key = (
        None if path is None else str(path) for path in (options.ca_file, options.cert_file, options.key_file)
    )
    pool = urllib3.PoolManager(num_pools=1, maxsize=1, ca_certs=ca, cert_file=cert, key_file=key)
    thread = ThreadPoolExecutor(1, thread_name_prefix="remote-write")
    try:
        yield RemoteWriter(options, pool, thread)
    finally:
        await asyncio.to_thread(thread.shutdown, wait=True, cancel_futures=True)
        pool.clear()
