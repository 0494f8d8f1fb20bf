"""Lists of views as JSON, and the texts of their objects, kept by the models that they were read from.

Models are frozen: a change makes another model, so what was encoded once holds for as long as the model is the same
object, and as its stamps are: what its stamped fields show beside it. An entry holds its model, so its identity can't
be taken by another one meanwhile. A list that is asked for the first time is encoded and not kept: most texts are asked
once.
"""

import weakref
from collections.abc import Iterable, Sequence
from itertools import repeat
from sys import getrefcount, getsizeof
from typing import Any

import orjson
from msgspec import Struct

from graph.compiled.leaves import Bailout
from graph.compiled.rows import BatchedField, Chunk, RowReader, Stamped, encode
from graph.loading.timeslice import TimeSlice
from graph.types.views import Views

MAX_BYTES = 64 << 20
"""Bytes of memory that the texts of all selections take together."""

AT_ONCE = 500
"""Objects that are encoded at a stretch: one to two milliseconds' worth."""

_ENTRY = 240
"""What an entry takes beside its text: a tuple, an int, its part of a dictionary that has grown."""

_STAMP = 200
"""What a stamp takes: its place in a tuple, and a usage that may be no newest one any more."""

_DEAD_REFERENCES = 2
"""Of a model that an entry alone holds: the entry's own, and that of the question."""


