"""The bounds of the metric file: what is too old goes by whole blocks, and where there is no room, what is oldest.

Where there is no room for what is promised, each tier keeps the same share of its time. Runs in the one writer thread.
"""

import sqlite3

from msgspec.structs import replace

from fleet.metrics.embedded.extent import (
    MILLION,
    Extent,
    bytes_in_use,
    load_extent,
    newest_ns,
    oldest_block_ns,
    pragma,
    row_span,
    share_of,
)
from fleet.metrics.embedded.facts import EARLY_SINCE, SHARE, build_reach, load_facts, put_fact, reach_name
from fleet.metrics.embedded.sqlite import transaction
from fleet.metrics.embedded.tiers import SLACK_NS, TIERS, Keeping, Plan, Tier

_SERIES_A_CUT = 2_000
_SHARE_A_CUT = 10
_KEEP_SHARE = 0.9
_ROOMY_SHARE = 0.8
_STEP = 0.9
_STEP_BACK = 0.01
_LEAST_SHARE = 0.001
_PAGES_A_CUT = 4096


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
        return replace(self._keeping, share=share_of(load_facts(connection))).plan(min(clock_ns, newest + SLACK_NS))

    def measure(self, connection: sqlite3.Connection, clock_ns: int) -> Extent:
        return load_extent(connection, self._max_bytes, self._keeping.max_age_ns, clock_ns)

    def cut(self, connection: sqlite3.Connection, clock_ns: int, *, waits: bool) -> None:
        """Removes what is too old, and series that have nothing left; what does not fit, once no row waits."""
        plan = self.plan(connection, clock_ns)
        if plan is not None:
            self._cut_by_age(connection, plan)
        if bytes_in_use(connection) > self._max_bytes and not waits:
            self.make_room(connection, clock_ns)
        else:
            if plan is not None:
                self._keep_more(connection, plan)
            shrink(connection)

    def make_room(self, connection: sqlite3.Connection, clock_ns: int) -> None:
        """Removes the oldest until what is left fits in nine tenths of the bound."""
        while bytes_in_use(connection) > self._max_bytes * _KEEP_SHARE:
            share = share_of(load_facts(connection))
            if share > _LEAST_SHARE and _has_blocks(connection):
                _put_share(connection, share * _STEP, clock_ns)
            elif not self._cut_oldest_rows(connection):
                break
            if (plan := self.plan(connection, clock_ns)) is not None:
                self._cut_by_age(connection, plan)
        while pragma(connection, "page_count") * pragma(connection, "page_size") > self._max_bytes:
            if not shrink(connection):
                break

    def _cut_oldest_rows(self, connection: sqlite3.Connection) -> bool:
        oldest, newest = row_span(connection)
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
        oldest = oldest_block_ns(connection, longest)
        if oldest is not None and oldest <= plan.begins_ns[longest.number] + longest.period_ns:
            _put_share(connection, share_of(facts) / _STEP, plan.now_ns)


def _put_share(connection: sqlite3.Connection, share: float, now_ns: int) -> None:
    with transaction(connection):
        is_all = share >= 1 - _STEP_BACK
        put_fact(connection, SHARE, None if is_all else int(share * MILLION))
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
    before = pragma(connection, "page_count")
    # It gives a page a step, without a column, which `execute` takes for its end after the first.
    connection.executescript(f"PRAGMA incremental_vacuum({_PAGES_A_CUT})")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return pragma(connection, "page_count") < before
