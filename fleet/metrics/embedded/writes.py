"""Writing to the embedded store's file: points in, old points out. Everything here runs in the one writer thread."""

import sqlite3
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TypeVar

from fleet.metrics.embedded.bounds import Bounds
from fleet.metrics.embedded.extent import Extent
from fleet.metrics.embedded.followed import Followed
from fleet.metrics.embedded.layout import KIND_NUMBERS, MEASURE_COLUMNS, SeriesName, series_name
from fleet.metrics.embedded.sealing import Sealer
from fleet.metrics.embedded.sqlite import transaction
from fleet.metrics.embedded.tiers import Plan
from fleet.metrics.embedded.view import Damages
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Kind, Point

T = TypeVar("T")

Row = tuple[SeriesName, Point]

_INSERT = (
    f"INSERT OR REPLACE INTO points (series_id, time_ns, {', '.join(MEASURE_COLUMNS)}, place_id) "  # noqa: S608 - constants only
    f"VALUES ({', '.join('?' * (len(MEASURE_COLUMNS) + 3))})"
)
_measured: Callable[[Point], tuple[float | None, ...]] = attrgetter(*MEASURE_COLUMNS)


def build_rows(pods: Iterable[tuple[PodKey, Point]], nodes: Iterable[tuple[NodeKey, Point]]) -> list[Row]:
    """The points of one delivery with the names of their series."""
    rows: list[Row] = [(series_name(Kind.POD, pod), point) for pod, point in pods]
    rows.extend((series_name(Kind.NODE, node), point) for node, point in nodes)
    return rows


class PointWriter:
    """Holds the writing connection and the ids it has seen. Raises sqlite3.Error, MetricsUnavailable."""

    def __init__(self, followed: Followed, bounds: Bounds, damages: Damages, clock: Callable[[], int]) -> None:
        self._followed = followed
        self._connection = followed.get()
        self._bounds = bounds
        self._damages = damages
        self._sealer = Sealer(damages)
        self._clock = clock
        self._plan: Plan | None = None
        self._series_ids: dict[SeriesName, int] = {}
        self._place_ids: dict[str, int] = {}

    def follow(self) -> None:
        """Goes on with the file that is there now."""
        connection = self._followed.get()
        if connection is not self._connection:
            self._connection = connection
            self._sealer, self._plan = Sealer(self._damages), None
            self._forget_ids()

    def write(self, rows: list[Row]) -> None:
        """Writes a delivery, whole or not at all; where the file has reached its bound, old points make room."""
        self._with_room(lambda: self._insert(rows))

    def seal(self, seconds: float) -> bool:
        """Makes blocks of rows for so long; whether more may wait. What is due was found at the last cut."""
        plan = self._plan
        return plan is not None and self._with_room(lambda: self._sealer.seal(self._connection, plan, seconds))

    def cut(self) -> tuple[Extent, bool]:
        """Removes what is too old, or does not fit; what is left then, and whether rows wait to become blocks."""
        self._plan = self._bounds.plan(self._connection, self._clock())
        waits = self._plan is not None and self._sealer.is_due(self._connection, self._plan)
        try:
            self._bounds.cut(self._connection, self._clock(), waits=waits)
        finally:
            self._forget_ids()
        return self._bounds.measure(self._connection, self._clock()), waits

    def _with_room(self, change: Callable[[], T]) -> T:
        try:
            return change()
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
                raise
            try:
                self._bounds.make_room(self._connection, self._clock())
            finally:
                self._forget_ids()
            return change()

    def _insert(self, rows: list[Row]) -> None:
        try:
            with transaction(self._connection):
                self._connection.executemany(_INSERT, [self._values(name, point) for name, point in rows])
        except BaseException:
            # Ids that were made in the transaction are gone with it.
            self._forget_ids()
            raise

    def _values(self, name: SeriesName, point: Point) -> tuple[object, ...]:
        place = self._place_id(point.node) if point.node is not None and name[0] == KIND_NUMBERS[Kind.POD] else None
        return (self._series_id(name), point.time_ns, *_measured(point), place)

    def _series_id(self, name: SeriesName) -> int:
        known = self._series_ids.get(name)
        if known is None:
            known = self._series_ids[name] = self._id_of(
                "SELECT id FROM series WHERE kind = ? AND cluster = ? AND namespace = ? AND name = ?",
                "INSERT INTO series (kind, cluster, namespace, name) VALUES (?, ?, ?, ?)",
                name,
            )
        return known

    def _place_id(self, name: str) -> int:
        known = self._place_ids.get(name)
        if known is None:
            known = self._place_ids[name] = self._id_of(
                "SELECT id FROM places WHERE name = ?", "INSERT INTO places (name) VALUES (?)", (name,)
            )
        return known

    def _id_of(self, select: str, insert: str, values: tuple[object, ...]) -> int:
        row = self._connection.execute(select, values).fetchone()
        return int(row[0] if row is not None else self._connection.execute(insert, values).lastrowid or 0)

    def _forget_ids(self) -> None:
        self._series_ids.clear()
        self._place_ids.clear()
