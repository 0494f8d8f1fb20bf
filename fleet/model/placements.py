"""Where pods ran: runs of their stored points, by the node that each point names.

A pod that is measured again on the same node within `GAP_NS` never left it. A successor of the same name on the same
node within that time can't be told from the pod itself, since a metric store knows names and no uid.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS

GAP_NS = 300 * NANOSECONDS
"""Points of one pod on one node that are further apart than this are two placements."""

GRACE_NS = 60 * NANOSECONDS
"""How long after its newest point a pod still counts as being there."""


class Placement(Struct, frozen=True, gc=False):
    """A pod on a node, from the first to the last point of one run, both within the span that was looked at."""

    pod: PodKey
    node: str
    since_ns: int
    until_ns: int


Sighting = tuple[int, str]
"""The time of a point in Unix nanoseconds, and the node that it names."""


def build_placements(pod: PodKey, sightings: Iterable[Sighting]) -> list[Placement]:
    """The runs of a pod's points, oldest first. A run ends where another node, or no point for `GAP_NS`, follows."""
    runs: list[list[Sighting]] = []
    for sighting in sorted(sightings):
        last = runs[-1][-1] if runs else None
        if last is not None and last[1] == sighting[1] and sighting[0] - last[0] <= GAP_NS:
            runs[-1].append(sighting)
        else:
            runs.append([sighting])
    return [Placement(pod, run[0][1], run[0][0], run[-1][0]) for run in runs]


def find_placement_at(placements: Iterable[Placement], at_ns: int) -> Placement | None:
    """Which of a pod's placements holds at a time: the last that began by then, until `GRACE_NS` after it at most.

    A pod is at one place at a time, so whatever began later ends what was before.
    """
    begun = [placement for placement in placements if placement.since_ns <= at_ns]
    return begun[-1] if begun and at_ns <= begun[-1].until_ns + GRACE_NS else None


def group_at(
    keys: frozenset[NodeKey], found: Mapping[tuple[PodKey, str], Iterable[int]], at_ns: int
) -> dict[NodeKey, list[Placement]]:
    """The pods of each node at a time, by namespace and name.

    `found` has the times of a pod's points on a node, for each pod on all nodes where it has any.
    """
    placed: dict[NodeKey, list[Placement]] = {key: [] for key in keys}
    for pod, placements in sorted(group_by_pod(frozenset(pod for pod, _ in found), found).items()):
        placement = find_placement_at(placements, at_ns)
        if placement is not None and (key := NodeKey(pod.cluster, placement.node)) in placed:
            placed[key].append(placement)
    return placed


def group_by_pod(
    keys: frozenset[PodKey], found: Mapping[tuple[PodKey, str], Iterable[int]]
) -> dict[PodKey, list[Placement]]:
    """The placements of each pod, oldest first. `found` has the times of a pod's points on a node."""
    seen: dict[PodKey, list[Sighting]] = {key: [] for key in keys}
    for (pod, node), times in found.items():
        if pod in seen:
            seen[pod].extend((time, node) for time in times)
    return {key: build_placements(key, sightings) for key, sightings in seen.items()}
