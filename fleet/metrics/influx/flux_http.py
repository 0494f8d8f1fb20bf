"""Flux over HTTP: `/api/v2/query` of an InfluxDB 2.x, with its refusals in the fleet's words.

Source: the HTTP API of InfluxDB 2.7. A missing bucket is a 404, a missing organisation or a wrong query a 400.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from fleet.metrics.influx.flux_text import FluxQuery
from fleet.metrics.influx.pool import Call, InfluxAnswer, InfluxPool, PoolOptions, open_influx_pool
from fleet.model.errors import MetricsUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

_HEADERS = {"Accept": "application/csv", "Content-Type": "application/json"}
# Times to the nanosecond, and the types of columns: nothing else is needed to read an answer.
_DIALECT = {"header": True, "delimiter": ",", "annotations": ["datatype"], "dateTimeFormat": "RFC3339Nano"}


@dataclass(frozen=True, slots=True)
class FluxOptions(PoolOptions):
    """An InfluxDB 2.x: its organisation and bucket by name, and a token that may read the bucket."""

    org: str = ""
    bucket: str = "Metrics"
    token: str = field(default="", repr=False)


class _Refusal(Struct):
    code: str = ""
    message: str = ""


class FluxConnection:
    """Sends queries. Made by `open_flux_connection`."""

    def __init__(self, options: FluxOptions, pool: InfluxPool) -> None:
        self._options = options
        self._pool = pool
        self._path = f"/api/v2/query?org={quote(options.org, safe='')}"

    @property
    def queries_sent(self) -> int:
        """How many requests there were."""
        return self._pool.calls_sent

    async def query(self, query: FluxQuery, read: Callable[[InfluxAnswer], T]) -> T:
        """Sends one query and answers what `read` makes of the answer, in the thread that received it.

        Raises MetricsUnavailable.
        """
        body = {"query": query.text, "type": "flux", "dialect": _DIALECT, "extern": query.as_extern()}
        return await self._pool.ask(Call(self._path, _HEADERS, msgspec.json.encode(body)), read, self._refusal)

    def _refusal(self, status: int, body: bytes) -> MetricsUnavailable:
        options = self._options
        try:
            said = msgspec.json.decode(body, type=_Refusal)
        except msgspec.DecodeError:
            said = _Refusal()
        if status == 401:
            return MetricsUnavailable(f"InfluxDB at {options.place} refuses this server's token (401): check the token")
        if "organization" in said.message and "not found" in said.message:
            return MetricsUnavailable(
                f"InfluxDB at {options.place} has no organisation {options.org!r}: check its name"
            )
        if "could not find bucket" in said.message:
            return MetricsUnavailable(
                f"InfluxDB at {options.place} has no bucket {options.bucket!r} in organisation {options.org!r} that "
                "this server's token may read"
            )
        if status == 403 and said.code:
            return MetricsUnavailable(
                f"InfluxDB at {options.place} does not let this server's token read {options.bucket!r} (403)"
            )
        if status == 404 and not said.code:
            return MetricsUnavailable(f"there is no InfluxDB 2.x at {options.place} (404)")
        if said.message:
            return MetricsUnavailable(explain_error(said.message))
        return MetricsUnavailable(f"InfluxDB at {options.place} answered {status} to a query")


def explain_error(text: str) -> str:
    """A message for an error of a query. Its own words may hold a part of the query, so only the log gets them."""
    if "memory allocation limit" in text or "limit exceeded" in text:
        return "the query reached a limit of InfluxDB (memory): ask for less, or raise its limit"
    logger.warning("InfluxDB reports an error: %.200r", text)
    return "InfluxDB reports an error for the query; the log has its words"


@contextlib.asynccontextmanager
async def open_flux_connection(options: FluxOptions) -> AsyncIterator[FluxConnection]:
    """Opens the pool; nothing is sent. Leaving waits for queries under way, at most for their timeout."""
    async with open_influx_pool(options, {"token": options.token, "org": options.org}) as pool:
        yield FluxConnection(options, pool)
