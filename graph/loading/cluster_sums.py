"""Usage and history of clusters: sums over their nodes, which are asked of the store in the nodes' own batches.

So the clusters of an operation, and the nodes whose usage it asks for elsewhere, are one question of each kind.
"""

from collections.abc import Collection
from typing import TypeVar

from fleet.model.errors import Forbidden
from fleet.model.objects import Node, NodeKey, OutcomeState
from fleet.model.queries import Page
from fleet.model.sums import sum_histories, sum_usages
from fleet.model.usage import History, Kind, Usage
from graph.loading.batches import Batch
from graph.loading.context import Info
from graph.loading.maybe_await import AwaitableOrValue, Deferred
from graph.loading.time_range import TimeRangeRequest

V = TypeVar("V", Usage, History)

_PRESENT = (OutcomeState.OK, OutcomeState.STALE)


async def load_all_nodes(info: Info, cluster: str) -> Collection[Node] | None:
    """All nodes of a cluster, None while it can't be asked, or the caller may not see them."""
    try:
        return _present(await info.context.loaders.clusters.nodes(cluster))
    except Forbidden:
        return None


def read_all_nodes(info: Info, cluster: str) -> AwaitableOrValue[Collection[Node] | None]:
    """As `load_all_nodes`, at once where the cluster need not be waited for."""
    try:
        page = info.context.loaders.clusters.read_nodes(cluster)
    except Forbidden:
        return None
    return Deferred(load_all_nodes, info, cluster) if page is None else _present(page)


def _present(page: Page[Node]) -> Collection[Node] | None:
    return page.matched if all(outcome.state in _PRESENT for outcome in page.outcomes) else None


async def load_cluster_usage(info: Info, cluster: str) -> Usage | None:
    """The sum of its nodes' newest usage; None where no node has any. Raises MetricsUnavailable."""
    batch = info.context.loaders.usage[Kind.NODE].for_(info.plan.measures[Kind.NODE])

    async def add() -> Usage | None:
        return sum_usages(await _load_of_nodes(info, cluster, batch))

    return await info.context.cluster_usage.get(cluster, add)


async def load_cluster_history(info: Info, cluster: str, request: TimeRangeRequest) -> History | None:
    """The sums of its nodes' columns; None where no node has a point. Raises InvalidQuery, MetricsUnavailable."""
    batch = info.context.loaders.history[Kind.NODE].for_((request, info.plan.columns[Kind.NODE, request]))

    async def add() -> History | None:
        return sum_histories(await _load_of_nodes(info, cluster, batch))

    return await info.context.cluster_history.get((cluster, request), add)


async def _load_of_nodes(info: Info, cluster: str, batch: Batch[NodeKey, V]) -> list[V]:
    with info.context.loaders.dispatch.holding():
        nodes = await load_all_nodes(info, cluster)
    return await batch.load([node.key for node in nodes or ()])
