"""One look at the metric file: which objects are meant, and their blocks. What is damaged is left out, and told.

Objects are bound as one JSON array whatever their number. Column names are constants; nothing else enters a text.
"""

import json
import logging
import math
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

from fleet.aio.complaints import Complaints
from fleet.aio.recorder import counted_rows
from fleet.metrics.embedded.blocks.frames import DamagedBlock
from fleet.metrics.embedded.layout import series_name
from fleet.metrics.embedded.tiers import Tier
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Kind, Measure

logger = logging.getLogger(__name__)

D = TypeVar("D")

WANTED = """
WITH wanted (position, series_id) AS MATERIALIZED (
  SELECT asked.key, series.id FROM json_each(?) AS asked CROSS JOIN series
  WHERE series.kind = asked.value ->> 0 AND series.cluster = asked.value ->> 1
    AND series.namespace = asked.value ->> 2 AND series.name = asked.value ->> 3
)
"""


def asked(kind: Kind, keys: Iterable[PodKey | NodeKey]) -> str:
    """What `WANTED` is bound to."""
    return json.dumps([series_name(kind, key) for key in keys])


def columns_of(measures: Iterable[Measure]) -> str:
    return "".join(f", points.{measure.value}" for measure in measures)


class Damages:
    """Blocks that could not be read, each told once a while."""

    def __init__(self) -> None:
        self.count = 0
        self._complaints = Complaints()

    def note(self, connection: sqlite3.Connection, series_id: int, tier: Tier, start_ns: int, error: Exception) -> None:
        if not self._complaints.is_due((series_id, tier.number, start_ns), None):
            return
        self.count += 1
        begin, end = (
            datetime.fromtimestamp(time_ns / NANOSECONDS, UTC) for time_ns in (start_ns, start_ns + tier.period_ns)
        )
        row = connection.execute("SELECT cluster, namespace, name FROM series WHERE id = ?", (series_id,)).fetchone()
        logger.error(
            "of %s, usage from %s to %s is left out: %s",
            "/".join(filter(None, row or ())),
            begin.isoformat(),
            end.isoformat(),
            error,
        )


class View:
    """Of one thread at a time. Raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection, damages: Damages, deadline: float = math.inf) -> None:
        """`deadline` as `time.monotonic` has it."""
        self.connection = connection
        self._damages = damages
        self._deadline = deadline

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything that is read within is of one moment."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    def find_series(self, kind: Kind, keys: Iterable[PodKey | NodeKey]) -> list[tuple[int, int]]:
        """Of each object that is known, its position among these and the id of its series."""
        text = f"{WANTED} SELECT position, series_id FROM wanted"  # noqa: S608 - constants only
        return self.connection.execute(text, (asked(kind, keys),)).fetchall()

    def check_time(self) -> None:
        """Raises MetricsUnavailable once nobody waits any more."""
        if time.monotonic() > self._deadline:
            raise MetricsUnavailable("the metric file did not answer in time")

    def blocks(
        self, series_id: int, tier: Tier, start_ns: int, end_ns: int, decode: Callable[[bytes], D]
    ) -> Iterator[D]:
        """The blocks of the periods that have something of [start, end), newest first."""
        self.check_time()
        rows = self.connection.execute(
            f"SELECT start_ns, data FROM {tier.table} WHERE series_id = ? AND start_ns > ? AND start_ns < ? "  # noqa: S608 - constants only
            "ORDER BY start_ns DESC",
            (series_id, max(start_ns, -(2**62)) - tier.period_ns, end_ns),
        )
        for begin_ns, data in counted_rows(rows):
            try:
                yield decode(data)
            except DamagedBlock as error:
                self._damages.note(self.connection, series_id, tier, begin_ns, error)
