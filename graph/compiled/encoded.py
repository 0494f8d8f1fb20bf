"""Lists of views as JSON, and the texts of their objects, kept by the models that they were read from.

Models are frozen: a change makes another model, so what was encoded once holds for as long as the model is the same
object, and as what its shared fields show is the same. An entry holds its model, so its identity can't be taken by
another one meanwhile. A list that is asked for the first time is encoded and not kept: most texts are asked once.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from sys import getrefcount, getsizeof
from typing import Any

import orjson
from msgspec import Struct

from graph.compiled.leaves import Bailout
from graph.compiled.rows import Chunk, RowReader, encode
from graph.loading.timeslice import TimeSlice
from graph.types.views import Views

MAX_BYTES = 64 << 20
"""Bytes of memory that the texts of all selections take together."""

AT_ONCE = 1_000
"""Objects that are encoded at a stretch: two milliseconds' worth."""

_ENTRY = 240
"""What an entry takes beside its text: a tuple, an int, its part of a dictionary that has grown."""

_DEAD_REFERENCES = 2
"""Of a model that an entry alone holds: the entry's own, and that of the question."""


class EncodedBudget:
    """Bytes kept by all selections; who would pass the limit lets everything go."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self.used = 0
        self._holders: set[EncodedItems] = set()

    def take(self, holder: "EncodedItems", size: int) -> None:
        """Counts what a holder is about to keep."""
        if self.used + size > self._limit:
            for other in self._holders:
                other.clear()
            self._holders.clear()
            self.used = 0
        self._holders.add(holder)
        self.used += size

    def give(self, size: int) -> None:
        """Counts what a holder let go."""
        self.used = max(0, self.used - size)


class Shared(Struct, frozen=True):
    """What the shared fields of one list show: for each of them, the text by its key, and a model that has the key."""

    models: tuple[dict[Any, Any], ...] = ()
    texts: tuple[dict[Any, bytes], ...] = ()


class _WholeList(Struct, frozen=True):
    models: Sequence[Any]
    shared: Shared
    text: bytes

    @property
    def size(self) -> int:
        return getsizeof(self.text) + getsizeof(self.models)


class EncodedItems:
    """One selection's encoded objects, and the whole list that was asked for last."""

    __slots__ = ("_budget", "_entries", "_sweep_at", "last")

    def __init__(self, budget: EncodedBudget) -> None:
        self._budget = budget
        self._entries: dict[int, tuple[Any, bytes, Any]] = {}
        self._sweep_at = 2 * AT_ONCE
        self.last: _WholeList | None = None

    def clear(self) -> None:
        self._entries, self.last = {}, None

    def find(self, models: Sequence[Any], shared: Shared, stamps: Sequence[Any] | None) -> bytes | None:
        """The models' list as JSON, None where some of them have to be added first."""
        entries = self._entries
        try:
            if stamps is None:
                texts = [entries[id(model)][1] for model in models]
            else:
                texts = [
                    entry[1]
                    for model, stamp in zip(models, stamps, strict=True)
                    if (entry := entries[id(model)])[2] == stamp
                ]
        except KeyError:
            return None
        if len(texts) != len(models):
            return None
        text = b"[" + b",".join(texts) + b"]"
        if self.last is not None:
            self._budget.give(self.last.size)
        whole = _WholeList(models, shared, text)
        self._budget.take(self, whole.size)
        self.last = whole
        return text

    def find_missing(self, models: Sequence[Any], stamps: Sequence[Any] | None) -> list[int]:
        """The places of the models that are not encoded yet, or with other shared fields."""
        entries, absent = self._entries, (None, None, None)
        return [
            place
            for place, (model, stamp) in enumerate(zip(models, stamps or repeat(None), strict=False))
            if (entry := entries.get(id(model), absent))[0] is not model or entry[2] != stamp
        ]

    def add(self, models: Sequence[Any], stamps: Iterable[Any], texts: Sequence[bytes]) -> None:
        self._budget.take(self, sum(map(len, texts)) + _ENTRY * len(texts))
        for model, stamp, text in zip(models, stamps, texts, strict=False):
            if (old := self._entries.get(id(model))) is not None:
                self._budget.give(len(old[1]) + _ENTRY)
            self._entries[id(model)] = (model, text, stamp)
        if len(self._entries) > self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Lets go of models that nobody else has any more: objects that changed or went away."""
        dead = [key for key, entry in self._entries.items() if getrefcount(entry[0]) <= _DEAD_REFERENCES]
        self._budget.give(sum(len(self._entries.pop(key)[1]) + _ENTRY for key in dead))
        self._sweep_at = 2 * max(AT_ONCE, len(self._entries))


class LongList(Bailout):
    """More objects have to be encoded than should be at a stretch."""


class ListEncoder:
    """Makes lists of views, all of one selection, a piece of text in the answer."""

    __slots__ = ("_asked", "_items", "_rows")

    def __init__(self, rows: RowReader, budget: EncodedBudget) -> None:
        self._rows = rows
        self._items = EncodedItems(budget)
        self._asked = False

    def __call__(self, run: Any, views: Views[Any, Any]) -> orjson.Fragment:
        """The list's text. Raises LongList, and whatever reading raises for an object that core has to see."""
        models = views.source
        if not self._asked:
            if len(models) > AT_ONCE:
                raise LongList
            text = self._write_once(run, views, models)
            self._asked = True
            return orjson.Fragment(b"[" + text + b"]")
        shared = self._share(run, views)
        last = self._items.last
        if last is not None and last.models == models and last.shared.texts == shared.texts:
            return orjson.Fragment(last.text)  # quick: the same objects are not looked into
        stamps = self._find_stamps(models, shared)
        found = self._items.find(models, shared, stamps)
        if found is None:
            missing = self._items.find_missing(models, stamps)
            if len(missing) > AT_ONCE:
                raise LongList
            self._add(run, views, shared, stamps, missing)
            found = self._items.find(models, shared, stamps)
        if found is None:  # it is more than the budget can hold together
            raise LongList
        return orjson.Fragment(found)

    async def encode_in_slices(self, run: Any, views: Views[Any, Any], time_slice: TimeSlice) -> orjson.Fragment:
        """The text of a list of any length. Raises what reading raises for an object that core has to see."""
        models = views.source
        if self._asked:
            shared = self._share(run, views)
            stamps = self._find_stamps(models, shared)
            missing = self._items.find_missing(models, stamps)
            for start in range(0, len(missing), AT_ONCE):
                if time_slice.is_over():
                    await time_slice.begin_next()
                self._add(run, views, shared, stamps, missing[start : start + AT_ONCE])
            if (found := self._items.find(models, shared, stamps)) is not None:
                return orjson.Fragment(found)
        texts = []  # the first time, and where it is more than the budget can hold together
        for start in range(0, len(models), AT_ONCE):
            if time_slice.is_over():
                await time_slice.begin_next()
            texts.append(self._write_once(run, views, models[start : start + AT_ONCE]))
        self._asked = True
        return orjson.Fragment(b"[" + b",".join(texts) + b"]")

    def _write_once(self, run: Any, views: Views[Any, Any], models: Sequence[Any]) -> bytes:
        shared = []
        for field in self._rows.shared:
            keys = list(map(field.key_of, models))
            texts = _write_texts(run, field, views.build, dict(zip(keys, models, strict=True)))
            shared.append([texts[key] for key in keys])
        return self._rows.write(Chunk(run, models, views.build), shared) if models else b""

    def _add(
        self, run: Any, views: Views[Any, Any], shared: Shared, stamps: Sequence[Any] | None, places: Sequence[int]
    ) -> None:
        models = [views.source[place] for place in places]
        texts = [
            [known[field.key_of(model)] for model in models]
            for field, known in zip(self._rows.shared, shared.texts, strict=True)
        ]
        lines = self._rows.write_lines(Chunk(run, models, views.build), texts) if models else []
        self._items.add(models, repeat(None) if stamps is None else [stamps[place] for place in places], lines)

    def _share(self, run: Any, views: Views[Any, Any]) -> Shared:
        fields, models, last = self._rows.shared, views.source, self._items.last
        if not fields:
            return Shared()
        if last is not None and last.models == models:
            firsts = last.shared.models
        else:
            firsts = tuple(dict(zip(map(field.key_of, models), models, strict=True)) for field in fields)
        return Shared(
            firsts,
            tuple(_write_texts(run, field, views.build, first) for field, first in zip(fields, firsts, strict=True)),
        )

    def _find_stamps(self, models: Sequence[Any], shared: Shared) -> Sequence[Any] | None:
        """What each object's shared fields show, None where it has none."""
        columns = [
            list(map(texts.__getitem__, map(field.key_of, models)))
            for field, texts in zip(self._rows.shared, shared.texts, strict=True)
        ]
        return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True)) if columns else None


def _write_texts(run: Any, field: Any, build: Callable[[Any], Any], models: dict[Any, Any]) -> dict[Any, bytes]:
    """The text of a shared field by its key, read from an object for each."""
    return {key: encode(field(run, build(model))) for key, model in models.items()}
