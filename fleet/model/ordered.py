"""Objects in the federation's own order (cluster, namespace, name), in parts that are shared with the caches.

A selection over a hundred thousand objects is a handful of parts that nobody copied; a page of it is a search and a
slice.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Any, Generic, TypeVar, overload

from fleet.model.objects import T
from fleet.model.workloads import Workload

S = TypeVar("S")
V = TypeVar("V")
Position = tuple[str, str, str]
"""Cluster, namespace (empty for nodes) and name; of a workload its entry, as two kinds may have one name."""


position_of: Callable[[Any], Position] = attrgetter("cluster", "namespace", "name")
"""Where a pod or a node stands in the order."""

_ENTRY_POSITION: Callable[[Any], Position] = attrgetter("cluster", "namespace", "entry")


def read_positions(entry: T) -> Callable[[T], Position]:
    """What reads where an object stands, and all others of its kind."""
    return _ENTRY_POSITION if type(entry) is Workload else position_of


class LazySequence(Sequence[V], Generic[S, V]):
    """What `build` makes of each of a source, made anew whenever it is read: most answers read few of them, or none."""

    __slots__ = ("build", "source")

    def __init__(self, build: Callable[[S], V], source: Sequence[S]) -> None:
        self.build = build
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[V]:
        return map(self.build, self.source)

    @overload
    def __getitem__(self, index: int) -> V: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[V]: ...
    def __getitem__(self, index: int | slice) -> V | Sequence[V]:
        if isinstance(index, slice):
            return type(self)(self.build, self.source[index])
        return self.build(self.source[index])


class DeferredSequence(Sequence[V]):
    """So many entries, all made when the first of them is read, and kept."""

    __slots__ = ("_entries", "_length", "_make")

    def __init__(self, length: int, make: Callable[[], Sequence[V]]) -> None:
        self._length = length
        self._make = make
        self._entries: Sequence[V] | None = None

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[V]:
        return iter(self._read())

    @overload
    def __getitem__(self, index: int) -> V: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[V]: ...
    def __getitem__(self, index: int | slice) -> V | Sequence[V]:
        return self._read()[index]

    def _read(self) -> Sequence[V]:
        if self._entries is None:
            self._entries = self._make()
        return self._entries


class Ordered(Collection[T], Generic[T]):
    """Objects in order: each part is in it, and ends before the next one begins. Parts must not change."""

    __slots__ = ("_parts", "_size")

    def __init__(self, parts: Iterable[Sequence[T]] = ()) -> None:
        self._parts: list[Sequence[T]] = [part for part in parts if part]
        self._size = sum(map(len, self._parts))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self._parts)

    def __contains__(self, entry: object) -> bool:
        return any(entry in part for part in self._parts)

    def by_cluster(self) -> Iterator[tuple[str, Sequence[T]]]:
        """All of it in slices, each of one cluster."""
        for part in self._parts:
            start = 0
            while start < len(part):
                cluster = part[start].cluster
                end = len(part)
                if part[-1].cluster != cluster:
                    end = bisect_right(part, cluster, start, key=attrgetter("cluster"))
                yield cluster, part[start:end] if end - start < len(part) else part
                start = end

    def after(self, place: Position) -> "Ordered[T]":
        """What stands behind a place, whether or not there is anything at it."""
        rest: list[Sequence[T]] = []
        for part in self._parts:
            read = read_positions(part[0])
            if rest or read(part[0]) > place:
                rest.append(part)
            elif read(part[-1]) > place:
                rest.append(part[bisect_right(part, place, key=read) :])
        return Ordered(rest)

    def first(self, count: int) -> list[T]:
        return list(islice(chain.from_iterable(self._parts), count))
