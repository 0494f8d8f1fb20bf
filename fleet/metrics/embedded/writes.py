"""Writing to the embedded store's file: points in, old points out. Everything here runs in the one writer thread."""

import sqlite3
from collections.abc import Callable, Iterable
from operator import attrgetter

from fleet.metrics.embedded.followed import Followed
from fleet.metrics.embedded.layout import KIND_NUMBERS, MEASURE_COLUMNS
from fleet.metrics.embedded.sqlite import transaction
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Kind, Point

SeriesName = tuple[int, str, str, str]
Row = tuple[SeriesName, Point]

_INSERT = (
    f"INSERT OR REPLACE INTO points (series_id, time_ns, {', '.join(MEASURE_COLUMNS)}, place_id) "  # noqa: S608 - constants only
    f"VALUES ({', '.join('?' * (len(MEASURE_COLUMNS) + 3))})"
)
_measured: Callable[[Point], tuple[float | None, ...]] = attrgetter(*MEASURE_COLUMNS)
_SERIES_A_CUT = 2_000
_SHARE_A_CUT = 10
_KEEP_SHARE = 0.9


def series_name(kind: Kind, key: PodKey | NodeKey) -> SeriesName:
    namespace = key.namespace if isinstance(key, PodKey) else ""
    return KIND_NUMBERS[kind], key.cluster, namespace, key.name


def build_rows(pods: Iterable[tuple[PodKey, Point]], nodes: Iterable[tuple[NodeKey, Point]]) -> list[Row]:
    """The points of one delivery with the names of their series."""
    rows: list[Row] = [(series_name(Kind.POD, pod), point) for pod, point in pods]
    rows.extend((series_name(Kind.NODE, node), point) for node, point in nodes)
    return rows


class PointWriter:
    """Holds the writing connection and the ids it has seen. Raises sqlite3.Error, MetricsUnavailable."""

    def __init__(self, followed: Followed, max_bytes: int) -> None:
        self._followed = followed
        self._connection = followed.get()
        self._max_bytes = max_bytes
        self._series_ids: dict[SeriesName, int] = {}
        self._place_ids: dict[str, int] = {}

    def follow(self) -> None:
        """Goes on with the file that is there now."""
        connection = self._followed.get()
        if connection is not self._connection:
            self._connection = connection
            self._forget_ids()

    def write(self, rows: list[Row]) -> None:
        """Writes a delivery, whole or not at all; where the file has reached its bound, old points make room."""
        try:
            self._insert(rows)
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
                raise
            self.cut_to_size()
            self._insert(rows)

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

    def newest_ns(self) -> int | None:
        """The time of the newest point; None where there is none."""
        return self._time_span()[1]

    def cut_before(self, time_ns: int) -> int:
        """Removes the points before a time, and series that have none left; answers how many points went."""
        removed = 0
        last = self._connection.execute("SELECT coalesce(max(id), 0) FROM series").fetchone()[0]
        for first in range(0, last + 1, _SERIES_A_CUT):
            with transaction(self._connection):
                removed += self._connection.execute(
                    "DELETE FROM points WHERE time_ns < ? "
                    "AND series_id IN (SELECT id FROM series WHERE id >= ? AND id < ?)",
                    (time_ns, first, first + _SERIES_A_CUT),
                ).rowcount
        if removed:
            with transaction(self._connection):
                self._connection.execute(
                    "DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM points WHERE points.series_id = series.id) "
                    "AND NOT EXISTS (SELECT 1 FROM blocks WHERE blocks.series_id = series.id)"
                )
            self._forget_ids()
        return removed

    def cut_to_size(self) -> None:
        """Removes the oldest tenth of the time held until the points fit in nine tenths of the bound."""
        while self._bytes_in_use() > self._max_bytes * _KEEP_SHARE:
            oldest, newest = self._time_span()
            if oldest is None or newest is None:
                break
            self.cut_before(oldest + max(1, (newest - oldest) // _SHARE_A_CUT))
        self.shrink()

    def shrink(self) -> None:
        """Gives free pages and the log back to the disk."""
        # It gives a page a step, without a column, which `execute` takes for its end after the first.
        self._connection.executescript("PRAGMA incremental_vacuum")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def needs_cut(self) -> bool:
        return self._bytes_in_use() > self._max_bytes

    def _bytes_in_use(self) -> int:
        pages, free, size = (
            int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def _time_span(self) -> tuple[int | None, int | None]:
        row = self._connection.execute(
            "SELECT min((SELECT min(time_ns) FROM points WHERE series_id = series.id)), "
            "max((SELECT max(time_ns) FROM points WHERE series_id = series.id)) FROM series"
        ).fetchone()
        return row[0], row[1]
