"""Groups of what a connection matched, with the sums and the metrics that their selection wants: one load of them."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from fleet.model.errors import MetricsUnavailable
from fleet.model.groups import (
    NODE_SUMS,
    PIECE,
    POD_SUMS,
    Column,
    Group,
    GroupBy,
    Grouping,
    Known,
    PodGroupField,
    Sums,
    resource_sum,
    usage_sum,
)
from fleet.model.kinds import NODES, PODS, ObjectKind
from fleet.model.objects import Node, NodeKey, Pod, T
from fleet.model.ordered import Ordered
from fleet.model.queries import PageRequest
from fleet.model.ranking import PercentOf
from fleet.model.sums import sum_histories
from fleet.model.told import tell
from fleet.model.usage import ALL_MEASURES, History
from fleet.reads.grouping import GroupOrder, GroupPage, GroupSorting, Place
from graph.loading.context import Info
from graph.loading.listing import read_usage
from graph.loading.lookahead import Wants
from graph.loading.maybe_await import AwaitableOrValue
from graph.loading.related import wanted_batches
from graph.loading.time_range import TimeRangeRequest
from graph.loading.timeslice import TimeSlice

_NAMES = {"readyCount": "ready_count"}
_HISTORIES = 50
"""Histories that are summed up at a stretch."""


class LoadedGroups(NamedTuple):
    """A page, and what kept usage from being loaded, which is told once."""

    page: GroupPage
    failures: set[MetricsUnavailable]


def load_groups(
    info: Info,
    kind: ObjectKind[T],
    matched: Ordered[T],
    by: Sequence[GroupBy],
    orders: Sequence[GroupOrder],
    request: PageRequest,
) -> AwaitableOrValue[LoadedGroups]:
    """A page of the groups of all that matched, made in time slices.

    Raises InvalidQuery, also for too many groups and a time range of history that is none, and MetricsUnavailable where
    groups are ordered by usage that is not known.
    """
    sorting = GroupSorting(kind, by, orders)
    after = None if request.after is None else sorting.parse(request.after)
    return info.context.loaders.dispatch.defer(_load, info, kind, matched, by, sorting, request.first, after)


async def load_group_history(
    info: Info, kind: ObjectKind[T], group: Group[T], request: TimeRangeRequest
) -> History | None:
    """The sums of its members' columns; None where none has a point. Raises MetricsUnavailable."""
    batch = info.context.loaders.history[kind.metrics].for_((request, info.plan.columns[kind.metrics, request]))
    found = await batch.load([entry.key for entry in group.members])
    time_slice, parts = TimeSlice(info.context.time_slices), list[History | None]()
    for start in range(0, len(found), _HISTORIES):
        parts.append(sum_histories(found[start : start + _HISTORIES]))
        await _give_way(time_slice)
    return sum_histories(filter(None, parts))


async def _load(
    info: Info,
    kind: ObjectKind[T],
    matched: Ordered[T],
    by: Sequence[GroupBy],
    sorting: GroupSorting,
    first: int,
    after: Place | None,
) -> LoadedGroups:
    wants, dispatch, time_slice = info.page_wants, info.context.loaders.dispatch, TimeSlice(info.context.time_slices)
    histories = list(wanted_batches(info, kind.metrics, Wants(time_ranges=wants.time_ranges)))
    usages: Sequence[Known] = ()
    failures: dict[str, MetricsUnavailable] = {}
    with dispatch.holding_pages():
        if wants.usage or sorting.by_usage:
            try:
                usages = found = await read_usage(info, kind, matched)
                failures = {name: MetricsUnavailable(why, name) for name, why in sorted(found.problems.items())}
                if failures:
                    usages = [usage or failures.get(entry.cluster) for entry, usage in zip(matched, found, strict=True)]
            except MetricsUnavailable as error:
                failures = {"": error}
                usages = [error] * len(matched)
            if sorting.by_usage and failures:
                reason = next(iter(failures.values()))
                message = tell("these groups are ordered by usage, which is not known: {}", reason)
                raise reason.within(message) from reason
        sums = _sums(info, kind, gaps=bool(failures))
        grouping = Grouping[T](by, sums, {PodGroupField.ZONE: _zones(info), PodGroupField.WORKLOAD: _workloads(info)})
        rest, start = iter(matched), 0
        while objects := list(islice(rest, PIECE)):
            grouping.add(objects, usages[start : start + PIECE])
            start += PIECE
            await _give_way(time_slice)
        placed: list[tuple[Place, Group[T]]] = []
        for group in grouping.finish():
            await _add_up(group, sorting.sums, time_slice)
            placed.append((sorting.place(group), group))
        page = sorting.build_page(placed, first, after)
        while placed:  # to let go of a hundred thousand objects takes milliseconds, too
            placed.pop()
            await _give_way(time_slice)
        wanted = {
            kind.bases.get(sum_) if isinstance(sum_, PercentOf) else _NAMES.get(sum_, sum_) for sum_ in wants.sums
        }
        for group in page.items:
            await _add_up(group, sums.keys() & wanted, time_slice)
    if histories:
        keys = [entry.key for group in page.items for entry in group.members]
        await asyncio.gather(*(batch.prime(keys) for batch in histories))
    return LoadedGroups(page, {*failures.values()})


async def _add_up(group: Group[T], names: Iterable[str], time_slice: TimeSlice) -> None:
    for name in names:
        for _ in group.add_up(name):
            await _give_way(time_slice)
    await _give_way(time_slice)


async def _give_way(time_slice: TimeSlice) -> None:
    if time_slice.is_over():
        await time_slice.begin_next()


def _sums(info: Info, kind: ObjectKind[T], *, gaps: bool) -> Sums:
    usage = usage_sum(info.plan.measures.get(kind.metrics, ALL_MEASURES), gaps=gaps)
    if kind is PODS:
        return {**POD_SUMS, "usage": usage}
    requested_on = partial(info.context.federation.requested_on, info.context.scope)
    requested = resource_sum(lambda nodes: [requested_on(node.key) for node in nodes])
    return {**NODE_SUMS, "requested": requested, "usage": usage}


def _zones(info: Info) -> Column:
    """The zones of pods' nodes, as far as the caller may see those."""
    find = partial(info.context.federation.get_cached, NODES, info.context.scope)
    known: dict[tuple[str, str | None], str | None] = {}

    def read(pods: Collection[Pod]) -> list[str | None]:
        places = [(pod.cluster, pod.node_name) for pod in pods]
        for cluster, name in {*places} - known.keys():
            node: Node | None = None if name is None else find(NodeKey(cluster, name))
            known[cluster, name] = None if node is None else node.zone
        return [known[place] for place in places]

    return read


def _workloads(info: Info) -> Column:
    """`Deployment/web` for its pods; a pod that nothing controls is its own."""
    find = partial(info.context.federation.workload_of, info.context.scope)
    known: dict[tuple[str, str], str] = {}

    def read(pods: Collection[Pod]) -> list[str | None]:
        found: list[str | None] = []
        for pod in pods:
            owner = pod.owner
            if owner is None:
                found.append(f"Pod/{pod.name}")
                continue
            key = (pod.cluster, owner.uid)
            name = known.get(key)
            if name is None:
                top = find(pod) or owner  # what controls it may be gone already
                name = known[key] = f"{top.kind}/{top.name}"
            found.append(name)
        return found

    return read
