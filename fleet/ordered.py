"""Objects in the federation's own order (cluster, namespace, name), in parts that are shared with the caches.

A selection over a hundred thousand objects is a handful of parts that nobody copied; a page of it is a search and a
slice.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Generic, TypeVar

from fleet.models import Node, Pod

T = TypeVar("T", Pod, Node)
Place = tuple[str, str, str]
"""Cluster, namespace (empty for nodes) and name."""


def place_of(entry: Pod | Node) -> Place:
    """Where the object stands in the order."""
    return (entry.cluster, entry.namespace if isinstance(entry, Pod) else "", entry.name)


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

    def after(self, place: Place) -> "Ordered[T]":
        """What stands behind a place, whether or not there is anything at it."""
        rest: list[Sequence[T]] = []
        for part in self._parts:
            if rest or place_of(part[0]) > place:
                rest.append(part)
            elif place_of(part[-1]) > place:
                rest.append(part[bisect_right(part, place, key=place_of) :])
        return Ordered(rest)

    def first(self, count: int) -> list[T]:
        """The first ones."""
        return list(islice(self, count))


def in_order(entries: Collection[T]) -> Ordered[T]:
    """The same objects in order: sorted, unless it is known that they are."""
    return entries if isinstance(entries, Ordered) else Ordered((sorted(entries, key=place_of),))
