"""One member's objects of one kind, in memory, with the indexes that questions need.

Everything happens on the event loop's thread: a caller that does not await between asking and reading sees one state.
Records are kept in the order of namespace and name, so that what is selected of them needs no sorting.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

from fleet.aio.generations import GenerationCounter
from fleet.cache.labels import LabelIndex
from fleet.cache.rows import Rows, StoreKey
from fleet.model.kinds import ObjectKind
from fleet.model.objects import Pairs, T
from fleet.model.selectors import LabelSelector


class Record(Protocol):
    """What the store needs to know of a record."""

    @property
    def uid(self) -> str: ...

    @property
    def resource_version(self) -> str: ...


R = TypeVar("R", bound=Record)
Term = Callable[[R], str | None]
"""Gives the value a record is found by in an index; None leaves it out."""

LabelsOf = Callable[[R], Pairs]
"""Gives a record's labels, sorted by key."""


Listener = Callable[[R | None, R | None], None]
"""Called after a change with the record before and after it; one of them is None for what came or went."""


class Table(Generic[R]):
    """Records in the order of their keys, and their indexes, kept in step.

    A store is one; a relist builds the next one beside it. Records and buckets of indexes are put into order when
    they are read: members list their objects nearly in order, so there is little to do, and what changed often between
    two readers is placed once.
    """

    def __init__(self, key_of: Callable[[R], StoreKey], terms: Mapping[str, Term[R]], labels_of: LabelsOf[R]) -> None:
        self.records: dict[StoreKey, R] = {}
        self._rows = Rows(self.records)
        self.key_of = key_of
        self._indexes: dict[str, dict[str, dict[StoreKey, R]]] = {name: {} for name in terms}
        self._terms = [(term, self._indexes[name]) for name, term in terms.items()]
        self._labels = LabelIndex(labels_of)

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[R]:
        return iter(self.all())

    def put(self, record: R) -> R | None:
        """Adds or replaces a record; returns the one it replaced."""
        key = self.key_of(record)
        records = self.records
        old = records.get(key)
        records[key] = record
        self._rows.note(key, record, new=old is None)
        self._labels.put(key, old, record)
        for term, index in self._terms:
            value = term(record)
            if old is not None and (before := term(old)) != value:
                _leave(index, before, key)
            if value is not None:
                bucket = index.get(value)
                if bucket is None:
                    index[value] = {key: record}
                else:
                    bucket[key] = record
        return old

    def pop(self, key: StoreKey) -> R | None:
        """Takes a record out; returns it, or None where there was none."""
        old = self.records.pop(key, None)
        if old is not None:
            self._rows.note_gone(key)
            self._labels.discard(key, old)
            for term, index in self._terms:
                _leave(index, term(old), key)
        return old

    def all(self) -> tuple[R, ...]:
        """Every record, in order; the same tuple as long as nothing changes."""
        return self._rows.all()

    def get(self, namespace: str, name: str) -> R | None:
        return self.records.get((namespace, name))

    def count(self, index: str, value: str) -> int:
        """How many records an index holds under a value."""
        return len(self._indexes[index].get(value, ()))

    def select(self, index: str, value: str) -> list[R]:
        """The records an index holds under a value, in order."""
        bucket = self._indexes[index].get(value, {})
        return list(map(bucket.__getitem__, sorted(bucket)))

    def bucket(self, index: str, value: str) -> tuple[R, ...]:
        """The records an index holds under a value, in no order."""
        return tuple(self._indexes[index].get(value, {}).values())

    def find_labelled(self, selector: LabelSelector, *, fewer_than: int) -> list[R] | None:
        """The records that a label selector selects, in no order; None where they are not fewer than that."""
        buckets = self._labels.matching(selector)
        if sum(map(len, buckets)) >= fewer_than:
            return None
        return list(chain.from_iterable([bucket.values() for bucket in buckets]))

    def keys(self, index: str, value: str) -> Collection[StoreKey]:
        """The keys of the records an index holds under a value, in no order: a live view."""
        return self._indexes[index].get(value, {}).keys()

    def label_pairs(self) -> Collection[tuple[str, str]]:
        """Every label that any record has: a live view."""
        return self._labels.pairs()

    def keys_labelled(self, pair: tuple[str, str]) -> Iterator[StoreKey]:
        """The keys of the records that have a label, in no order."""
        return self._labels.labelled(pair)

    def values(self, index: str) -> Collection[str]:
        """The values an index knows, such as all namespaces that hold a pod: a live view."""
        return self._indexes[index].keys()


