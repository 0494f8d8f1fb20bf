"""Pages of pods and nodes, with the metrics that their selection wants loaded: the one load of a connection."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from msgspec.structs import replace

from fleet.errors import Forbidden
from fleet.models import Node, NodeKey, OnUnavailable, Outcome, OutcomeState, Pod, PodKey
from fleet.queries import NodeFilter, Order, Page, PageRequest, PodFilter
from fleet.usage import History, Kind, Usage
from graph.context import Info
from graph.loaders import Batch, HistoryQuestion, Measures, Questions
from graph.related import prime_related

K = TypeVar("K", PodKey, NodeKey)


async def load_pods(
    info: Info,
    question: PodFilter,
    orders: tuple[Order, ...],
    page: PageRequest,
    on_unavailable: OnUnavailable = OnUnavailable.PARTIAL,
) -> Page[Pod]:
    """A page of pods. Raises as `Federation.list_pods`, and InvalidQuery for a window of history that is none."""
    context, loaders = info.context, info.context.loaders
    batches = list(_wanted(info, Kind.POD, loaders.pod_usage, loaders.pod_history))
    with loaders.waves.reading():
        answer = await context.federation.list_pods(context.scope, question, orders, page, on_unavailable)
    await asyncio.gather(_prime(batches, [pod.key for pod in answer.items]), prime_related(info, answer.items))
    return answer


async def load_nodes(
    info: Info,
    question: NodeFilter,
    orders: tuple[Order, ...],
    page: PageRequest,
    on_unavailable: OnUnavailable = OnUnavailable.PARTIAL,
) -> Page[Node]:
    """A page of nodes; as `load_pods`."""
    context, loaders = info.context, info.context.loaders
    batches = list(_wanted(info, Kind.NODE, loaders.node_usage, loaders.node_history))
    with loaders.waves.reading():
        answer = await context.federation.list_nodes(context.scope, question, orders, page, on_unavailable)
    await asyncio.gather(_prime(batches, [node.key for node in answer.items]), prime_related(info, answer.items))
    return answer


async def load_nodes_of(
    info: Info, cluster: str, question: NodeFilter, orders: tuple[Order, ...], page: PageRequest
) -> Page[Node]:
    """A page of one cluster's nodes; empty and marked FORBIDDEN where the caller sees the cluster, but not all of it.

    Raises as `load_nodes`, and ClusterNotFound or Forbidden for other clusters that the question names.
    """
    narrowed = replace(question, clusters=_only(info, question.clusters, cluster))
    try:
        return await load_nodes(info, narrowed, orders, page)
    except Forbidden as error:
        return Page((), (), (), False, False, (Outcome(cluster, OutcomeState.FORBIDDEN, str(error)),))


def pods_within(info: Info, question: PodFilter, cluster: str, node: str | None = None) -> PodFilter:
    """The same question, of one cluster's or node's pods only. Raises ClusterNotFound, Forbidden for other names."""
    nodes = question.nodes if node is None else _narrowed(question.nodes, node)
    return replace(question, clusters=_only(info, question.clusters, cluster), nodes=nodes)


def _only(info: Info, named: frozenset[str] | None, cluster: str) -> frozenset[str]:
    for name in sorted((named or frozenset()) - {cluster}):
        info.context.federation.get_cluster(info.context.scope, name)  # naming what does not exist is an error anywhere
    return _narrowed(named, cluster)


def _narrowed(named: frozenset[str] | None, one: str) -> frozenset[str]:
    return frozenset((one,)) if named is None or one in named else frozenset()


def _wanted(
    info: Info, kind: Kind, usage: Questions[Measures, K, Usage], history: Questions[HistoryQuestion, K, History]
) -> Iterator[Batch[K, Any]]:
    wants = info.page_wants
    if wants.usage:
        yield usage.about(info.plan.measures[kind])
    for window in wants.windows:
        yield history.about((window, info.plan.columns[kind, window]))


async def _prime(batches: Iterable[Batch[K, Any]], keys: list[K]) -> None:
    await asyncio.gather(*(batch.prime(keys) for batch in batches))
