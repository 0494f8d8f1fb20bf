"""Usage and history of clusters: sums over their nodes, which are asked of the store in the nodes' own batches.

So the clusters of an operation, and the nodes whose usage it asks for elsewhere, are one question of each kind.
"""

from collections.abc import Awaitable, Collection
from inspect import isawaitable
from typing import TypeVar

from fleet.errors import Forbidden
from fleet.models import Node, NodeKey, OutcomeState
from fleet.queries import Selection
from fleet.sums import sum_histories, sum_usages
from fleet.usage import History, Kind, Usage
from graph.context import Info
from graph.soon import Soon
from graph.waves import Batch
from graph.windows import WindowRequest

V = TypeVar("V", Usage, History)

_PRESENT = (OutcomeState.OK, OutcomeState.STALE)


def find_all_nodes(info: Info, cluster: str) -> Soon[Collection[Node] | None]:
    """All nodes of a cluster, None while it can't be asked, or the caller may not see them."""
    try:
        found = info.context.loaders.clusters.nodes(cluster)
    except Forbidden:
        return None
    return _whole(found) if isinstance(found, Selection) else _read_whole(found)


async def load_all_nodes(info: Info, cluster: str) -> Collection[Node] | None:
    """As `find_all_nodes`, waited for."""
    found = find_all_nodes(info, cluster)
    return await found if isawaitable(found) else found


async def _read_whole(reading: Awaitable[Selection[Node]]) -> Collection[Node] | None:
    try:
        return _whole(await reading)
    except Forbidden:
        return None


def _whole(found: Selection[Node]) -> Collection[Node] | None:
    return found.matched if all(outcome.state in _PRESENT for outcome in found.outcomes) else None


async def load_cluster_usage(info: Info, cluster: str) -> Usage | None:
    """The sum of its nodes' newest usage; None where no node has any. Raises MetricsUnavailable."""
    batch = info.context.loaders.node_usage.about(info.plan.measures[Kind.NODE])

    async def add() -> Usage | None:
        return sum_usages(await _load_of_nodes(info, cluster, batch))

    return await info.context.cluster_usage.get(cluster, add)


async def load_cluster_history(info: Info, cluster: str, request: WindowRequest) -> History | None:
    """The sums of its nodes' columns; None where no node has a point. Raises InvalidQuery, MetricsUnavailable."""
    batch = info.context.loaders.node_history.about((request, info.plan.columns[Kind.NODE, request]))

    async def add() -> History | None:
        return sum_histories(await _load_of_nodes(info, cluster, batch))

    return await info.context.cluster_history.get((cluster, request), add)


async def _load_of_nodes(info: Info, cluster: str, batch: Batch[NodeKey, V]) -> list[V]:
    """What the batch has of the cluster's nodes."""
    with info.context.loaders.waves.reading():
        nodes = await load_all_nodes(info, cluster)
    return await batch.load([node.key for node in nodes or ()])
