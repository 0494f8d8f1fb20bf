"""InfluxQL over HTTP: `/query` of an InfluxDB 1.x, and the same route of a 2.x that serves 1.x clients."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from fleet.metrics.influx.pool import Call, InfluxAnswer, InfluxPool, PoolOptions, open_influx_pool
from fleet.model.errors import MetricsUnavailable

T = TypeVar("T")

_PACKED = "application/x-msgpack"
# MessagePack is a quarter smaller, and made and read in less time; a server that has none answers in JSON. A 1.x gives
# it only to who accepts nothing else.
_HEADERS = {"Accept": _PACKED, "Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class InfluxOptions(PoolOptions):
    """An InfluxDB that answers InfluxQL. A `token`, which only a 2.x takes, goes before a user and a password."""

    database: str = "Metrics"
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def caller(self) -> str:
        """Who asks, fit for a message."""
        if self.token:
            return "this server's token"
        return f"user {self.username!r}" if self.username else "a query without a user"

    def as_credential(self) -> Mapping[str, Any]:
        """As the client library takes it."""
        if self.username and not self.token:
            return {"token": f"{self.username}:{self.password}", "auth_basic": True}
        return {"token": self.token}


def is_packed(answer: InfluxAnswer) -> bool:
    """Whether an answer is MessagePack; else it is JSON."""
    return answer.media_type.startswith(_PACKED)


class InfluxConnection:
    """Sends statements. Made by `open_influx_connection`."""

    def __init__(self, options: InfluxOptions, pool: InfluxPool) -> None:
        self._options = options
        self._pool = pool

    @property
    def queries_sent(self) -> int:
        """How many requests there were."""
        return self._pool.calls_sent

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
        return await self._pool.ask(Call("/query", _HEADERS, urlencode(form).encode()), read, self._refusal)

    def _refusal(self, status: int, _: bytes) -> MetricsUnavailable:
        options = self._options
        if status == 401:
            mend = "check the token" if options.token else "check the name and the password"
            return MetricsUnavailable(f"InfluxDB at {options.place} refuses {options.caller} (401): {mend}")
        if status == 403:
            return MetricsUnavailable(
                f"InfluxDB at {options.place} does not let {options.caller} read {options.database!r} (403)"
            )
        if status == 404:
            return MetricsUnavailable(f"there is no InfluxDB 1.x at {options.place} (404)")
        return MetricsUnavailable(f"InfluxDB at {options.place} answered {status} to a query")


@contextlib.asynccontextmanager
async def open_influx_connection(options: InfluxOptions) -> AsyncIterator[InfluxConnection]:
    """Opens the pool; nothing is sent. Leaving waits for queries under way, at most for their timeout."""
    async with open_influx_pool(options, options.as_credential()) as pool:
        yield InfluxConnection(options, pool)
