"""How an InfluxDB is called, 1.x or 2.x: the client library's pool, in threads of its own.

The library's blocking client is used: its asynchronous one ignores timeouts, and was no faster. No message holds a
query, a password, a token or InfluxDB's own words.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from msgspec import Struct

from fleet.metrics.influx.options import InfluxOptions
from fleet.metrics.pool import Call, HttpAnswer, Pool, Refuse

T = TypeVar("T")


class InfluxAnswer(Struct, frozen=True):
    """The body of a 200, its media type, and the server's version as it says it."""

    body: bytes
    version: str = ""
    media_type: str = ""


class InfluxPool(Pool):
    """Sends calls. Made by `open_influx_pool`."""

    async def ask(self, call: Call, read: Callable[[InfluxAnswer], T], refuse: Refuse) -> T:
        """What `read` makes of the answer, in the thread that received it. Raises MetricsUnavailable."""

        def read_http(answer: HttpAnswer) -> T:
            version = answer.headers.get("X-Influxdb-Version", "").removeprefix("v")
            return read(InfluxAnswer(answer.body, version, answer.headers.get("Content-Type", "")))

        return await self.send(call, read_http, refuse)


@contextlib.asynccontextmanager
async def open_influx_pool(options: InfluxOptions, *, complains: bool = True) -> AsyncIterator[InfluxPool]:
    """Opens the pool; nothing is sent. Leaving waits for queries under way, at most for their timeout.

    It `complains` in the log of what keeps going wrong, unless whoever asks does.
    """
    url, connections = options.url.rstrip("/"), options.connections
    client = InfluxDBClient(url, connection_pool_maxsize=connections, **options.as_credential())

    def request(call: Call, timeout: float) -> urllib3.BaseHTTPResponse:
        # Not `call_api`, nor the query and bucket APIs above it, though they cost the same: they read a refusal to its
        # end, without a bound in bytes or time, so a server that drips one would keep each thread, the probe's too.
        api = client.api_client
        response: urllib3.BaseHTTPResponse = api.rest_client.pool_manager.request(
            call.method,
            f"{api.configuration.host}{call.path}",
            body=call.body,
            headers={**api.default_headers, **call.headers},
            timeout=timeout,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )
        return response

    threads = ThreadPoolExecutor(connections, thread_name_prefix="influx")
    try:
        yield InfluxPool(options, request, threads, complains=complains)
    finally:
        await asyncio.to_thread(threads.shutdown, wait=True, cancel_futures=True)
        client.close()  # type: ignore[no-untyped-call]  # the library has no annotations here
