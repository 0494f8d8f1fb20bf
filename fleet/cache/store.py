"""One member's objects of one kind, in memory, with the indexes that questions need.

Everything happens on the event loop's thread: a caller that does not await between asking and reading sees one state,
so reads hand out the live collections and nothing is copied.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from fleet.models import Namespace, Node, Pod

Key = tuple[str, str]
"""Namespace and name; the namespace of what has none is empty."""


class Record(Protocol):
    """What the store needs to know of a record."""

    @property
    def uid(self) -> str:
        """`metadata.uid`."""
        ...

    @property
    def resource_version(self) -> str:
        """`metadata.resourceVersion`."""
        ...


R = TypeVar("R", bound=Record)
Term = Callable[[R], str | None]
"""Gives the value a record is found by in an index; None leaves it out."""

Listener = Callable[[R | None, R | None], None]
"""Called after a change with the record before and after it; one of them is None for what came or went."""


class Table(Generic[R]):
    """Records and their indexes, kept in step. The store holds one; a relist builds the next one beside it."""

    def __init__(self, key_of: Callable[[R], Key], terms: Mapping[str, Term[R]]) -> None:
        self.records: dict[Key, R] = {}
        self._key_of = key_of
        self._terms = terms
        self._indexes: dict[str, dict[str, dict[Key, R]]] = {name: {} for name in terms}

    def put(self, record: R) -> R | None:
        """Adds or replaces a record; returns the one it replaced."""
        key = self._key_of(record)
        old = self.records.get(key)
        self.records[key] = record
        for name, term in self._terms.items():
            value = term(record)
            if old is not None and (before := term(old)) != value:
                self._leave(name, before, key)
            if value is not None:
                self._indexes[name].setdefault(value, {})[key] = record
        return old

    def discard(self, key: Key) -> R | None:
        """Takes a record out; returns it, or None where there was none."""
        old = self.records.pop(key, None)
        if old is not None:
            for name, term in self._terms.items():
                self._leave(name, term(old), key)
        return old

    def bucket(self, index: str, value: str) -> Mapping[Key, R]:
        """The records an index holds under a value."""
        return self._indexes[index].get(value, {})

    def values(self, index: str) -> Collection[str]:
        """The values an index holds records under."""
        return self._indexes[index].keys()

    def _leave(self, name: str, value: str | None, key: Key) -> None:
        if value is None:
            return
        bucket = self._indexes[name].get(value)
        if bucket is None:
            return
        bucket.pop(key, None)
        if not bucket:
            del self._indexes[name][value]


class Store(Generic[R]):
    """A member's objects of one kind. `generation` grows with every change, so that sums over it can be kept.

    `terms` names the indexes and says what each finds a record by; more indexes are more entries of it.
    """

    def __init__(self, key_of: Callable[[R], Key], terms: Mapping[str, Term[R]]) -> None:
        self.generation = 0
        self._key_of = key_of
        self._terms = dict(terms)
        self._table = Table(key_of, self._terms)
        self._listeners: set[Listener[R]] = set()

    def __len__(self) -> int:
        return len(self._table.records)

    def __iter__(self) -> Iterator[R]:
        return iter(self._table.records.values())

    def key_of(self, record: R) -> Key:
        """The name a record is kept under."""
        return self._key_of(record)

    def get(self, namespace: str, name: str) -> R | None:
        """One record by name."""
        return self._table.records.get((namespace, name))

    def all(self) -> Collection[R]:
        """Every record: a live view, to be read before the next await."""
        return self._table.records.values()

    def select(self, index: str, value: str) -> Collection[R]:
        """The records an index holds under a value: a live view, to be read before the next await."""
        return self._table.bucket(index, value).values()

    def values(self, index: str) -> Collection[str]:
        """The values an index knows, such as all namespaces that hold a pod: a live view."""
        return self._table.values(index)

    def put(self, record: R) -> None:
        """Adds or replaces one record."""
        old = self._table.put(record)
        self._changed(old, record)

    def discard(self, record: R) -> None:
        """Takes the record of that name out, if it is there."""
        self.drop(self._key_of(record))

    def drop(self, key: Key) -> None:
        """Takes the record of that key out, if it is there."""
        old = self._table.discard(key)
        if old is not None:
            self._changed(old, None)

    def stage(self) -> "Staged[R]":
        """Starts a relist beside what is served meanwhile."""
        return Staged(self, Table(self._key_of, self._terms))

    def replace(self, table: Table[R]) -> None:
        """Makes a table the current one, at once; what it does not hold is gone. Listeners hear each difference."""
        before, self._table = self._table.records, table
        self.generation += 1
        if not self._listeners:
            return
        for key, old in before.items():
            if key not in table.records:
                self._tell(old, None)
        for key, new in table.records.items():
            if (known := before.get(key)) is not new:
                self._tell(known, new)

    def listen(self, listener: Listener[R]) -> Callable[[], None]:
        """Calls the listener (quick, never raising) after each change, until the returned function is called."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def _changed(self, old: R | None, new: R | None) -> None:
        self.generation += 1
        if self._listeners:
            self._tell(old, new)

    def _tell(self, old: R | None, new: R | None) -> None:
        for listener in tuple(self._listeners):
            listener(old, new)


class Staged(Generic[R]):
    """A relist in the making. Records that did not change stay the same objects, so that a relist costs no memory."""

    def __init__(self, store: Store[R], table: Table[R]) -> None:
        self._store = store
        self._table = table
        self._known = store._table.records  # noqa: SLF001 - the other half of the same class

    def add(self, records: Collection[R]) -> None:
        """Adds one page."""
        for record in records:
            known = self._known.get(self._table._key_of(record))  # noqa: SLF001 - as above
            same = known is not None and known.resource_version == record.resource_version and known.uid == record.uid
            self._table.put(known if known is not None and same else record)

    def commit(self) -> None:
        """Makes the relist the store's content."""
        self._store.replace(self._table)


def build_pod_store() -> Store[Pod]:
    """Pods, found by namespace and by node."""
    return Store(
        lambda pod: (pod.namespace, pod.name),
        {"namespace": lambda pod: pod.namespace, "node": lambda pod: pod.node_name},
    )


def build_node_store() -> Store[Node]:
    """Nodes."""
    return Store(lambda node: ("", node.name), {})


def build_namespace_store() -> Store[Namespace]:
    """Namespaces."""
    return Store(lambda namespace: ("", namespace.name), {})


class Stores:
    """All that is kept of one member."""

    def __init__(self) -> None:
        self.pods = build_pod_store()
        self.nodes = build_node_store()
        self.namespaces = build_namespace_store()
