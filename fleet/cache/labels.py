"""Records by their labels: a selector is held against each set of labels once, not against each object.

The pods of a workload have equal labels, so a hundred thousand of them have some thousands of sets. A set is found by
each of its pairs, so equality and `in` look at few sets, and everything else at each set once.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from typing import Generic, TypeVar

from fleet.cache.rows import StoreKey
from fleet.model.label_selector import Operator
from fleet.model.objects import Pairs
from fleet.model.selectors import LabelSelector

R = TypeVar("R")


class LabelIndex(Generic[R]):
    """The records of each set of labels. `labels_of` reads a record's, sorted by key."""

    def __init__(self, labels_of: Callable[[R], Pairs]) -> None:
        self._labels_of = labels_of
        self._records: dict[Pairs, dict[StoreKey, R]] = {}
        self._sets: dict[tuple[str, str], set[Pairs]] = {}

    def put(self, key: StoreKey, old: R | None, record: R) -> None:
        """Adds a record, or puts it in the place of the one that had its key."""
        labels = self._labels_of(record)
        if old is not None:
            before = self._labels_of(old)
            if before is not labels and before != labels:
                self._leave(key, before)
        bucket = self._records.get(labels)
        if bucket is None:
            bucket = self._records[labels] = {}
            for pair in labels:
                self._sets.setdefault(pair, set()).add(labels)
        bucket[key] = record

    def discard(self, key: StoreKey, record: R) -> None:
        self._leave(key, self._labels_of(record))

    def pairs(self) -> Collection[tuple[str, str]]:
        """Every label of any record: a live view."""
        return self._sets.keys()

    def labelled(self, pair: tuple[str, str]) -> Iterator[StoreKey]:
        """The keys of the records that have a label, in no order."""
        return chain.from_iterable(self._records[labels] for labels in self._sets.get(pair, ()))

    def matching(self, selector: LabelSelector) -> list[dict[StoreKey, R]]:
        """The records that a selector selects, in buckets without an order; each is in one of them."""
        records = self._records
        if len(selector.equal) == 1 and not selector.others:  # the sets with a pair are what it selects
            return [records[labels] for labels in self._sets.get(selector.equal[0], ())]
        found = (labels for labels in self._candidates(selector) if selector.matches(labels))
        return [records[labels] for labels in found]

    def _candidates(self, selector: LabelSelector) -> Iterable[Pairs]:
        """The sets among which all are that can match: of the narrowest term that names its values."""
        narrowed: list[list[set[Pairs]]] = [[self._sets.get(pair, set())] for pair in selector.equal]
        narrowed += [
            [self._sets.get((term.key, value), set()) for value in term.values]
            for term in selector.others
            if term.operator is Operator.IN
        ]
        if not narrowed:
            return self._records.keys()
        narrowest = min(narrowed, key=lambda choice: sum(map(len, choice)))
        return (labels for sets in narrowest for labels in sets)

    def _leave(self, key: StoreKey, labels: Pairs) -> None:
        bucket = self._records.get(labels)
        if bucket is None:
            return
        bucket.pop(key, None)
        if bucket:
            return
        del self._records[labels]
        for pair in labels:
            sets = self._sets[pair]
            sets.discard(labels)
            if not sets:
                del self._sets[pair]
