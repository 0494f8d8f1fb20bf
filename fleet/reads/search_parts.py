"""What a search looks at in one member: objects of which there are few one by one, others by what they have in common.

Everything is done in pieces, with turns for others in between.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from heapq import nsmallest
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, TypeVar

from fleet.aio.turns import Pace
from fleet.cache.rows import StoreKey
from fleet.cache.store import Store
from fleet.model.objects import Cluster, Namespace, Node, Pod
from fleet.model.search import RANKS, Found, Hit, SearchField, SearchKind, SearchText

PIECE = 2_048
"""Objects that are looked at before the clock is: less than a millisecond's."""

V = TypeVar("V")
_Keep = Callable[[Sequence[Any]], list[Any]]


class _Shared(NamedTuple):
    """By rank: values that many have in common. And all that have an address with the text in it."""

    namespaces: list[list[str]]
    nodes: list[list[str]]
    pairs: list[list[tuple[str, str]]]
    images: list[dict[tuple[str, ...], str]]
    addressed: Sequence[Pod]


_NOTHING = _Shared([], [], [], [], [])


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


class FewObjects:
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


class ManyObjects:
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
        self.admits: Callable[[Any], bool] | None = None
        """What an object has to pass besides, to be within reach."""
        self._rows: Sequence[Any] = ()
        self._named: Sequence[Any] = ()
        self._shared = _NOTHING

    async def prepare(self, *, named: bool) -> bool:
        """Looks at names, or after that at all else; whether anything matches."""
        if named:
            self._named = await self._start()
            return bool(self._named)
        self._shared = await self._collect()
        shared = self._shared
        ranked = (shared.namespaces, shared.nodes, shared.pairs, shared.images)
        return bool(shared.addressed) or any(any(each) for each in ranked)

    async def find(self, rank: int, *, named: bool) -> list[Hit]:
        """The first of a rank, by namespace and name: at most as many as are wanted of all."""
        if named:
            entries = await self._find_ranked(self._named, attrgetter("name"), rank)
            return [Hit(self._kind, entry, SearchField.NAME, entry.name) for entry in entries]
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
        if (admits := self.admits) is not None:
            self._rows = await _sift(self._pace, self._rows, lambda rows: list(filter(admits, rows)))
        return await _sift(self._pace, self._rows, lambda pods: [pod for pod in pods if text in pod.name])

    async def _find_ranked(self, entries: Sequence[Any], read: Callable[[Any], str], rank: int) -> list[Any]:
        """The first of the entries, all of which have the text in what is read of them, that have it so well."""
        text, has_word = self._text.text, self._text.find_word
        tests: tuple[_Keep, ...] = (
            lambda some: [one for one in some if read(one) == text],
            lambda some: [one for one in some if read(one).startswith(text) and read(one) != text],
            lambda some: [one for one in some if has_word(read(one)) and not read(one).startswith(text)],
            lambda some: [one for one in some if not has_word(read(one))],
        )
        return (await _sift(self._pace, entries, tests[rank], self._limit))[: self._limit]

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
            images=images,
            addressed=addressed,
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
        for pod in await self._find_ranked(shared.addressed, attrgetter("pod_ip"), rank):
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
        if (admits := self.admits) is not None:
            listed = [key for key in listed if (one := self._store.get(*key)) is not None and admits(one)]
        if len(listed) <= self._limit:
            return listed
        first: list[StoreKey] = []
        for start in range(0, len(listed), PIECE):
            first = nsmallest(self._limit, chain(first, listed[start : start + PIECE]))
            await self._pace.wait()
        return first
