"""Points into an InfluxDB, in the form in which the platform's own collectors write them: quantities as text.

The client library's lines, sent by its pool to `/write` of a 1.x, or to `/api/v2/write` of a 2.x: its `WriteApi` knows
the latter alone, and batches in a queue without a bound. Written again, a point replaces its like.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any
from urllib.parse import urlencode

import msgspec
from influxdb_client.client.write.point import Point as Line
from msgspec import Struct

from fleet.metrics.influx.layout import FIELDS, LAYOUTS
from fleet.metrics.influx.options import Dialect, InfluxOptions
from fleet.metrics.influx.pool import InfluxPool, open_influx_pool
from fleet.metrics.pool import Call
from fleet.model.errors import MetricsUnavailable, PointsRefused
from fleet.model.objects import NodeKey, PodKey
from fleet.model.quantities import canonical_bytes, canonical_cores
from fleet.model.told import foreign, tell
from fleet.model.unreadable import UNREADABLE
from fleet.model.usage import Kind, Measure, Point

Pods = Iterable[tuple[PodKey, Point]]
Nodes = Iterable[tuple[NodeKey, Point]]

_HINTS = {
    401: ", check the user or the token",
    403: ", which may not write there",
    404: ", there is no such database or bucket",
}
_REFUSED = frozenset({400, 413, 422})
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class _Refusal(Struct):
    """A 1.x says `error`, a 2.x `message`."""

    error: str = ""
    message: str = ""

    @property
    def words(self) -> str:
        return self.error or self.message


def build_lines(pods: Pods, nodes: Nodes) -> list[str]:
    """The points in line protocol, times in nanoseconds; a point without any measure is left out."""
    keyed = [(Kind.POD, tuple(key), point) for key, point in pods]
    keyed += [(Kind.NODE, tuple(key), point) for key, point in nodes]
    lines = []
    for kind, names, point in keyed:
        layout = LAYOUTS[kind]
        line: Any = Line(layout.measurement)  # type: ignore[no-untyped-call]  # the library has no annotations here
        line.time(point.time_ns)
        for tag, name in zip(layout.tags, names, strict=True):
            line.tag(tag, name)
        if kind is Kind.POD and point.node:
            line.tag("node", point.node)
        for measure, field in FIELDS.items():
            if (value := getattr(point, measure.value)) is not None:
                line.field(field, _as_text(measure, value))
        lines.append(line.to_line_protocol())
    return [line for line in lines if line]


def _as_text(measure: Measure, value: float) -> str:
    if measure is Measure.CPU_CORES:
        return canonical_cores(value)
    return str(int(value)) if measure.is_counter else canonical_bytes(int(value))


class InfluxWriter:
    """A `PointStore`. Made by `open_influx_writer`. Raises MetricsUnavailable, PointsRefused."""

    def __init__(self, options: InfluxOptions, pool: InfluxPool) -> None:
        self._options = options
        self._pool = pool
        if options.dialect is Dialect.FLUX:
            self._kept = "bucket"
            self._path = f"/api/v2/write?{urlencode({'org': options.org, 'bucket': options.database})}&precision=ns"
        else:
            self._kept = "database"
            self._path = f"/write?{urlencode({'db': options.database})}&precision=ns"

    async def write(self, pods: Pods, nodes: Nodes) -> None:
        await self._send("\n".join(await asyncio.to_thread(build_lines, pods, nodes)).encode())

    async def check(self) -> str:
        """Writes a body without a line, and says what took it."""
        version = await self._send(b"")
        return tell("{} {}, {} {!r} is written", self._options.server, version, self._kept, self._options.database)

    async def _send(self, body: bytes) -> str:
        return await self._pool.ask(Call(self._path, _TEXT, body), lambda answer: answer.version, self._refuse)

    def _refuse(self, status: int, body: bytes) -> MetricsUnavailable:
        options = self._options
        try:
            said = foreign(" ".join(msgspec.json.decode(body, type=_Refusal).words.split())[:300])
        except UNREADABLE:
            said = ""
        hint = _HINTS.get(status, "")
        words = tell("{} answers {}{} to a write: {}", options.server, status, hint, said or "it does not say why")
        return PointsRefused(words) if status in _REFUSED else MetricsUnavailable(words)


@contextlib.asynccontextmanager
async def open_influx_writer(options: InfluxOptions) -> AsyncIterator[InfluxWriter]:
    """Opens it; nothing is sent. Leaving waits for a request under way."""
    async with open_influx_pool(options, complains=False) as pool:
        yield InfluxWriter(options, pool)
