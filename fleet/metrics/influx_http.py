"""The connection to an InfluxDB 1.x: the client library's pool, in threads of its own, bounded in time and size.

The library's blocking client is used: its asynchronous one ignores timeouts, and was no faster. Its exceptions, and
those of the pool beneath it, become MetricsUnavailable here. No message holds a statement, a password or InfluxDB's
own words.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from msgspec import Struct
from urllib3.exceptions import (
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as PoolTimeoutError

from fleet.errors import MetricsUnavailable
from fleet.recorder import querying_metrics, with_recorder

T = TypeVar("T")

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class InfluxOptions:
    """Where an InfluxDB 1.x is, and what it may cost.

    `timeout` bounds a whole query, in seconds. `lookback` is how old, in seconds, the newest point of an object may be
    to count as its usage. `max_answer_bytes` bounds an answer; `connections` the queries at once.
    """

    url: str
    database: str = "Metrics"
    username: str = ""
    password: str = field(default="", repr=False)
    timeout: float = 5.0
    lookback: float = 3600.0
    max_answer_bytes: int = 64 * 1024 * 1024
    connections: int = 4

    @property
    def place(self) -> str:
        """Scheme, host and port, fit for a message."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class InfluxAnswer(Struct, frozen=True):
    """The body of a 200, and the server's version as it says it."""

    body: bytes
    version: str


class InfluxConnection:
    """Sends queries. Made by `open_influx_connection`; `queries_sent` counts the requests."""

    def __init__(self, options: InfluxOptions, client: Any, threads: ThreadPoolExecutor) -> None:
        self._options = options
        self._client = client
        self._threads = threads
        self.queries_sent = 0

    async def query(
        self,
        text: str,
        params: Mapping[str, str | int],
        read: Callable[[InfluxAnswer], T],
        *,
        database: str | None = None,
    ) -> T:
        """Sends one statement and answers what `read` makes of the answer, in the thread that received it.

        Raises MetricsUnavailable.
        """
        form = {"q": text, "params": json.dumps(params), "epoch": "ns"}
        if database is not None:
            form["db"] = database
        deadline = time.monotonic() + self._options.timeout
        self.queries_sent += 1
        work = with_recorder(lambda: read(self._post(form, deadline)))
        try:
            with querying_metrics():
                async with asyncio.timeout(self._options.timeout):
                    return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as error:
            raise self._slow() from error

    def _post(self, form: Mapping[str, str], deadline: float) -> InfluxAnswer:
        try:
            try:
                return self._post_once(form, deadline)
            except ProtocolError:
                # A kept connection that the server closed as it was taken: queries only read, so one more try is safe.
                return self._post_once(form, deadline)
        except (HTTPError, ValueError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> MetricsUnavailable:
        place = self._options.place
        # In the order of their classes: an unknown host is a refused connection, which is a time-out, to the pool.
        if isinstance(error, NameResolutionError):
            return MetricsUnavailable(f"the host name of InfluxDB at {place} is not known")
        if isinstance(error, NewConnectionError):
            return MetricsUnavailable(f"InfluxDB at {place} does not accept connections")
        if isinstance(error, PoolTimeoutError):
            return self._slow()
        if isinstance(error, SSLError):
            return MetricsUnavailable(f"the TLS certificate of InfluxDB at {place} is not accepted")
        if isinstance(error, ProtocolError):
            return MetricsUnavailable(f"InfluxDB at {place} broke off its answer")
        return MetricsUnavailable(f"InfluxDB at {place} can't be asked ({type(error).__name__})")

    def _post_once(self, form: Mapping[str, str], deadline: float) -> InfluxAnswer:
        # `call_api` would read the body of a refusal without a bound; so the client's own pool is asked.
        api = self._client.api_client
        response = api.rest_client.pool_manager.request(
            "POST",
            f"{api.configuration.host}/query",
            fields=form,
            encode_multipart=False,
            headers={**api.default_headers, "Accept": "application/json"},
            timeout=max(0.01, deadline - time.monotonic()),
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            body = self._read(response, deadline)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return InfluxAnswer(body, response.headers.get("X-Influxdb-Version", ""))

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        if response.status != 200:
            raise self._refusal(response.status)
        chunks: list[bytes] = []
        size = 0
        while chunk := response.read1(_CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > self._options.max_answer_bytes:
                raise MetricsUnavailable(
                    f"InfluxDB's answer is larger than {self._options.max_answer_bytes} bytes: ask for fewer "
                    "objects, or a shorter time"
                )
            if time.monotonic() > deadline:
                raise self._slow()
        return b"".join(chunks)

    def _slow(self) -> MetricsUnavailable:
        return MetricsUnavailable(
            f"InfluxDB at {self._options.place} did not answer within {self._options.timeout:g} s"
        )

    def _refusal(self, status: int) -> MetricsUnavailable:
        options = self._options
        user = f"user {options.username!r}" if options.username else "a query without a user"
        if status == 401:
            return MetricsUnavailable(
                f"InfluxDB at {options.place} refuses {user} (401): check the name and the password"
            )
        if status == 403:
            return MetricsUnavailable(
                f"InfluxDB at {options.place} does not let {user} read {options.database!r} (403)"
            )
        if status == 404:
            return MetricsUnavailable(f"there is no InfluxDB 1.x at {options.place} (404)")
        return MetricsUnavailable(f"InfluxDB at {options.place} answered {status} to a query")


@contextlib.asynccontextmanager
async def open_influx_connection(options: InfluxOptions) -> AsyncIterator[InfluxConnection]:
    """Opens the pool; nothing is sent. Leaving waits for queries under way, at most for their timeout."""
    credential = (
        {"token": f"{options.username}:{options.password}", "auth_basic": True} if options.username else {"token": ""}
    )
    client = InfluxDBClient(options.url.rstrip("/"), connection_pool_maxsize=options.connections, **credential)
    threads = ThreadPoolExecutor(options.connections, thread_name_prefix="influx")
    try:
        yield InfluxConnection(options, client, threads)
    finally:
        await asyncio.to_thread(threads.shutdown, wait=True, cancel_futures=True)
        client.close()  # type: ignore[no-untyped-call]  # the library has no annotations here
