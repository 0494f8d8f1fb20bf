"""What each field of the schema costs itself, and how many objects are inside it.

A rule takes the objects it is asked of, charges the field's own cost, and returns the objects it leads to. A field
without one is answered from what is there already: `answer_plainly`.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from fleet.model.errors import InvalidQuery
from fleet.model.groups import MAX_GROUPS
from fleet.model.queries import DEFAULT_PAGE, NameFilter
from fleet.model.search import DEFAULT_HITS, MAX_HITS
from fleet.reads.counts import ObjectCounts
from fleet.reads.problems import DEFAULT_EXAMPLES, MAX_EXAMPLES
from graph.cost import weights
from graph.cost.cardinality import (
    Cardinality,
    Kind,
    clusters_of,
    count_conditions,
    count_in,
    first_of,
    own_name,
    page_in_each,
    page_of_fleet,
)
from graph.cost.reading import Part
from graph.loading.lookahead import MEASURES
from graph.loading.placements import DEFAULT_LAST
from graph.loading.placements import MAX_SPAN as MAX_PLACEMENT_SPAN
from graph.loading.resources import DEFAULT_EVENTS, LIST_ABOVE, MAX_EVENTS
from graph.loading.time_range import TimeRangeRequest, build_time_range

NOTHING = Cardinality(0, {})


class Walk:
    """The state of one estimate: units by path."""

    def __init__(self, sizes: ObjectCounts, now: float) -> None:
        self.sizes = sizes
        self.now = now
        self.charged: dict[str, float] = defaultdict(float)

    def charge(self, part: Part, units: float) -> None:
        self.charged[part.path] += units

    def known(self, outer: Cardinality, kind: Kind) -> float:
        """How many different objects of a kind can be at a place."""
        sizes = self.sizes
        there = (sizes.nodes(name) if kind == "nodes" else sizes.pods(name, None, None) for name in outer.bounds)
        return min(outer.total, sum(there))


Rule = Callable[[Walk, Part, Cardinality], Cardinality]


def answer_plainly(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    """A value or an object of each, or a list whose length is guessed."""
    if not part.listed:
        walk.charge(part, outer.total * weights.OBJECT)
        return outer
    inside = outer.times(weights.EXPECTED.get(part.coordinate, weights.EXPECTED_ITEMS))
    decoding = weights.DECODED if part.coordinate in weights.DECODING else 0
    walk.charge(part, outer.total * (1 + decoding) + inside.total * weights.OBJECT)
    return inside


def _clusters(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    given = part.arguments.get("filter") or {}
    name = given.get("name") or {}
    among = name.get("in")
    wanted = NameFilter(
        eq=name.get("eq"),
        one_of=None if among is None else frozenset(among),
        contains=name.get("contains"),
        starts_with=name.get("startsWith"),
    )
    labelled = clusters_of(walk.sizes, {"clusterSelector": given.get("labelSelector")})
    bounds = {cluster: 1.0 for cluster in labelled if any(map(wanted.matches, walk.sizes.names(cluster)))}
    inside = Cardinality(len(bounds), bounds, distinct=True)
    walk.charge(part, weights.OBJECT * inside.total)
    return inside


def _one(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    """A cluster, or an object of a cluster, by name."""
    cluster = own_name(walk.sizes, part.arguments.get("cluster") or part.arguments.get("name") or "")
    walk.charge(part, weights.OBJECT)
    return Cardinality(1, {cluster: 1}, distinct=True)


def _asked_one(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    """An object that its cluster is asked for; an id may name one of any cluster."""
    walk.charge(part, weights.CALL + weights.ROW)
    cluster = part.arguments.get("cluster")
    among = walk.sizes.clusters if cluster is None else [own_name(walk.sizes, cluster)]
    return Cardinality(1, dict.fromkeys(among, 1), distinct=True)


def _related(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    """One object of each, which others may have as well: a cluster, a node."""
    walk.charge(part, outer.total * weights.OBJECT)
    return outer.repeated()


def _scanned(part: Part) -> float:
    """What an object costs that a filter is held against."""
    return weights.SCANNED + weights.CONDITION * count_conditions(part.arguments)


def _connection(kind: Kind) -> Rule:
    def rule(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
        if part.parent == "Query":
            inside = page_of_fleet(walk.sizes, kind, part.arguments)
        else:
            inside = page_in_each(walk.sizes, kind, part.arguments, outer, of_node=part.parent == "Node")
        walk.charge(part, inside.total * weights.OBJECT + inside.matched * _scanned(part))
        if _asks_usage_of_all(part.arguments):
            walk.charge(part, inside.matched * weights.SERIES)
        return inside

    return rule


def _asks_usage_of_all(arguments: Mapping[str, object]) -> bool:
    """Whether the whole filtered set is measured before a page is cut from it."""
    wanted, orders = arguments.get("filter"), arguments.get("orderBy")
    if isinstance(wanted, dict) and wanted.get("usage"):
        return True
    return isinstance(orders, list) and any(order.get("usage") is not None for order in orders)


def _page(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    """`items` and `edges`: the objects of the pages."""
    inside = outer.page or NOTHING
    walk.charge(part, inside.total * weights.OBJECT)
    return inside


def _grouped(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    """Groups of all that matched, each object of which is looked at once for the keys and once for each sum."""
    total = outer.total * min(first_of(part.arguments), MAX_GROUPS, max(outer.matched, 1))
    page = Cardinality(total, outer.bounds, matched=outer.matched)
    shown = [*_fields_of(part, f"Grouped{part.parent.removesuffix('Connection')}s")]
    looks = len(part.arguments.get("by") or ()) + len(part.arguments.get("labels") or ()) + len(shown)
    walk.charge(part, outer.total * weights.OBJECT + outer.matched * (1 + looks) * weights.COUNTED)
    if _asks_usage_of_all(part.arguments) or any(field.name == "usage" for field in shown):
        walk.charge(part, outer.matched * weights.SERIES)
    return Cardinality(outer.total, outer.bounds, page=page, matched=outer.matched)


def _fields_of(part: Part, kind: str) -> Iterator[Part]:
    """What is selected of a type inside a field."""
    for inner in part.inner:
        if inner.parent == kind:
            yield inner
        else:
            yield from _fields_of(inner, kind)


def _counts(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    inside = outer.times(weights.EXPECTED_ITEMS)
    walk.charge(part, outer.matched * weights.COUNTED + inside.total)
    return inside


def _outcomes(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    inside = outer.times(len(walk.sizes.clusters))
    walk.charge(part, inside.total * weights.OBJECT)
    return inside


def _pod_counts(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    pods = sum(many * walk.sizes.pods(name, None, None) for name, many in outer.bounds.items())
    inside = outer.times(weights.EXPECTED_ITEMS)
    walk.charge(part, pods * (weights.COUNTED + weights.SCANNED) + inside.total)
    return inside


def _namespaces(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    counts = {name: many * walk.sizes.namespaces(name) for name, many in outer.bounds.items()}
    total = min(sum(counts.values()), outer.total * max((walk.sizes.namespaces(name) for name in counts), default=0))
    walk.charge(part, total * weights.OBJECT)
    return Cardinality(total, counts, distinct=outer.distinct)


def _problems(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    """Nodes, workloads and the pods that are not well are all looked at."""
    sizes, first, clusters = walk.sizes, first_of(part.arguments), clusters_of(walk.sizes, part.arguments)
    looked_at = sum(sizes.nodes(name) + sizes.workloads(name, None) + sizes.unwell(name) for name in clusters)
    walk.charge(part, looked_at * weights.SCANNED + len(clusters) + min(first, looked_at) * weights.OBJECT)
    page = Cardinality(min(first, looked_at), dict.fromkeys(clusters, first))
    return Cardinality(1, dict.fromkeys(clusters, 1), page=page)


def _examples(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    inside = outer.times(first_of(part.arguments, DEFAULT_EXAMPLES, MAX_EXAMPLES))
    walk.charge(part, inside.total * weights.OBJECT)
    return inside


def _summed(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    """Sums over a cluster's nodes or pods, over a node's pods; a cluster's are made once."""
    kind: Kind = "pods" if part.name == "requested" else "nodes"
    summed = walk.known(Cardinality(math.inf, outer.bounds), kind)
    if part.parent == "Node":
        summed = sum(many * walk.sizes.fullest_node(name) for name, many in outer.bounds.items())
    walk.charge(part, outer.total * weights.OBJECT + summed * weights.COUNTED)
    return outer


