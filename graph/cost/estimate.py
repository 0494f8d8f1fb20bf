"""What an operation costs: a walk over what it asks for, with the number of objects at each place."""

import math
from collections.abc import Iterable, Mapping

from msgspec import Struct

from fleet.reads.counts import ObjectCounts
from graph.cost.cardinality import Cardinality
from graph.cost.fields import RULES, Walk, answer_plainly
from graph.cost.reading import Part

WHOLE_OPERATION = Cardinality(1, {})

MOST = 10**15
"""Units that are told apart; more would not fit into JSON's numbers."""


class Estimate(Struct, frozen=True):
    """Units in all, and by the paths that cost something of their own, what is inside a path not counted in it."""

    units: int
    paths: Mapping[str, int]

    def dearest(self, most: int) -> dict[str, int]:
        """The paths that cost most, the dearest first."""
        return dict(sorted(self.paths.items(), key=lambda item: (-item[1], item[0]))[:most])


def estimate(parts: Iterable[Part], sizes: ObjectCounts, now: float) -> Estimate:
    """The cost of an operation against a fleet of these sizes. `now` is in Unix seconds. Raises nothing."""
    walk = Walk(sizes, now)
    for part in parts:
        _visit(walk, part, WHOLE_OPERATION)
    paths = {path: _round_up(units) for path, units in walk.charged.items()}
    return Estimate(_round_up(sum(walk.charged.values())), paths)


def _visit(walk: Walk, part: Part, outer: Cardinality) -> None:
    inside = RULES.get(part.coordinate, answer_plainly)(walk, part, outer)
    plain = 0
    for inner in part.inner:
        if inner.inner or inner.listed or inner.coordinate in RULES:
            _visit(walk, inner, inside)
        else:
            plain += 1
    if plain:
        walk.charge(part, inside.total * plain)


def _round_up(units: float) -> int:
    return math.ceil(min(units, MOST))
