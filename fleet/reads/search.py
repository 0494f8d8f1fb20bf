"""Finds objects of all cached kinds by a text, best matches first, in pieces that let others have their turn."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from heapq import nsmallest
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, TypeVar

from fleet.aio.turns import Pace, Turns
from fleet.cache.rows import StoreKey
from fleet.cache.store import Store
from fleet.cache.stores import Stores
from fleet.model.kinds import ResourceName
from fleet.model.objects import Cluster, Namespace, Node, Pod
from fleet.model.search import RANKS, Found, Hit, SearchField, SearchKind, SearchText
from fleet.model.visibility import Scope

PIECE = 2_048
"""Objects that are looked at before the clock is: less than a millisecond's."""

V = TypeVar("V")
_STORES: Mapping[SearchKind, ResourceName] = {
    SearchKind.NAMESPACE: "namespaces",
    SearchKind.NODE: "nodes",
    SearchKind.WORKLOAD: "workloads",
    SearchKind.POD: "pods",
}
_Keep = Callable[[Sequence[Pod]], list[Pod]]


class _Shared(NamedTuple):
    """By rank: values that many pods have, and pods by their own addresses."""

    namespaces: list[list[str]]
    nodes: list[list[str]]
    pairs: list[list[tuple[str, str]]]
    addressed: list[list[Pod]]
    images: list[dict[tuple[str, ...], str]]


_NOTHING = _Shared([], [], [], [], [])


async def search(
    text: SearchText,
    kinds: frozenset[SearchKind],
    first: int,
    scope: Scope,
    clusters: Sequence[Cluster],
    stores: Mapping[str, Stores],
    turns: Turns,
) -> tuple[list[Hit], bool]:
    """The first hits, and whether there are more. `clusters` and `stores` are those in reach, by name.

    Names come before all else, then better matches, then kinds, then clusters, namespaces and names. What is found well
    enough by names is not looked for elsewhere. Nothing is in it that is gone by the end.
    """
    parts = await _build_parts(text, kinds, first, scope, clusters, stores, Pace(turns))
    found: dict[tuple[SearchKind, str, str, str], Hit] = {}
    for named in (True, False):
        having = [part for part in parts if await part.prepare(named=named)]
        for rank in RANKS:
            for part in having:
                for hit in await part.find(rank, named=named):
                    found.setdefault((hit.kind, hit.cluster, *_key_of(hit, stores)), hit)
                if len(found) > first:
                    return [hit for hit in found.values() if _is_there(hit, stores)][:first], True
    return [hit for hit in found.values() if _is_there(hit, stores)], False


async def _build_parts(
    text: SearchText,
    kinds: frozenset[SearchKind],
    first: int,
    scope: Scope,
    clusters: Sequence[Cluster],
    stores: Mapping[str, Stores],
    pace: Pace,
) -> "list[_Few | _Many]":
    parts: list[_Few | _Many] = []
    if SearchKind.CLUSTER in kinds:
        parts.append(_Few(text, pace, SearchKind.CLUSTER, clusters))
    if SearchKind.NAMESPACE in kinds:
        for name, kept in stores.items():
            seen = [entry for entry in kept.namespaces if scope.sees_namespace(name, entry.name)]
            parts.append(_Few(text, pace, SearchKind.NAMESPACE, seen))
            await pace.wait()
    if SearchKind.NODE in kinds:
        whole = [kept for name, kept in stores.items() if scope.sees_all_namespaces(name)]
        parts += [_Few(text, pace, SearchKind.NODE, kept.nodes.all()) for kept in whole]
    for kind in (SearchKind.WORKLOAD, SearchKind.POD):
        for name, kept in stores.items() if kind in kinds else ():
            store: Store[Any] = kept.named(_STORES[kind])
            parts.append(_Many(text, pace, first + 1, kind, store, _visible(scope, name, store)))
            await pace.wait()
    return parts


def _visible(scope: Scope, cluster: str, store: Store[Any]) -> frozenset[str] | None:
    """The namespaces within reach, None for all."""
    if scope.sees_all_namespaces(cluster):
        return None
    return frozenset(name for name in store.values("namespace") if scope.sees_namespace(cluster, name))