def _series(walk: Walk, part: Part, outer: Cardinality) -> float:
    """Objects that the metric store is asked about: a cluster's are its nodes, those of groups all that matched."""
    if part.parent.startswith("Grouped"):
        return outer.matched
    if part.parent == "Cluster":
        return walk.known(Cardinality(math.inf, outer.bounds), "nodes")
    if part.parent == "Workload":  # all of its pods
        return walk.known(Cardinality(math.inf, outer.bounds), "pods")
    return walk.known(outer, "pods" if part.parent == "Pod" else "nodes")


def _usage(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    walk.charge(part, outer.total * weights.OBJECT + _series(walk, part, outer) * weights.SERIES)
    return outer


def _history(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    try:
        time_range = build_time_range(TimeRangeRequest(**part.arguments), walk.now)
    except InvalidQuery:  # the field's own error, before any work
        return NOTHING
    series = _series(walk, part, outer)
    span = min((time_range.end_ns - time_range.start_ns) / 1e9, weights.MAX_SPAN_SECONDS)
    columns = {(inner.name, inner.arguments.get("aggregate")) for inner in part.inner if inner.name in MEASURES}
    stored = series * (time_range.steps * len(columns) * weights.POINT + span / weights.SPAN_SECONDS)
    walk.charge(part, outer.total * weights.OBJECT + stored)
    return Cardinality(outer.total, outer.bounds, points=time_range.steps)


def _column(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    walk.charge(part, outer.total * (1 + outer.points * weights.POINT))
    return outer


def _manifest(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    walk.charge(part, outer.total * weights.MANIFEST)
    return outer


def _search(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    clusters, first = clusters_of(walk.sizes, part.arguments), first_of(part.arguments, DEFAULT_HITS, MAX_HITS)
    there = sum(walk.sizes.pods(name, None, None) + walk.sizes.nodes(name) for name in clusters)
    walk.charge(part, there * weights.COUNTED)
    return Cardinality(1, dict.fromkeys(clusters, 1), page=Cardinality(first, dict.fromkeys(clusters, first)))


def _resources(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    wanted = part.arguments.get("filter") or {}
    clusters, first = clusters_of(walk.sizes, wanted), first_of(part.arguments)
    lists = len(wanted["namespaces"]) if wanted.get("namespaces") is not None else 1
    calls = lists + math.ceil(first / weights.ROWS_A_CALL)
    walk.charge(part, len(clusters) * (calls * weights.CALL + first * weights.ROW))
    page = Cardinality(first if clusters else 0, dict.fromkeys(clusters, first), distinct=True)
    return Cardinality(1, dict.fromkeys(clusters, 1), page=page)


def _kept_events(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    """A page of what is kept of each cluster."""
    counts = {name: walk.sizes.events(name) for name in clusters_of(walk.sizes, part.arguments.get("filter") or {})}
    kept = sum(counts.values())
    page = Cardinality(min(first_of(part.arguments), kept), counts)
    walk.charge(part, page.total * weights.OBJECT + kept * weights.SCANNED)
    return Cardinality(1, dict.fromkeys(counts, 1), page=page, matched=kept)


def _followed_any(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    """A call a cluster, and a page's worth of objects of each: how many there are, nobody knows yet."""
    clusters = clusters_of(walk.sizes, part.arguments.get("filter") or {})
    walk.charge(part, len(clusters) * (2 * weights.CALL + DEFAULT_PAGE * weights.ROW))
    return Cardinality(len(clusters) * DEFAULT_PAGE, dict.fromkeys(clusters, DEFAULT_PAGE), distinct=True)


def _happening(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    """Each message is one event; with `since` the first are as many as may wait."""
    wanted = part.arguments.get("filter") or {}
    names = clusters_of(walk.sizes, wanted)
    begun = 1 if wanted.get("since") is None else min(weights.WAITING, sum(map(walk.sizes.events, names)))
    walk.charge(part, begun * weights.OBJECT)
    return Cardinality(begun, dict.fromkeys(names, begun))


def _counted(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    walk.charge(part, outer.matched * weights.SCANNED)
    return outer


def _followed(kind: Kind) -> Rule:
    """The objects that a subscription begins with; each of its events is one of them."""

    def rule(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
        wanted = part.arguments.get("filter") or {}
        counts = {name: count_in(walk.sizes, name, kind, wanted) for name in clusters_of(walk.sizes, wanted)}
        found = sum(counts.values())
        walk.charge(part, found * (weights.OBJECT + _scanned(part)))
        return Cardinality(found, counts, distinct=True)

    return rule


def _sampled(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    named = sum(len(part.arguments.get(name) or ()) for name in ("pods", "nodes"))
    walk.charge(part, named * weights.SERIES)
    return Cardinality(named, dict.fromkeys(walk.sizes.clusters, named))


def _logs(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    walk.charge(part, weights.CALL)
    return outer


def _entities(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    """What a gateway names by keys, in whichever clusters."""
    named = len(part.arguments.get("representations") or ())
    walk.charge(part, named * weights.OBJECT)
    return Cardinality(named, dict.fromkeys(walk.sizes.clusters, named))


def _groups(walk: Walk, outer: Cardinality) -> float:
    """Namespaces that the objects of a place can be in."""
    return sum(walk.sizes.namespaces(name) for name in outer.bounds)


def _owner_resource(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    calls = min(outer.total, LIST_ABOVE * _groups(walk, outer))
    walk.charge(part, outer.total * weights.RELATED + calls * weights.CALL)
    return outer.repeated()


def _events(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    first = first_of(part.arguments, DEFAULT_EVENTS, MAX_EVENTS)
    inside = outer.times(first)
    calls = min(outer.total, _groups(walk, outer))
    walk.charge(part, outer.total * weights.EVENTFUL + calls * weights.CALL + inside.total * weights.OBJECT)
    return inside


def _placements(walk: Walk, part: Part, outer: Cardinality) -> Cardinality:
    given = part.arguments
    end = given.get("end") or walk.now
    start = given["start"] if given.get("start") is not None else end - (given.get("last") or DEFAULT_LAST)
    span = min(max(end - start, 0), MAX_PLACEMENT_SPAN)
    if part.name == "podsAt":
        fullest = max((walk.sizes.fullest_node(name) for name in outer.bounds), default=0)
        span = weights.SPAN_SECONDS * fullest  # of each of its pods, five minutes to either side
    cluster = given.get("cluster")
    outer = outer if cluster is None else Cardinality(1, {cluster: 1})
    inside = outer.times(weights.EXPECTED[part.coordinate])
    walk.charge(part, outer.total * span / weights.SPAN_SECONDS + inside.total * weights.OBJECT)
    return inside


_MEASURED = ("Pod", "Node", "Workload", "Cluster", "GroupedPods", "GroupedNodes")
_PAGED = ("Pod", "Node", "Workload", "Resource", "Event")

RULES: Mapping[str, Rule] = {
    "Query.clusters": _clusters,
    "Query.cluster": _one,
    "Query.node": _one,
    "Query.pod": _one,
    "Query.resource": _asked_one,
    "Query.object": _asked_one,
    "Query.resources": _resources,
    "Query.search": _search,
    "SearchResult.hits": _page,
    "SearchResult.clusters": _outcomes,
    "Query.events": _kept_events,
    "EventConnection.totalCount": _counted,
    "EventConnection.retention": _outcomes,
    "Query.placements": _placements,
    "Query._entities": _entities,
    "Subscription.podEvents": _followed("pods"),
    "Subscription.nodeEvents": _followed("nodes"),
    "Subscription.events": _happening,
    "Subscription.resourceEvents": _followed_any,
    "Subscription.usage": _sampled,
    "Subscription.logs": _logs,
    **{f"{parent}.pods": _connection("pods") for parent in ("Query", "Cluster", "Node", "Workload")},
    **{f"{parent}.nodes": _connection("nodes") for parent in ("Query", "Cluster")},
    **{f"{kind}Connection.{name}": _page for kind in _PAGED for name in ("items", "edges")},
    **{f"{kind}Connection.clusters": _outcomes for kind in _PAGED},
    "Query.workloads": _connection("workloads"),
    "Query.problems": _problems,
    "ProblemConnection.items": _page,
    "ProblemConnection.clusters": _outcomes,
    "Problem.examples": _examples,
    "ProblemExample.cluster": _related,
    "PodConnection.counts": _counts,
    **{f"{kind}Connection.groups": _grouped for kind in ("Pod", "Node")},
    **{f"Grouped{kind}Connection.{name}": _page for kind in ("Pods", "Nodes") for name in ("items", "edges")},
    "Cluster.podCounts": _pod_counts,
    "Cluster.namespaces": _namespaces,
    **{f"Cluster.{name}": _summed for name in ("capacity", "allocatable", "requested")},
    "Node.requested": _summed,
    **{f"{parent}.cluster": _related for parent in ("Pod", "Node", "Workload", "Resource", "Placement", "Event")},
    **{f"{parent}.node": _related for parent in ("Pod", "Placement")},
    "Placement.pod": _related,
    "Pod.workload": _related,
    "Owner.resource": _owner_resource,
    "Workload.resource": _owner_resource,
    **{f"{parent}.usage": _usage for parent in ("Pod", "Node", "Workload", "Cluster")},
    **{f"{parent}.history": _history for parent in _MEASURED},
    **{f"UsageHistory.{name}": _column for name in (*MEASURES, "times") if not name.endswith("Percent")},
    **{f"{parent}.manifest": _manifest for parent in ("Pod", "Node", "Resource")},
    **{f"{parent}.events": _events for parent in ("Pod", "Node", "Workload", "Resource")},
    "Pod.placements": _placements,
    "Node.podsAt": _placements,
}
"""The rules, by the field's place in the schema."""
