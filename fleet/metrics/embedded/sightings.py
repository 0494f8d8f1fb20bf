"""Where pods were: the times of rows, and the runs that blocks keep, by the id of their place."""

import json
from collections.abc import Iterable, Iterator

from fleet.aio.recorder import counted_rows
from fleet.metrics.embedded.blocks.present import as_sightings
from fleet.metrics.embedded.blocks.raw import decode_runs
from fleet.metrics.embedded.facts import SEALED_TO, build_reach, load_facts
from fleet.metrics.embedded.layout import KIND_NUMBERS
from fleet.metrics.embedded.tiers import EVER, TIERS
from fleet.metrics.embedded.view import View
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Kind

Sightings = dict[tuple[PodKey, str], list[int]]
"""Times at which each pod was on each node, no further apart than its points or `GAP_NS`."""


def load_sightings_on(view: View, keys: Iterable[NodeKey], start_ns: int, end_ns: int) -> Sightings:
    """The times in [start, end), on whatever node, of pods that were on one of these. Raises sqlite3.Error."""
    asked = frozenset(keys)
    with view.snapshot():
        rows = view.connection.execute(
            "SELECT id, cluster, namespace, name FROM series WHERE kind = ? "
            "AND cluster IN (SELECT value FROM json_each(?))",
            (KIND_NUMBERS[Kind.POD], json.dumps(sorted({key.cluster for key in asked}))),
        )
        found = _Places(view, start_ns, end_ns).find((row[0], PodKey(*row[1:])) for row in rows.fetchall())
    on = {pod for pod, node in found if NodeKey(pod.cluster, node) in asked}
    return {seen: times for seen, times in found.items() if seen[0] in on}


def load_sightings_of(view: View, keys: Iterable[PodKey], start_ns: int, end_ns: int) -> Sightings:
    """The times of these pods in [start, end), by node. Raises sqlite3.Error."""
    pods = list(keys)
    with view.snapshot():
        series = view.find_series(Kind.POD, pods)
        return _Places(view, start_ns, end_ns).find((series_id, pods[position]) for position, series_id in series)


class _Places:
    """What rows and blocks have of a span of time. All tiers have the same runs, the coarsest in the fewest blocks."""

    def __init__(self, view: View, start_ns: int, end_ns: int) -> None:
        self._view, self._start, self._end = view, start_ns, end_ns
        facts = load_facts(view.connection)
        reach = build_reach(facts)
        self._tiers = (
            []
            if start_ns >= facts.get(SEALED_TO, EVER)
            else [min(reversed(TIERS), key=lambda tier: reach[tier.number])]
        )
        self._names: dict[int, str] = dict(view.connection.execute("SELECT id, name FROM places").fetchall())

    def find(self, series: Iterable[tuple[int, PodKey]]) -> Sightings:
        found: Sightings = {}
        for series_id, pod in series:
            for time_ns, place in self._iter(series_id):
                if (node := self._names.get(place)) is not None:
                    found.setdefault((pod, node), []).append(time_ns)
        return found

    def _iter(self, series_id: int) -> Iterator[tuple[int, int]]:
        for tier in self._tiers:
            for runs in self._view.blocks(series_id, tier, self._start, self._end, decode_runs):
                yield from as_sightings(runs, self._start, self._end)
        yield from counted_rows(
            self._view.connection.execute(
                "SELECT time_ns, place_id FROM points WHERE series_id = ? AND time_ns >= ? AND time_ns < ? "
                "AND place_id IS NOT NULL",
                (series_id, self._start, self._end),
            )
        )