def _key_of(hit: Hit, stores: Mapping[str, Stores]) -> StoreKey:
    """Its key in its store; a cluster has none."""
    if hit.kind is SearchKind.CLUSTER:
        return "", hit.cluster
    key: StoreKey = stores[hit.cluster].named(_STORES[hit.kind]).key_of(hit.entry)
    return key


def _is_there(hit: Hit, stores: Mapping[str, Stores]) -> bool:
    """Whether the store has an object of that key still; a cluster was there when the search began."""
    if hit.kind is SearchKind.CLUSTER:
        return True
    return stores[hit.cluster].named(_STORES[hit.kind]).get(*_key_of(hit, stores)) is not None


async def _sift(
    pace: Pace, entries: Sequence[V], keep: Callable[[Sequence[V]], list[V]], limit: int | None = None
) -> list[V]:
    """What is kept of the entries; no more is looked at than gives `limit` of them."""
    kept: list[V] = []
    for start in range(0, len(entries), PIECE):
        kept += keep(entries[start : start + PIECE])
        await pace.wait()
        if limit is not None and len(kept) >= limit:
            break
    return kept


class _Few:
    """Objects of a kind of which there are few: each value of each is looked at."""

    def __init__(self, text: SearchText, pace: Pace, kind: SearchKind, entries: Sequence[Found]) -> None:
        self._text = text
        self._pace = pace
        self._kind = kind
        self._entries = entries
        self._ranked: dict[bool, list[list[Hit]]] = {}

    async def prepare(self, *, named: bool) -> bool:
        """Looks at names, or at all else; whether anything matches."""
        ranked = self._ranked[named] = [[] for _ in RANKS]
        for start in range(0, len(self._entries), PIECE // 16):
            for entry in self._entries[start : start + PIECE // 16]:
                best = min(self._match(entry, named=named), key=itemgetter(0), default=None)
                if best is not None:
                    ranked[best[0]].append(Hit(self._kind, entry, *best[1:]))
            await self._pace.wait()
        return any(ranked)

    async def find(self, rank: int, *, named: bool) -> list[Hit]:
        return self._ranked[named][rank]

    def _match(self, entry: Found, *, named: bool) -> Iterator[tuple[int, SearchField, str]]:
        """The values that match, with their ranks."""
        rank = self._text.rank
        if named:
            for name in (entry.name, *(entry.other_names if isinstance(entry, Cluster) else ())):
                if (found := rank(name)) is not None:
                    yield found, SearchField.NAME, name
            return
        if isinstance(entry, Node | Namespace):
            for pair in entry.labels:
                if (found := self._text.rank_label(pair)) is not None:
                    yield found, SearchField.LABEL, "=".join(pair)
        if isinstance(entry, Node):
            for address in entry.addresses:
                if (found := rank(address.address)) is not None:
                    yield found, SearchField.ADDRESS, address.address


class _Many:
    """The workloads or pods of a member: what many of them have in common is looked at once."""

    def __init__(
        self,
        text: SearchText,
        pace: Pace,
        limit: int,
        kind: SearchKind,
        store: Store[Any],
        visible: frozenset[str] | None,
    ) -> None:
        self._text = text
        self._pace = pace
        self._limit = limit
        self._kind = kind
        self._store = store
        self._visible = visible
        self._rows: Sequence[Any] = ()
        self._named: Sequence[Any] = ()
        self._shared = _NOTHING

    async def prepare(self, *, named: bool) -> bool:
        """Looks at names, or after that at all else; whether anything matches."""
        if named:
            self._named = await self._start()
            return bool(self._named)
        self._shared = await self._collect()
        return any(any(ranked) for ranked in self._shared)

    async def find(self, rank: int, *, named: bool) -> list[Hit]:
        """The first of a rank, by namespace and name: at most as many as are wanted of all."""
        if named:
            entries = await _sift(self._pace, self._named, self._name_tests[rank], self._limit)
            return [Hit(self._kind, entry, SearchField.NAME, entry.name) for entry in entries[: self._limit]]
        found = await self._find_shared(self._shared, rank)
        first = ((found[key], self._store.get(*key)) for key in sorted(found)[: self._limit])
        return [Hit(self._kind, entry, *what) for what, entry in first if entry is not None]

    async def _start(self) -> Sequence[Any]:
        text, visible = self._text.text, self._visible
        self._rows = self._store.all()
        if visible is not None:
            self._rows = await _sift(
                self._pace, self._rows, lambda pods: [pod for pod in pods if pod.namespace in visible]
            )
        return await _sift(self._pace, self._rows, lambda pods: [pod for pod in pods if text in pod.name])

    @cached_property
    def _name_tests(self) -> tuple[_Keep, ...]:
        text, has_word = self._text.text, self._text.find_word
        return (
            lambda pods: [pod for pod in pods if pod.name == text],
            lambda pods: [pod for pod in pods if pod.name.startswith(text) and pod.name != text],
            lambda pods: [pod for pod in pods if has_word(pod.name) and not pod.name.startswith(text)],
            lambda pods: [pod for pod in pods if not has_word(pod.name)],
        )

    async def _collect(self) -> _Shared:
        rank, text, store = self._text.rank, self._text.text, self._store
        namespaces = store.values("namespace") if self._visible is None else self._visible
        images: list[dict[tuple[str, ...], str]] = [{} for _ in RANKS]
        for start in range(0, len(self._rows), PIECE):
            last = None
            for those in [one.images for one in self._rows[start : start + PIECE]]:
                if those is last:  # the pods of a workload stand together, and have the same
                    continue
                last = those
                if (best := self._text.rank_images(those)) is not None:
                    images[best[0]][those] = best[1]
            await self._pace.wait()
        addressed: Sequence[Pod] = ()
        are_pods = self._kind is SearchKind.POD
        if are_pods and self._text.may_be_address:
            addressed = await _sift(
                self._pace, self._rows, lambda pods: [pod for pod in pods if pod.pod_ip and text in pod.pod_ip]
            )
        return _Shared(
            namespaces=await self._by_rank(namespaces, rank),
            nodes=await self._by_rank(store.values("node") if are_pods else (), rank),
            pairs=await self._by_rank(store.label_pairs(), self._text.rank_label),
            addressed=await self._by_rank(addressed, lambda pod: rank(pod.pod_ip or "")),
            images=images,
        )

    async def _by_rank(self, values: Collection[V], rank: Callable[[V], int | None]) -> list[list[V]]:
        ranked: list[list[V]] = [[] for _ in RANKS]
        listed = list(values)
        for start in range(0, len(listed), PIECE):
            for value in listed[start : start + PIECE]:
                if (found := rank(value)) is not None:
                    ranked[found].append(value)
            await self._pace.wait()
        return ranked

    async def _find_shared(self, shared: _Shared, rank: int) -> dict[StoreKey, tuple[SearchField, str]]:
        """What is first among those found by each value, and why."""
        found: dict[StoreKey, tuple[SearchField, str]] = {}

        key_of = self._store.key_of

        async def add(keys: Iterable[StoreKey], field: SearchField, value: str) -> None:
            for key in await self._first(keys):
                found.setdefault(key, (field, value))
            if len(found) > PIECE:  # what stands behind the first of these can't be among the first of all
                first = {key: found[key] for key in nsmallest(self._limit, found)}
                found.clear()
                found.update(first)
            await self._pace.wait()

        for namespace in shared.namespaces[rank]:
            start = bisect_left(self._rows, namespace, key=attrgetter("namespace"))
            here = self._rows[start : start + self._limit]
            await add([key_of(one) for one in here if one.namespace == namespace], SearchField.NAMESPACE, namespace)
        for node in shared.nodes[rank]:
            await add(self._store.keys("node", node), SearchField.NODE, node)
        for pair in shared.pairs[rank]:
            await add(self._store.keys_labelled(pair), SearchField.LABEL, "=".join(pair))
        for pod in shared.addressed[rank]:
            await add([key_of(pod)], SearchField.ADDRESS, pod.pod_ip or "")
        if images := shared.images[rank]:
            having = await _sift(
                self._pace, self._rows, lambda rows: [one for one in rows if one.images in images], self._limit
            )
            for one in having:
                await add([key_of(one)], SearchField.IMAGE, images[one.images])
        return found

    async def _first(self, keys: Iterable[StoreKey]) -> Iterable[StoreKey]:
        """The first of the keys that are within reach, in any order."""
        visible = self._visible
        listed = list(keys) if visible is None else [key for key in keys if key[0] in visible]
        if len(listed) <= self._limit:
            return listed
        first: list[StoreKey] = []
        for start in range(0, len(listed), PIECE):
            first = nsmallest(self._limit, chain(first, listed[start : start + PIECE]))
            await self._pace.wait()
        return first
