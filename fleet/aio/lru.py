"""A bounded cache: what nobody asked for longest goes first."""

from collections import OrderedDict
from collections.abc import Hashable
from math import inf
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """At most `most` entries, and at most `most_weight` of the weights that `put` was told of, together."""

    __slots__ = ("_entries", "_weights", "most", "most_weight", "weight")

    def __init__(self, most: float = inf, *, most_weight: float = inf) -> None:
        self.most = most
        self.most_weight = most_weight
        self.weight = 0
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._weights: dict[K, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value, which is the last to go from now on; None where it is not (any more) there."""
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: K, value: V, weight: int = 0) -> None:
        """Adds or replaces an entry; one that alone is too heavy is not kept, and drives out no other."""
        self.discard(key)
        if weight > self.most_weight:
            return
        self._entries[key] = value
        if weight:
            self._weights[key] = weight
            self.weight += weight
        while len(self._entries) > self.most or self.weight > self.most_weight:
            self.discard(next(iter(self._entries)))

    def discard(self, key: K) -> None:
        if self._entries.pop(key, None) is not None:
            self.weight -= self._weights.pop(key, 0)

    def clear(self) -> None:
        self._entries.clear()
        self._weights.clear()
        self.weight = 0