class EncodedBudget:
    """Bytes kept by all selections; who would pass the limit lets everything go."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self.used = 0
        self._holders: weakref.WeakSet[EncodedItems] = weakref.WeakSet()

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


class Stamps(Struct, frozen=True, eq=False):
    """One stamped field's column for one list: a stamp for each model.

    Those of a shared field are texts, found by key: `models` has one that has the key, `texts` what it shows.
    """

    column: Sequence[Any]
    models: dict[Any, Any] | None = None
    texts: dict[Any, bytes] | None = None

    def cut(self, part: slice) -> "Stamps":
        """Those of a part of the list."""
        return Stamps(self.column[part], self.models, self.texts)


class WholeList(Struct, frozen=True):
    """A list that was asked for, and its JSON."""

    models: Sequence[Any]
    stamps: list[Stamps]
    text: bytes

    @property
    def size(self) -> int:
        return getsizeof(self.text) + getsizeof(self.models) * (1 + len(self.stamps))


class EncodedItems:
    """One selection's encoded objects, and the whole list that was asked for last."""

    __slots__ = ("__weakref__", "_budget", "_entries", "_entry", "_sweep_at", "_taken", "last")

    def __init__(self, budget: EncodedBudget, stamped: int) -> None:
        self._budget = budget
        self._entry = _ENTRY + _STAMP * stamped
        self._entries: dict[int, tuple[Any, bytes, Any]] = {}
        self._sweep_at = 2 * AT_ONCE
        self._taken = 0
        self.last: WholeList | None = None

    def __del__(self) -> None:
        self._budget.give(self._taken)

    def clear(self) -> None:
        self._entries, self.last, self._taken = {}, None, 0

    def _take(self, size: int) -> None:
        if size > 0:
            self._budget.take(self, size)
        else:
            self._budget.give(-size)
        self._taken += size

    def find(self, models: Sequence[Any], stamps: Sequence[Stamps]) -> list[bytes] | None:
        """The models' texts, None where some of them have to be added first."""
        entries = self._entries
        try:
            if not stamps:
                return [entries[id(model)][1] for model in models]
            texts = [
                entry[1]
                for model, stamp in zip(models, _join(stamps), strict=True)
                if (entry := entries[id(model)])[2] == stamp
            ]
        except KeyError:
            return None
        return texts if len(texts) == len(models) else None

    def keep(self, whole: "WholeList") -> bytes:
        """The list's text, kept until another list is asked for."""
        self._take(whole.size - (self.last.size if self.last is not None else 0))
        self.last = whole
        return whole.text

    def find_missing(self, models: Sequence[Any], stamps: Sequence[Stamps]) -> list[int]:
        """The places of the models that are not encoded yet, or with other stamps."""
        entries, absent = self._entries, (None, None, None)
        return [
            place
            for place, (model, stamp) in enumerate(zip(models, _join(stamps), strict=False))
            if (entry := entries.get(id(model), absent))[0] is not model or entry[2] != stamp
        ]

    def add(self, models: Sequence[Any], stamps: Iterable[Any], texts: Sequence[bytes]) -> None:
        self._take(sum(map(len, texts)) + self._entry * len(texts))
        for model, stamp, text in zip(models, stamps, texts, strict=False):
            if (old := self._entries.get(id(model))) is not None:
                self._take(-len(old[1]) - self._entry)
            self._entries[id(model)] = (model, text, stamp)
        if len(self._entries) > self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Lets go of models that nobody else has any more: objects that changed or went away."""
        dead = [key for key, entry in self._entries.items() if getrefcount(entry[0]) <= _DEAD_REFERENCES]
        self._take(-sum(len(self._entries.pop(key)[1]) + self._entry for key in dead))
        self._sweep_at = 2 * max(AT_ONCE, len(self._entries))


class LongList(Bailout):
    """More objects have to be encoded than should be at a stretch."""


class ListEncoder:
    """Makes lists of views, all of one selection, a piece of text in the answer."""

    __slots__ = ("_asked", "_items", "_rows")

    def __init__(self, rows: RowReader, budget: EncodedBudget) -> None:
        self._rows = rows
        self._items = EncodedItems(budget, len(rows.stamped))
        self._asked = False

    def __call__(self, run: Any, views: Views[Any, Any]) -> orjson.Fragment:
        """The list's text. Raises LongList, and whatever reading raises for an object that core has to see."""
        models, last = views.source, self._items.last
        if len(models) > AT_ONCE and (last is None or last.models != models):
            raise LongList
        stamps = self._find_stamps(run, views)
        if last is not None and last.models == models and last.stamps == stamps:
            return orjson.Fragment(last.text)  # quick: the same objects are not looked into
        if len(models) > AT_ONCE:
            raise LongList
        return self._finish(views, stamps, self._encode(run, views, stamps))

    async def encode_in_slices(self, run: Any, views: Views[Any, Any], time_slice: TimeSlice) -> orjson.Fragment:
        """The text of a list of any length. Raises what reading raises for an object that core has to see."""
        if time_slice.is_over():
            await time_slice.begin_next()
        stamps = self._find_stamps(run, views)
        texts: list[bytes] = []
        for start in range(0, len(views.source), AT_ONCE):
            if time_slice.is_over():
                await time_slice.begin_next()
            part = slice(start, start + AT_ONCE)
            texts += self._encode(run, Views(views.build, views.source[part]), [each.cut(part) for each in stamps])
        if time_slice.is_over():
            await time_slice.begin_next()
        return self._finish(views, stamps, texts)

    def _finish(self, views: Views[Any, Any], stamps: list[Stamps], texts: Sequence[bytes]) -> orjson.Fragment:
        text = b"[" + b",".join(texts) + b"]"
        if self._asked:
            self._items.keep(WholeList(views.source, stamps, text))
        self._asked = True
        return orjson.Fragment(text)

    def _encode(self, run: Any, views: Views[Any, Any], stamps: Sequence[Stamps]) -> Sequence[bytes]:
        """The texts of the objects, or that of all of them where the list is asked for the first time."""
        models, items = views.source, self._items
        if not models:
            return ()
        found: Sequence[bytes] | None = None
        if self._asked and (found := items.find(models, stamps)) is None:
            self._add(run, views, items.find_missing(models, stamps), stamps)
            found = items.find(models, stamps)  # none again where it is more than the budget can hold together
        if found is None:
            found = (self._rows.write(Chunk(run, models, views.build), [each.column for each in stamps]),)
        return found

    def _add(self, run: Any, views: Views[Any, Any], places: Sequence[int], stamps: Sequence[Stamps]) -> None:
        models = [views.source[place] for place in places]
        columns = [[each.column[place] for place in places] for each in stamps]
        lines = self._rows.write_lines(Chunk(run, models, views.build), columns)
        self._items.add(models, _join([Stamps(column) for column in columns]), lines)

    def _find_stamps(self, run: Any, views: Views[Any, Any]) -> list[Stamps]:
        """A column for each stamped field: that of the list that was asked last, where it is the same."""
        fields, last = self._rows.stamped, self._items.last
        if not fields:
            return []
        same = last.stamps if last is not None and last.models == views.source else repeat(None)
        return [_find_column(run, views, field, before) for field, before in zip(fields, same, strict=False)]


def _find_column(run: Any, views: Views[Any, Any], field: Stamped, before: Stamps | None) -> Stamps:
    models = views.source
    if isinstance(field, BatchedField):
        column = field.batched.load(run.context_value, models)
        return before if before is not None and before.column == column else Stamps(column)
    first = before.models if before is not None else None
    keys = None
    if first is None:
        keys = list(map(field.key_of, models))
        first = dict(zip(keys, models, strict=True))
    texts = {key: encode(field(run, views.build(model))) for key, model in first.items()}
    if before is not None and before.texts == texts:
        return before
    return Stamps(list(map(texts.__getitem__, keys or map(field.key_of, models))), first, texts)


def _join(stamps: Sequence[Stamps]) -> Iterable[Any]:
    """The stamps of each object: a field's own where one has any, else those of all of them."""
    if not stamps:
        return repeat(None)
    return stamps[0].column if len(stamps) == 1 else zip(*(each.column for each in stamps), strict=True)
