"""Pages of cached kinds, with the metrics that their selection wants loaded: the one load of a connection."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from inspect import isawaitable
from itertools import islice
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from fleet.live.usage_cache import UsageCache
from fleet.model.errors import Forbidden, MetricsUnavailable
from fleet.model.kinds import NODES, PODS, WORKLOADS, ObjectKind
from fleet.model.objects import Node, ObjectKey, OnUnavailable, Outcome, OutcomeState, Pod, T
from fleet.model.ordered import Ordered
from fleet.model.queries import Filter, NodeFilter, Order, Page, PageRequest, PodFilter, Selection, usage_columns
from fleet.model.ranking import keep_within
from fleet.model.sums import sum_usages
from fleet.model.told import tell
from fleet.model.usage import Usage, UsageList
from fleet.model.workloads import Workload
from fleet.reads.filtering import narrow
from fleet.reads.paging import build_page, build_sorting, check_page
from graph.loading.batches import Batch
from graph.loading.context import Info
from graph.loading.loaders import Measures
from graph.loading.maybe_await import AwaitableOrValue, Deferred
from graph.loading.related import prime_related, wanted_batches
from graph.loading.timeslice import TimeSlice

V = TypeVar("V")


def load_page(
    info: Info,
    kind: ObjectKind[T],
    question: Filter[T],
    orders: tuple[Order, ...],
    page: PageRequest,
    on_unavailable: OnUnavailable = OnUnavailable.PARTIAL,
) -> AwaitableOrValue[Page[T]]:
    """A page, at once where it is in memory, nothing of metrics is asked with it and no member has to be waited for.

    What is bounded or ordered by usage is cut after all that the filter selects was ranked.

    Raises as `Federation.select`, InvalidQuery for a page, an order or a time range of history that is none, and
    MetricsUnavailable where the page can't be told without usage.
    """
    if not info.page_wants.anything and not usage_columns(question, orders):
        sorting = build_sorting(kind, orders)
        after = check_page(page, sorting)
        context = info.context
        found = context.federation.select_now(kind, context.scope, question, on_unavailable)
        if found is not None:
            return build_page(found, sorting, page, after)
    return info.context.loaders.dispatch.defer(_load, info, kind, question, orders, page, on_unavailable)


async def load_object(info: Info, kind: ObjectKind[T], key: ObjectKey, build_view: Callable[[T], V]) -> V | None:
    """The view of one object, None where its cluster has none of that name. Raises as `Federation.get`."""
    found = await info.context.federation.get(kind, info.context.scope, key)
    return None if found is None else build_view(found)


def load_nodes_of(
    info: Info, cluster: str, question: NodeFilter, orders: tuple[Order, ...], page: PageRequest
) -> AwaitableOrValue[Page[Node]]:
    """A page of one cluster's nodes; empty and marked FORBIDDEN where the caller sees the cluster, but not all of it.

    Raises as `load_page`, and ClusterNotFound or Forbidden for other clusters that the question names.
    """
    narrowed = replace(question, clusters=_only(info, question.clusters, cluster))
    try:
        found = load_page(info, NODES, narrowed, orders, page)
    except Forbidden as error:
        return _out_of_reach(cluster, error)
    return Deferred(_await_nodes_of, cluster, found) if isawaitable(found) else found


async def _await_nodes_of(cluster: str, found: Awaitable[Page[Node]]) -> Page[Node]:
    try:
        return await found
    except Forbidden as error:
        return _out_of_reach(cluster, error)


def _out_of_reach(cluster: str, error: Forbidden) -> Page[Node]:
    return Page((), (), Ordered(), False, False, (Outcome(cluster, OutcomeState.FORBIDDEN, str(error)),))


def pods_within(info: Info, question: PodFilter, cluster: str, node: str | None = None) -> PodFilter:
    """The same question, of one cluster's or node's pods only. Raises ClusterNotFound, Forbidden for other names."""
    nodes = question.nodes if node is None else narrow(question.nodes, node)
    return replace(question, clusters=_only(info, question.clusters, cluster), nodes=nodes)


def pods_of_workload(info: Info, question: PodFilter, workload: Workload) -> PodFilter:
    """The same question, of one workload's pods only. Raises ClusterNotFound, Forbidden for other clusters' names."""
    narrowed = replace(
        question,
        namespaces=narrow(question.namespaces, workload.namespace),
        owner_uids=info.context.federation.owners_in(workload),
    )
    return pods_within(info, narrowed, workload.cluster)


def _only(info: Info, named: frozenset[str] | None, cluster: str) -> frozenset[str]:
    if named is None:
        return frozenset((cluster,))
    federation, scope = info.context.federation, info.context.scope
    # Naming what does not exist is an error anywhere.
    others = {federation.get_cluster(scope, name).name for name in sorted(named - {cluster})}
    return narrow(named | others, cluster)


async def _load(
    info: Info,
    kind: ObjectKind[T],
    question: Filter[T],
    orders: tuple[Order, ...],
    page: PageRequest,
    on_unavailable: OnUnavailable,
) -> Page[T]:
    sorting = build_sorting(kind, orders)
    after = check_page(page, sorting)
    batches = list(wanted_batches(info, kind.metrics, info.page_wants))
    dispatch = info.context.loaders.dispatch
    with dispatch.holding_pages():
        with dispatch.holding():
            found = await info.context.federation.select(kind, info.context.scope, question, on_unavailable)
        if not usage_columns(question, orders if page.first or page.after else ()):
            answer = build_page(found, sorting, page, after)
        else:
            try:
                usages = await read_usage(info, kind, found.matched)
            except MetricsUnavailable as error:
                raise _unranked(error) from error
            if usages.problems:
                found = _tell_missing(found, usages, on_unavailable)
            known: Sequence[Usage | None] = usages
            if question.usage:
                within, known = keep_within(list(found.matched), usages, question.usage, kind.bases)
                found = Selection(Ordered((within,)), found.outcomes)
            answer = build_page(found, sorting, page, after, known)
            if kind is not WORKLOADS:  # what a page is cut by is what its items show
                batch = info.context.loaders.usage[kind.metrics].for_(info.plan.measures[kind.metrics])
                shown = {item.key: usage for item, usage in zip(answer.items, answer.usages, strict=True)}
                batch.hold(shown, usages.problems)
    keys = [key for keys in _measured_keys(info, kind, answer.items) for key in keys] if batches else []
    if info.plan.is_single and batches:
        await _load_alone(batches, keys)
    elif info.page_wants.lists_inside:
        for batch in batches:  # waited for by the items: the lists inside them have to get into the same batch
            batch.begin(keys)
        await prime_related(info, answer.items)
    elif batches:
        await asyncio.gather(*(batch.prime(keys) for batch in batches), prime_related(info, answer.items))
    else:
        await prime_related(info, answer.items)
    return answer


def _unranked(error: MetricsUnavailable) -> MetricsUnavailable:
    return error.within(tell("this list is ordered or bounded by usage, which is not known: {}", error))


def _tell_missing(found: Selection[T], usages: UsageList, mode: OnUnavailable) -> Selection[T]:
    """The selection, whose outcomes say of which clusters it lacks usage.

    Raises MetricsUnavailable with STRICT, and where there is no usage at all.
    """
    if mode is OnUnavailable.STRICT or not any(usages):
        cluster, why = min(usages.problems.items())
        raise _unranked(MetricsUnavailable(why, cluster))
    told = (
        replace(each, message=usages.problems.get(each.cluster, each.message)) if each.message is None else each
        for each in found.outcomes
    )
    return Selection(found.matched, tuple(told))


def _measured_keys(info: Info, kind: ObjectKind[T], items: Iterable[T]) -> list[list[Any]]:
    """The keys under which each item is measured: its own, a workload's pods'."""
    if kind is WORKLOADS:
        federation = info.context.federation
        return [[pod.key for pod in federation.pods_in(workload)] for workload in cast("Iterable[Workload]", items)]
    return [[item.key] for item in items]


async def read_usage(info: Info, kind: ObjectKind[T], objects: Ordered[T]) -> UsageList:
    """The usage of each, from the batch that the objects' own `usage` is answered from: nothing is asked twice.

    Where it is of many pods, or held already, it is what all requests share (`fleet.live.usage_cache`). The plan
    of the operation has the measures of its bounds and orders beside those that it selects. `problems` are those of
    clusters of which an object has none. Raises MetricsUnavailable.
    """
    loaders, measures = info.context.loaders, info.plan.measures[kind.metrics]
    batch = loaders.usage[kind.metrics].for_(measures)
    if loaders.held is not None and kind is PODS:
        pods = cast("Ordered[Pod]", objects)
        if loaders.held.is_worth(pods, measures):
            return await _read_held(loaders.held, pods, measures, loaders.dispatch.deadline)
    if kind is WORKLOADS:
        return await _sum_usages(info, cast("Ordered[Workload]", objects), measures)
    keys = [entry.key for entry in objects]
    found = UsageList(map((await batch.require(keys)).__getitem__, keys))
    found.problems = batch.problems_of(keys)
    return found


async def _sum_usages(info: Info, workloads: Ordered[Workload], measures: Measures) -> UsageList:
    """Of each workload, over its pods that have any."""
    federation, time_slice = info.context.federation, TimeSlice(info.context.time_slices)
    parts: list[list[Pod]] = []
    for workload in workloads:
        parts.append(federation.pods_in(workload))
        if time_slice.is_over():
            await time_slice.begin_next()
    found = await read_usage(info, PODS, Ordered(([pod for part in parts for pod in part],)))
    usages, sums = iter(found), UsageList()
    sums.problems = found.problems
    for part in parts:
        own = list(islice(usages, len(part)))
        is_whole = not sums.problems or None not in own or part[0].cluster not in sums.problems
        sums.append(sum_usages(filter(None, own), measures) if is_whole else None)
        if time_slice.is_over():
            await time_slice.begin_next()
    return sums


async def _read_held(held: UsageCache, pods: Ordered[Pod], measures: Measures, deadline: float) -> UsageList:
    """What all requests share. Raises MetricsUnavailable, also where it takes longer than the request may."""
    try:
        async with asyncio.timeout_at(deadline):
            found = await held.read(pods, measures)
    except TimeoutError:
        raise MetricsUnavailable("the metric store did not answer within the request's time") from None
    if found.problems:
        lacking = {pod.cluster for pod, usage in zip(pods, found, strict=True) if usage is None}
        found.problems = {cluster: why for cluster, why in found.problems.items() if cluster in lacking}
    return found


async def _load_alone(batches: Sequence[Batch[Any, Any]], keys: Sequence[ObjectKey]) -> None:
    if len(batches) == 1:  # not a turn of the event loop more than the store needs
        await batches[0].load_alone(keys)
    else:
        await asyncio.gather(*(batch.load_alone(keys) for batch in batches))
