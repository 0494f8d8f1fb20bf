"""The bounds of the metric file: what is too old goes by whole blocks, and where there is no room, what is oldest.

Where there is no room for what is promised, each tier keeps the same share of its time. Runs in the one writer thread.
"""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from fleet.metrics.embedded.facts import EARLY_SINCE, SHARE, build_reach, load_facts, put_fact, reach_name
from fleet.metrics.embedded.sqlite import transaction
from fleet.metrics.embedded.tiers import RAW, SLACK_NS, TIERS, Keeping, Plan, Tier
from fleet.model.usage import NANOSECONDS

_SERIES_A_CUT = 2_000
_SHARE_A_CUT = 10
_KEEP_SHARE = 0.9
_ROOMY_SHARE = 0.8
_STEP = 0.9
_STEP_BACK = 0.01
_LEAST_SHARE = 0.001
_MILLION = 1_000_000
_PAGES_A_CUT = 4096
_BYTES_SAID = 64 * 1024**2


class Kept(Struct, frozen=True):
    """How far back the file reaches, and whether that is as far as promised.

    `oldest_ns` by the number of a tier, of those that have something; `rows_ns` of the oldest row. `early_since_ns`:
    since when points are dropped before their age; `needed_bytes` would keep them all, at the present rate.
    """

    bytes: int
    max_bytes: int
    max_age_ns: int
    now_ns: int
    oldest_ns: Mapping[int, int]
    early_since_ns: int | None = None
    needed_bytes: int | None = None

    @property
    def held_ns(self) -> int:
        """The time from the oldest point, or span, to now."""
        return self.now_ns - min(self.oldest_ns.values(), default=self.now_ns)


def say_early(kept: Kept) -> str | None:
    """That the file does not reach back as promised, where it is so."""
    if kept.early_since_ns is None or kept.needed_bytes is None:
        return None
    since = datetime.fromtimestamp(kept.early_since_ns / NANOSECONDS, UTC).isoformat(timespec="minutes")
    return (
        f"it reaches {_days(kept.held_ns)} back and not {_days(kept.max_age_ns)}: since {since} points are dropped "
        f"early for want of room, {kept.needed_bytes >> 20}Mi would hold all"
    )


def _days(time_ns: int) -> str:
    days = time_ns / (86_400 * NANOSECONDS)
    return f"{days:.1f} days" if days >= 1 else f"{days * 24:.1f} hours"


def newest_ns(connection: sqlite3.Connection) -> int | None:
    """The time of the newest point, of one in a block not later than the end of its period; None where none is."""
    newest = _row_span(connection)[1]
    if newest is not None:
        return newest
    begin: int | None = connection.execute(
        f"SELECT max((SELECT max(start_ns) FROM {RAW.table} WHERE series_id = series.id)) FROM series"  # noqa: S608 - constants only
    ).fetchone()[0]
    return None if begin is None else begin + RAW.period_ns


