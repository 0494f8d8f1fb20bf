"""Records in the order of their keys, put into order when somebody reads them."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Generic, TypeVar

R = TypeVar("R")

StoreKey = tuple[str, str]
"""Namespace and name; the namespace of what has none is empty."""

_MOST_ONE_BY_ONE = 64
_MOST_LATE = 1024


class Rows(Generic[R]):
    """The order of a table's records. Each change of `records` is noted here after it was made."""

    __slots__ = ("_keys", "_late", "_records", "_rows", "_snapshot")

    def __init__(self, records: Mapping[StoreKey, R]) -> None:
        self._records = records
        self._keys: list[StoreKey] = []
        self._rows: list[R] = []
        self._late: set[StoreKey] | None = set()  # keys whose place may be wrong; None for any
        self._snapshot: tuple[R, ...] | None = None

    def note(self, key: StoreKey, record: R, *, new: bool) -> None:
        """A record is there, `new` or in the place of the one that had its key."""
        self._snapshot = None
        if self._late is None:
            return
        if new and not self._late and (not self._keys or self._keys[-1] < key):
            self._keys.append(key)
            self._rows.append(record)
        else:
            self._add_late(key)

    def note_gone(self, key: StoreKey) -> None:
        self._snapshot = None
        if self._late is not None:
            self._add_late(key)

    def _add_late(self, key: StoreKey) -> None:
        late = self._late
        if late is None:
            return
        late.add(key)
        if len(late) > _MOST_LATE + len(self._keys) // 16:
            # Nobody looks: what has a place here but is known no more must not be held on to.
            self._keys, self._rows, self._late = [], [], None

    def all(self) -> tuple[R, ...]:
        """Every record, in order; the same tuple as long as nothing changes."""
        if self._snapshot is None:
            self._put_into_order()
            self._snapshot = tuple(self._rows)
        return self._snapshot

    def _put_into_order(self) -> None:
        late = self._late
        if late is None or len(late) > _MOST_ONE_BY_ONE + len(self._keys) // 256:
            self._keys = sorted(self._records)
            self._rows = list(map(self._records.__getitem__, self._keys))
        else:
            for key in late:
                self._place(key)
        self._late = set()

    def _place(self, key: StoreKey) -> None:
        keys, rows, record = self._keys, self._rows, self._records.get(key)
        place = bisect_left(keys, key)
        known = place < len(keys) and keys[place] == key
        if record is None:
            if known:
                del keys[place], rows[place]
        elif known:
            rows[place] = record
        else:
            keys.insert(place, key)
            rows.insert(place, record)
