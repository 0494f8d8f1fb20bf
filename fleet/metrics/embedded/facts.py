"""What is known of the metric file as a whole, in its table `facts`."""

import sqlite3
from collections.abc import Mapping

from fleet.metrics.embedded.tiers import EVER, TIERS

SHARE = "share"
"""How much of what is promised is kept, in millionths; absent: all."""

EARLY_SINCE = "early_since_ns"
"""Since when points have been dropped before their age; absent: they are not."""

SEALED_TO = "sealed_to_ns"
"""No block holds a point of that time or later."""


def reach_name(number: int) -> str:
    """Of the fact from when on the tier of this number has everything; absent: from ever."""
    return f"reach_{number}_ns"


def load_facts(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT name, value FROM facts").fetchall())


def put_fact(connection: sqlite3.Connection, name: str, value: int | None) -> None:
    if value is None:
        connection.execute("DELETE FROM facts WHERE name = ?", (name,))
    else:
        connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def build_reach(facts: Mapping[str, int]) -> dict[int, int]:
    """From when on each tier has everything, by its number."""
    return {tier.number: facts.get(reach_name(tier.number), EVER) for tier in TIERS}
