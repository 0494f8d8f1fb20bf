"""The newest usage of whole clusters' pods, held for a short time, so that ranking many pods asks nobody.

A metric store that is asked for more pods than it can name reads all of their clusters anyway. So such a question is
asked of the whole clusters, and its answer is shared by all who rank pods until it is `max_age` seconds old. While it
is in demand it is renewed in the background from half of that age on. What was not asked for lately is forgotten.
"""

import asyncio
import contextvars
import logging
import math
from collections.abc import Callable, Collection, Iterable, KeysView, Mapping, Sequence
from itertools import compress
from operator import is_not
from typing import cast

from msgspec import Struct

from fleet.model.objects import Pod, PodKey
from fleet.model.ordered import Ordered, Position, position_of
from fleet.model.usage import Kind, Measure, Usage, UsageList, find_problems
from fleet.ports import MetricStore

logger = logging.getLogger(__name__)

MOST_NAMED = 500
"""So many pods are asked for by name where nothing is held: beyond it a store reads whole clusters."""

DEFAULT_MAX_AGE = 10.0

PodsOf = Callable[[Collection[str]], Iterable[Sequence[Pod]]]
"""All cached pods of some clusters, whoever may see them, a part that does not change for each."""

_ALWAYS = frozenset({Measure.CPU_CORES, Measure.MEMORY_BYTES})


class _Table(Struct, frozen=True):
    """What one question brought: usage by cluster, namespace and name, and of which clusters that may not be all.

    The pods that were asked about are kept with it, by cluster, and their usages in step with them, so that those that
    did not change are found by their identity, which is no other object's meanwhile.
    """

    asked_at: float
    measures: frozenset[Measure]
    usages: Mapping[PodKey, Usage]
    asked: Mapping[str, tuple[Collection[Pod], list[Usage | None]]]
    by_identity: Mapping[int, Usage | None]
    problems: Mapping[str, str]

    def usages_of(self, cluster: str, pods: Sequence[Pod]) -> list[Usage | None]:
        """The usage of each of a cluster's pods."""
        asked, usages = self.asked.get(cluster, ((), []))
        if pods is asked:
            return usages
        if len(pods) == len(asked):  # pods have changed, most likely, and none came or went
            found = usages.copy()
            for place in compress(range(len(pods)), map(is_not, pods, asked)):
                found[place] = self.by_identity.get(id(pods[place])) or self.usages.get(pods[place].key)
            return found
        found = list(map(self.by_identity.get, map(id, pods)))
        if all(found):
            return found
        return [
            usage if usage is not None or id(pod) in self.by_identity else self.usages.get(pod.key)
            for usage, pod in zip(found, pods, strict=True)
        ]


_Asking = asyncio.Task[_Table]