def bytes_in_use(connection: sqlite3.Connection) -> int:
    pages, free, size = (_pragma(connection, name) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size


class Bounds:
    """Keeps a file within its age and its size. Raises sqlite3.Error."""

    def __init__(self, max_age_ns: int, max_bytes: int) -> None:
        self._keeping = Keeping(max_age_ns)
        self._max_bytes = max_bytes
        self._swept = False

    def plan(self, connection: sqlite3.Connection, clock_ns: int) -> Plan | None:
        """None where the file has no point.

        A clock that is far ahead of the newest one is doubted: it takes nothing away until a newer one comes.
        """
        newest = newest_ns(connection)
        if newest is None:
            return None
        return replace(self._keeping, share=_share_of(load_facts(connection))).plan(min(clock_ns, newest + SLACK_NS))

    def load_kept(self, connection: sqlite3.Connection, clock_ns: int) -> Kept:
        """What the file has; writes nothing."""
        facts = load_facts(connection)
        found = {tier.number: _oldest_block_ns(connection, tier) for tier in TIERS}
        oldest = {number: time_ns for number, time_ns in found.items() if time_ns is not None}
        if (row := _row_span(connection)[0]) is not None:
            oldest[TIERS[0].number] = min(row, oldest.get(TIERS[0].number, row))
        early = facts.get(EARLY_SINCE)
        needed = -(-self._max_bytes * _MILLION // facts.get(SHARE, _MILLION) // _BYTES_SAID) * _BYTES_SAID
        return Kept(
            bytes=bytes_in_use(connection),
            max_bytes=self._max_bytes,
            max_age_ns=self._keeping.max_age_ns,
            now_ns=clock_ns,
            oldest_ns=oldest,
            early_since_ns=early,
            needed_bytes=None if early is None else needed,
        )

    def cut(self, connection: sqlite3.Connection, clock_ns: int) -> None:
        """Removes what is too old, and series that have nothing left."""
        plan = self.plan(connection, clock_ns)
        if plan is not None:
            self._cut_by_age(connection, plan)
        if bytes_in_use(connection) > self._max_bytes:
            self.make_room(connection, clock_ns)
        else:
            if plan is not None:
                self._keep_more(connection, plan)
            shrink(connection)

    def make_room(self, connection: sqlite3.Connection, clock_ns: int) -> None:
        """Removes the oldest until what is left fits in nine tenths of the bound."""
        while bytes_in_use(connection) > self._max_bytes * _KEEP_SHARE:
            share = _share_of(load_facts(connection))
            if share > _LEAST_SHARE and _has_blocks(connection):
                _put_share(connection, share * _STEP, clock_ns)
            elif not self._cut_oldest_rows(connection):
                break
            if (plan := self.plan(connection, clock_ns)) is not None:
                self._cut_by_age(connection, plan)
        while pages_of(connection) * _pragma(connection, "page_size") > self._max_bytes:
            if not shrink(connection):
                break

    def _cut_oldest_rows(self, connection: sqlite3.Connection) -> bool:
        oldest, newest = _row_span(connection)
        if oldest is None or newest is None:
            return False
        _cut_rows(connection, oldest + max(1, (newest - oldest) // _SHARE_A_CUT))
        _cut_series(connection)
        return True

    def _cut_by_age(self, connection: sqlite3.Connection, plan: Plan) -> None:
        reach = build_reach(load_facts(connection))
        removed = _cut_rows(connection, plan.oldest_ns)
        for tier in TIERS:
            begin_ns, before_ns = plan.begins_ns[tier.number], reach[tier.number]
            # Beyond what can be: the tier was not used, or the clock was ahead. What is written from now on is whole.
            reach_ns = max(begin_ns, min(before_ns, tier.floor(plan.now_ns) + tier.period_ns))
            if reach_ns != before_ns or not self._swept:
                with transaction(connection):
                    put_fact(connection, reach_name(tier.number), reach_ns)
                removed |= _cut_blocks(connection, tier, begin_ns)
        self._swept = True
        if removed:
            _cut_series(connection)

    def _keep_more(self, connection: sqlite3.Connection, plan: Plan) -> None:
        """Gives a greater share again where there is room though the file reaches as far back as it may."""
        facts = load_facts(connection)
        if EARLY_SINCE not in facts or bytes_in_use(connection) > self._max_bytes * _ROOMY_SHARE:
            return
        longest = self._keeping.used()[-1]
        oldest = _oldest_block_ns(connection, longest)
        if oldest is not None and oldest <= plan.begins_ns[longest.number] + longest.period_ns:
            _put_share(connection, _share_of(facts) / _STEP, plan.now_ns)


def _share_of(facts: Mapping[str, int]) -> float:
    return facts.get(SHARE, _MILLION) / _MILLION


def _put_share(connection: sqlite3.Connection, share: float, now_ns: int) -> None:
    with transaction(connection):
        is_all = share >= 1 - _STEP_BACK
        put_fact(connection, SHARE, None if is_all else int(share * _MILLION))
        if is_all:
            put_fact(connection, EARLY_SINCE, None)
        elif EARLY_SINCE not in load_facts(connection):
            put_fact(connection, EARLY_SINCE, now_ns)


def _cut_rows(connection: sqlite3.Connection, time_ns: int) -> bool:
    return _cut_slices(
        connection,
        "DELETE FROM points WHERE time_ns < ? AND series_id IN (SELECT id FROM series WHERE id >= ? AND id < ?)",
        (time_ns,),
    )


def _cut_blocks(connection: sqlite3.Connection, tier: Tier, begin_ns: int) -> bool:
    text = f"DELETE FROM {tier.table} WHERE start_ns < ? AND series_id >= ? AND series_id < ?"  # noqa: S608 - constants only
    return _cut_slices(connection, text, (begin_ns,))


def _has_blocks(connection: sqlite3.Connection) -> bool:
    any_of = " OR ".join(f"EXISTS (SELECT 1 FROM {tier.table})" for tier in TIERS)  # noqa: S608 - constants only
    return bool(connection.execute(f"SELECT {any_of}").fetchone()[0])


def _cut_slices(connection: sqlite3.Connection, text: str, values: tuple[int, ...]) -> bool:
    """Whether anything was removed, some series a transaction."""
    removed = False
    last = connection.execute("SELECT coalesce(max(id), 0) FROM series").fetchone()[0]
    for first in range(0, last + 1, _SERIES_A_CUT):
        with transaction(connection):
            removed |= connection.execute(text, (*values, first, first + _SERIES_A_CUT)).rowcount > 0
    return removed


def _cut_series(connection: sqlite3.Connection) -> None:
    tables = ("points", *(tier.table for tier in TIERS))
    empty = " AND ".join(f"NOT EXISTS (SELECT 1 FROM {name} WHERE series_id = series.id)" for name in tables)  # noqa: S608 - constants only
    with transaction(connection):
        connection.execute(f"DELETE FROM series WHERE {empty}")  # noqa: S608 - constants only


def shrink(connection: sqlite3.Connection) -> bool:
    """Gives free pages, some at a time, and the log back to the disk; whether there were any."""
    before = pages_of(connection)
    # It gives a page a step, without a column, which `execute` takes for its end after the first.
    connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_A_CUT})")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return pages_of(connection) < before


def pages_of(connection: sqlite3.Connection) -> int:
    return _pragma(connection, "page_count")


def _oldest_block_ns(connection: sqlite3.Connection, tier: Tier) -> int | None:
    oldest: int | None = connection.execute(
        f"SELECT min((SELECT min(start_ns) FROM {tier.table} WHERE series_id = series.id)) FROM series"  # noqa: S608 - constants only
    ).fetchone()[0]
    return oldest


def _row_span(connection: sqlite3.Connection) -> tuple[int | None, int | None]:
    row = connection.execute(
        "SELECT min((SELECT min(time_ns) FROM points WHERE series_id = series.id)), "
        "max((SELECT max(time_ns) FROM points WHERE series_id = series.id)) FROM series"
    ).fetchone()
    return row[0], row[1]


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
