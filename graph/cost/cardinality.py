"""How many objects there are at a place of an operation, and in which clusters: never fewer than there will be."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

from msgspec import Struct

from fleet.model.errors import InvalidQuery
from fleet.model.queries import DEFAULT_PAGE, FEW_TERMS, MAX_PAGE
from fleet.model.selectors import parse_label_selector
from fleet.reads.counts import ObjectCounts

Kind = Literal["pods", "nodes", "workloads"]

_VALUES = re.compile(r"\([^()]*\)")


class Cardinality(Struct, frozen=True):
    """`total` objects, of which at most `bounds[cluster]` are of a cluster. `distinct`: none is there twice."""

    total: float
    bounds: Mapping[str, float]
    distinct: bool = False
    page: "Cardinality | None" = None
    """Of connections: the objects on their pages."""

    matched: float = 0
    """Of connections: the objects that their pages are cut from."""

    points: float = 0
    """Of histories: the steps of each."""

    def times(self, items: float) -> "Cardinality":
        """So many values of each."""
        return Cardinality(self.total * items, {name: bound * items for name, bound in self.bounds.items()})

    def repeated(self) -> "Cardinality":
        """As many objects, each of which may be there many times."""
        return Cardinality(self.total, self.bounds)


def first_of(arguments: Mapping[str, Any], default: int = DEFAULT_PAGE, most: int = MAX_PAGE) -> int:
    """The length of a page; 0 for one that will be refused."""
    first = arguments.get("first")
    if first is None:
        return default
    return first if 0 <= first <= most else 0


def count_conditions(arguments: Mapping[str, Any]) -> int:
    """How many conditions the filters inside a filter have, about, and what the filter's own selectors have of many."""
    wanted = arguments.get("filter") or {}
    found, level = max(0, _count_terms(wanted) - FEW_TERMS), [wanted]
    while level := [inner for one in level for inner in (*(one.get("anyOf") or ()), one.get("not")) if inner]:
        for one in level:
            found += len(one) + _count_terms(one)
    return found


def _count_terms(wanted: Mapping[str, Any]) -> int:
    """Terms of its selectors but the first; many values of one term cost no more than one."""
    texts = (wanted.get(name) or "" for name in ("labelSelector", "fieldSelector"))
    return sum(_VALUES.sub("", text).count(",") for text in texts)


def clusters_of(sizes: ObjectCounts, wanted: Mapping[str, Any]) -> Collection[str]:
    """The clusters within reach that a filter, or the selector of its own field, lets through."""
    named, selector = wanted.get("clusters"), wanted.get("clusterSelector")
    try:
        among = sizes.labelled(parse_label_selector(selector)) if selector else sizes.clusters
    except InvalidQuery:  # the field's own error, before any work
        return ()
    if named is None:
        return among
    wanted_names = set(named)
    return [name for name in among if not wanted_names.isdisjoint(sizes.names(name))]


def own_name(sizes: ObjectCounts, name: str) -> str:
    """What the cluster in reach is called that this is a name of; the same where there is none."""
    if name in sizes.clusters:
        return name
    return next((cluster for cluster in sizes.clusters if name in sizes.names(cluster)), name)


def count_in(sizes: ObjectCounts, cluster: str, kind: Kind, wanted: Mapping[str, Any]) -> int:
    """Objects of a cluster that can pass a filter: labels and the like let all pass."""
    name = wanted.get("name") or {}
    names = 1 if name.get("eq") is not None else len(name["in"]) if name.get("in") is not None else None
    if kind == "nodes":
        count = sizes.nodes(cluster)
        return count if names is None else min(count, names)
    namespaces = wanted.get("namespaces")
    if kind == "workloads":
        return sizes.workloads(cluster, namespaces)
    count = sizes.pods(cluster, namespaces, wanted.get("nodes"))
    if names is None:
        return count
    return min(count, names * (sizes.namespaces(cluster) if namespaces is None else len(namespaces)))


def page_of_fleet(sizes: ObjectCounts, kind: Kind, arguments: Mapping[str, Any]) -> Cardinality:
    """The connection of `Query.pods` and `Query.nodes`: one page over all clusters."""
    wanted = arguments.get("filter") or {}
    first = first_of(arguments)
    counts = {name: count_in(sizes, name, kind, wanted) for name in clusters_of(sizes, wanted)}
    matched = sum(counts.values())
    page = Cardinality(min(first, matched), {name: min(first, count) for name, count in counts.items()}, distinct=True)
    return Cardinality(1, dict.fromkeys(counts, 1), page=page, matched=matched)


def page_in_each(
    sizes: ObjectCounts, kind: Kind, arguments: Mapping[str, Any], outer: Cardinality, *, of_node: bool = False
) -> Cardinality:
    """The connections of each cluster of a place, or of each node of it."""
    wanted = arguments.get("filter") or {}
    first = first_of(arguments)
    bounds: dict[str, float] = {}
    matched: dict[str, float] = {}
    longest = most = 0.0
    for name in clusters_of(sizes, wanted):
        if (many := outer.bounds.get(name, 0)) == 0:
            continue
        count = count_in(sizes, name, kind, wanted)
        each = min(count, sizes.fullest_node(name)) if of_node else count
        longest, most = max(longest, min(first, each)), max(most, each)
        bounds[name], matched[name] = many * min(first, each), many * each
        if outer.distinct:
            bounds[name], matched[name] = min(bounds[name], count), min(matched[name], count)
    page = Cardinality(min(sum(bounds.values()), outer.total * longest), bounds, distinct=outer.distinct)
    return Cardinality(outer.total, outer.bounds, page=page, matched=min(sum(matched.values()), outer.total * most))