class UsageCache:
    """Usage by cluster. `max_age` in seconds; 0 holds nothing."""

    def __init__(self, store: MetricStore, pods_of: PodsOf, *, max_age: float = DEFAULT_MAX_AGE) -> None:
        self._store = store
        self._pods_of = pods_of
        self._max_age = max_age
        self._tables: dict[str, _Table] = {}
        self._asking: dict[str, tuple[frozenset[Measure], _Asking]] = {}

    def is_worth(self, pods: Ordered[Pod], measures: frozenset[Measure]) -> bool:
        """Whether the pods should be ranked by what is held, or will be, and not be asked for by name."""
        if self._max_age <= 0 or not pods:
            return False
        return len(pods) > MOST_NAMED or all(
            self._age(cluster, measures) < self._max_age for cluster, _ in pods.by_cluster()
        )

    @property
    def clusters(self) -> KeysView[str]:
        return self._tables.keys()

    def is_old(self, cluster: str, measures: frozenset[Measure]) -> bool:
        """Whether the next one who reads has a cluster's usage renewed."""
        return self._age(cluster, measures) >= self._max_age / 2

    async def read(self, pods: Ordered[Pod], measures: frozenset[Measure]) -> UsageList:
        """The usage of each pod, at most `max_age` old, or as the store has it now.

        Raises MetricsUnavailable.
        """
        slices = list(pods.by_cluster())
        held: dict[str, _Table] = {}
        stale: set[str] = set()
        old: set[str] = set()
        for cluster in {cluster for cluster, _ in slices}:
            age = self._age(cluster, measures)
            if age >= self._max_age:
                stale.add(cluster)
                continue
            held[cluster] = self._tables[cluster]
            if self.is_old(cluster, measures):
                old.add(cluster)
        self._renew(old - self._asking.keys(), measures)
        for task, names in self._ask(stale, measures):
            table = await asyncio.shield(task)  # others may wait for it
            held.update(dict.fromkeys(names, table))
        found = UsageList()
        found.problems = {name: table.problems[name] for name, table in held.items() if name in table.problems}
        for cluster, part in slices:
            found += held[cluster].usages_of(cluster, part)
            if len(part) > MOST_NAMED:
                await asyncio.sleep(0)  # of a whole cluster's pods it takes milliseconds
        return found

    def _age(self, cluster: str, measures: frozenset[Measure]) -> float:
        table = self._tables.get(cluster)
        if table is None or not measures <= table.measures:
            return math.inf
        return _now() - table.asked_at

    def _ask(self, clusters: set[str], measures: frozenset[Measure]) -> list[tuple[_Asking, list[str]]]:
        """Questions that bring the clusters' usage: those that are under way, and one for the rest."""
        waits: dict[_Asking, list[str]] = {}
        rest: list[str] = []
        for cluster in clusters:
            asked, task = self._asking.get(cluster, (frozenset[Measure](), None))
            if task is not None and measures <= asked:
                waits.setdefault(task, []).append(cluster)
            else:
                rest.append(cluster)
        if rest:
            waits[self._begin(rest, measures, None)] = rest
        return [*waits.items()]

    def _renew(self, clusters: set[str], measures: frozenset[Measure]) -> None:
        if clusters:
            # Nobody waits for it, so it counts for no question's record of what it took.
            self._begin(clusters, measures, contextvars.Context())

    def _begin(
        self, clusters: Collection[str], measures: frozenset[Measure], context: contextvars.Context | None
    ) -> _Asking:
        tables = [table for cluster in clusters if (table := self._tables.get(cluster)) is not None]
        wanted = measures.union(_ALWAYS, *(table.measures for table in tables))
        task = asyncio.create_task(self._load(tuple(clusters), wanted), context=context)
        task.add_done_callback(_note_failure)
        self._asking.update(dict.fromkeys(clusters, (wanted, task)))
        return task

    async def _load(self, clusters: tuple[str, ...], measures: frozenset[Measure]) -> _Table:
        asked_at = _now()
        try:
            pods = list(self._pods_of(clusters))
            keys = await asyncio.to_thread(_keys_of, pods)
            usages = await self._store.latest(Kind.POD, keys, measures)
            table = await asyncio.to_thread(_build_table, asked_at, measures, usages, pods)
        finally:
            task = asyncio.current_task()
            for cluster in clusters:
                if self._asking[cluster][1] is task:  # it may be asked anew already, for more measures
                    del self._asking[cluster]
        self._tables.update(dict.fromkeys(clusters, table))
        asyncio.get_running_loop().call_later(self._max_age, self._forget, table)
        return table

    def _forget(self, table: _Table) -> None:
        for cluster in [name for name, held in self._tables.items() if held is table]:
            del self._tables[cluster]


def _keys_of(parts: Iterable[Collection[Pod]]) -> frozenset[PodKey]:
    return frozenset(PodKey(pod.cluster, pod.namespace, pod.name) for part in parts for pod in part)


def _build_table(
    asked_at: float, measures: frozenset[Measure], usages: Mapping[PodKey, Usage], parts: Iterable[Sequence[Pod]]
) -> _Table:
    """In a thread, in loops of Python's own: one that runs in C would keep the interpreter from the event loop."""
    # A key is equal to the plain tuple of its parts, which is made at a fraction of the cost.
    get = cast("Callable[[Position], Usage | None]", usages.get)
    asked = {part[0].cluster: (part, [get(position_of(pod)) for pod in part]) for part in parts if part}
    by_identity = {id(pod): usage for pods, found in asked.values() for pod, usage in zip(pods, found, strict=True)}
    return _Table(asked_at, measures, usages, asked, by_identity, find_problems(usages))


def _note_failure(task: _Asking) -> None:
    """Who waits for it gets the error; where nobody does, the next question finds out."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.debug("usage can't be held: %s", error)


def _now() -> float:
    return asyncio.get_running_loop().time()
