"""Metrics of the nodes and the clusters that a page's items lead to, loaded ahead in the batches of the page's own."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from fleet.model.kinds import NODES
from fleet.model.objects import Node, NodeKey, Pod, T
from fleet.model.usage import Kind
from graph.loading.batches import Batch
from graph.loading.cluster_sums import load_all_nodes
from graph.loading.context import Info
from graph.loading.lookahead import Wants


def wanted_batches(info: Info, kind: Kind, wants: Wants) -> Iterator[Batch[Any, Any]]:
    """The batches that have what is wanted of objects of a kind. Raises InvalidQuery for a wrong time range."""
    loaders, plan = info.context.loaders, info.plan
    if wants.usage:
        yield loaders.usage[kind].for_(plan.measures[kind])
    for time_range in wants.time_ranges:
        yield loaders.history[kind].for_((time_range, plan.columns[kind, time_range]))


async def prime_related(info: Info, items: Iterable[T]) -> None:
    """Loads what the selection asks of the items' nodes and clusters. Raises InvalidQuery for a wrong time range."""
    wants = info.page_wants
    of_nodes, of_clusters = (list(wanted_batches(info, Kind.NODE, of)) for of in (wants.nodes, wants.clusters))
    if not of_nodes and not of_clusters:
        return
    keys = {key for item in items if (key := _node_of(info, item)) is not None} if of_nodes else set()
    in_clusters: list[NodeKey] = []
    if of_clusters:
        with info.context.loaders.dispatch.holding():
            found = await asyncio.gather(
                *(load_all_nodes(info, cluster) for cluster in sorted({item.cluster for item in items}))
            )
        in_clusters = [node.key for nodes in found for node in nodes or ()]
    wanted = [*((batch, keys) for batch in of_nodes), *((batch, in_clusters) for batch in of_clusters)]
    if wants.lists_inside:
        for batch, needed in wanted:  # waited for by those who show them, so that lists inside get into the same batch
            batch.begin(needed)
    else:
        await asyncio.gather(*(batch.prime(needed) for batch, needed in wanted))


def _node_of(info: Info, item: object) -> NodeKey | None:
    """The node an item is on, None where there is none, or it would not be shown."""
    if isinstance(item, Node):
        return item.key
    if not isinstance(item, Pod) or item.node_name is None:
        return None
    key = NodeKey(item.cluster, item.node_name)
    return key if NODES.is_within(info.context.scope, key, "get") else None
