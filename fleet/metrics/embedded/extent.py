"""What the metric file has of what it is to keep: how far back it reaches, and how much it takes. Only reads."""

import math
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from fleet.metrics.embedded.facts import EARLY_SINCE, SHARE, load_facts
from fleet.metrics.embedded.tiers import RAW, TIERS, Tier
from fleet.model.usage import NANOSECONDS

MILLION = 1_000_000
_BYTES_SAID = 64 * 1024**2


class Extent(Struct, frozen=True):
    """How far back the file reaches, and whether that is as far as promised.

    `oldest_ns` by the number of a tier, of those that have something: the beginning of a period, or the oldest row.
    `share` of its promised time is what each tier may keep, `early_since_ns` since when that is not all; `needed_bytes`
    would keep all, at the present rate.
    """

    bytes: int
    max_bytes: int
    max_age_ns: int
    now_ns: int
    oldest_ns: Mapping[int, int]
    share: float = 1.0
    early_since_ns: int | None = None

    @property
    def needed_bytes(self) -> int:
        return self.max_bytes if self.share == 1 else math.ceil(self.max_bytes / self.share / _BYTES_SAID) * _BYTES_SAID


def say_early(extent: Extent) -> str | None:
    """That the file does not reach back as promised, where it is so."""
    if extent.early_since_ns is None:
        return None
    since = datetime.fromtimestamp(extent.early_since_ns / NANOSECONDS, UTC).isoformat(timespec="minutes")
    return (
        f"points are kept for {_days(int(extent.max_age_ns * extent.share))} and not for {_days(extent.max_age_ns)} "
        f"since {since}, for want of room: OPENMCP_EMBEDDED_MAX_BYTES={extent.needed_bytes >> 20}Mi would hold all"
    )


def _days(time_ns: int) -> str:
    days = time_ns / (86_400 * NANOSECONDS)
    return f"{days:.1f} days" if days >= 1 else f"{days * 24:.1f} hours"


def newest_ns(connection: sqlite3.Connection) -> int | None:
    """The time of the newest point, of one in a block not later than the end of its period; None where none is."""
    newest = row_span(connection)[1]
    if newest is not None:
        return newest
    begin: int | None = connection.execute(
        f"SELECT max((SELECT max(start_ns) FROM {RAW.table} WHERE series_id = series.id)) FROM series"  # noqa: S608 - constants only
    ).fetchone()[0]
    return None if begin is None else begin + RAW.period_ns


def bytes_in_use(connection: sqlite3.Connection) -> int:
    pages, free, size = (pragma(connection, name) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size


def load_extent(connection: sqlite3.Connection, max_bytes: int, max_age_ns: int, now_ns: int) -> Extent:
    """Raises sqlite3.Error."""
    facts = load_facts(connection)
    found = {tier.number: oldest_block_ns(connection, tier) for tier in TIERS}
    oldest = {number: time_ns for number, time_ns in found.items() if time_ns is not None}
    if (row := row_span(connection)[0]) is not None:
        oldest[RAW.number] = min(row, oldest.get(RAW.number, row))
    return Extent(
        bytes=bytes_in_use(connection),
        max_bytes=max_bytes,
        max_age_ns=max_age_ns,
        now_ns=now_ns,
        oldest_ns=oldest,
        share=share_of(facts),
        early_since_ns=facts.get(EARLY_SINCE),
    )


def share_of(facts: Mapping[str, int]) -> float:
    return facts.get(SHARE, MILLION) / MILLION


def oldest_block_ns(connection: sqlite3.Connection, tier: Tier) -> int | None:
    oldest: int | None = connection.execute(
        f"SELECT min((SELECT min(start_ns) FROM {tier.table} WHERE series_id = series.id)) FROM series"  # noqa: S608 - constants only
    ).fetchone()[0]
    return oldest


def row_span(connection: sqlite3.Connection) -> tuple[int | None, int | None]:
    row = connection.execute(
        "SELECT min((SELECT min(time_ns) FROM points WHERE series_id = series.id)), "
        "max((SELECT max(time_ns) FROM points WHERE series_id = series.id)) FROM series"
    ).fetchone()
    return row[0], row[1]


def pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def pages_of(connection: sqlite3.Connection) -> int:
    return pragma(connection, "page_count")