def _leave(index: dict[str, dict[StoreKey, R]], value: str | None, key: StoreKey) -> None:
    if value is None:
        return
    bucket = index.get(value)
    if bucket is None:
        return
    bucket.pop(key, None)
    if not bucket:
        del index[value]


GENERATIONS = GenerationCounter()
"""Of the contents of all stores. One for the process: a number tells contents apart, whoever owns their stores, and the
stores of a member outlive it."""


class Store(Table[R]):
    """A member's objects of one kind.

    `generation` grows with every change, and no two contents of any two stores have the same one, but for those that
    nothing was ever put into, which have 0: who keeps what was made of a content needs not keep the store.

    `terms` names the indexes and says what each finds a record by; more indexes are more entries of it.
    """

    def __init__(self, key_of: Callable[[R], StoreKey], terms: Mapping[str, Term[R]], labels_of: LabelsOf[R]) -> None:
        super().__init__(key_of, terms, labels_of)
        self.generation = 0
        self._build_table: Callable[[], Table[R]] = partial(Table, key_of, terms, labels_of)
        self._listeners: tuple[Listener[R], ...] = ()

    def put(self, record: R) -> None:
        old = Table.put(self, record)  # not `super()`, which each event of a watch would pay for
        self.generation = GENERATIONS.next()
        for listener in self._listeners:
            listener(old, record)

    def discard(self, record: R) -> None:
        """Takes the record of that name out, if it is there."""
        self.drop(self.key_of(record))

    def drop(self, key: StoreKey) -> None:
        """Takes the record of that key out, if it is there."""
        old = self.pop(key)
        if old is not None:
            self.generation = GENERATIONS.next()
            self._notify(old, None)

    def stage(self) -> "Staged[R]":
        """Starts a relist beside what is served meanwhile."""
        return Staged(self, self._build_table())

    def replace(self, table: Table[R]) -> None:
        """Makes a table the current one, at once; what it does not hold is gone. Listeners hear each difference."""
        before = self.records
        vars(self).update(vars(table))
        self.generation = GENERATIONS.next()
        if not self._listeners:
            return
        for key, old in before.items():
            if key not in table.records:
                self._notify(old, None)
        for key, new in table.records.items():
            if (known := before.get(key)) is not new:
                self._notify(known, new)

    def listen(self, listener: Listener[R]) -> Callable[[], None]:
        """Calls the listener (quick, never raising) after each change, until the returned function is called."""
        if listener not in self._listeners:
            self._listeners = (*self._listeners, listener)

        def unlisten() -> None:
            self._listeners = tuple(known for known in self._listeners if known != listener)

        return unlisten

    def _notify(self, old: R | None, new: R | None) -> None:
        for listener in self._listeners:
            listener(old, new)


class Staged(Generic[R]):
    """A relist in the making. Records that did not change stay the same objects, so that a relist costs no memory."""

    def __init__(self, store: Store[R], table: Table[R]) -> None:
        self._store = store
        self._table = table
        self._known = store.records

    def add(self, records: Collection[R]) -> None:
        for record in records:
            known = self._known.get(self._table.key_of(record))
            same = known is not None and known.resource_version == record.resource_version and known.uid == record.uid
            self._table.put(known if known is not None and same else record)

    def drop(self, key: StoreKey) -> None:
        self._table.pop(key)

    def commit(self) -> None:
        self._store.replace(self._table)


def build_store(kind: ObjectKind[T]) -> Store[T]:
    terms = {name: attrgetter(index.attribute) for name, index in kind.indexes.items()}
    return Store(attrgetter("namespace", "entry" if kind.shares_names else "name"), terms, attrgetter("labels"))
