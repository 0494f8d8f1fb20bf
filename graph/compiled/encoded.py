"""Encoded objects of one selection, kept by the model they were read from.

Models are frozen: a change makes another model, so what was encoded once holds for as long as the model is the same
object. An entry holds its model, so its identity can't be taken by another one meanwhile.
"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from graph.compiled.leaves import Bailout
from graph.loading.timeslice import TimeSlice
from graph.types.views import Views

MAX_BYTES = 64 << 20
"""Bytes of answers that all selections together keep."""

AT_ONCE = 250
"""Objects that are encoded at a stretch: two milliseconds' worth."""

_ENTRY = 200
"""What an entry takes beside its text: the dictionary's slot, a tuple and the two heads of objects."""


class EncodedBudget:
    """Bytes kept by all selections; who would pass the limit lets everything go."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._used = 0
        self._holders: set[EncodedItems] = set()

    def take(self, holder: "EncodedItems", size: int) -> None:
        """Counts what a holder is about to keep."""
        if self._used + size > self._limit:
            for other in self._holders:
                other.clear()
            self._holders.clear()
            self._used = 0
        self._holders.add(holder)
        self._used += size

    def give(self, size: int) -> None:
        """Counts what a holder let go."""
        self._used = max(0, self._used - size)


class EncodedItems:
    """One selection's encoded objects, and the whole list that was asked for last."""

    __slots__ = ("_budget", "_entries", "_last")

    def __init__(self, budget: EncodedBudget) -> None:
        self._budget = budget
        self._entries: dict[int, tuple[Any, bytes]] = {}
        self._last: tuple[Sequence[Any], bytes] | None = None

    def clear(self) -> None:
        self._entries, self._last = {}, None

    def find(self, models: Sequence[Any]) -> bytes | None:
        """The models' list as JSON, None where some of them have to be added first."""
        if self._last is not None and self._last[0] == models:  # quick: the same objects are not looked into
            return self._last[1]
        entries = self._entries
        try:
            text = b"[" + b",".join([entries[id(model)][1] for model in models]) + b"]"
        except KeyError:
            return None
        if self._last is not None:
            self._budget.give(len(self._last[1]))
        self._budget.take(self, len(text))
        self._last = (models, text)
        return text

    def find_missing(self, models: Sequence[Any]) -> list[Any]:
        """Those of the models that are not encoded yet."""
        return [model for model in models if id(model) not in self._entries]

    def add(self, models: Sequence[Any], read: Callable[[Any], dict[str, Any]]) -> None:
        """Encodes models. Raises whatever `read` raises for one that core has to look at."""
        texts = [orjson.dumps(read(model)) for model in models]
        self._budget.take(self, sum(map(len, texts)) + _ENTRY * len(texts))
        self._entries.update((id(model), (model, text)) for model, text in zip(models, texts, strict=True))


class LongList(Bailout):
    """More objects have to be encoded than should be at a stretch."""


class ListEncoder:
    """Makes lists of views, all of one selection, a piece of text in the answer."""

    __slots__ = ("_items", "_read")

    def __init__(self, read: Callable[[Any], dict[str, Any]], budget: EncodedBudget) -> None:
        self._read = read
        self._items = EncodedItems(budget)

    def __call__(self, views: Views[Any, Any]) -> orjson.Fragment:
        """The list's text. Raises LongList, and whatever reading raises for an object that core has to see."""
        models = views.source
        text = self._items.find(models)
        if text is None:
            missing = self._items.find_missing(models)
            if len(missing) > AT_ONCE:
                raise LongList
            text = self._add(views, missing)
        return orjson.Fragment(text)

    async def encode_in_slices(self, views: Views[Any, Any], time_slice: TimeSlice) -> orjson.Fragment:
        """The text of a list of any length. Raises what reading raises for an object that core has to see."""
        missing = self._items.find_missing(views.source)
        for start in range(0, len(missing), AT_ONCE):
            if time_slice.is_over():
                await time_slice.begin_next()
            self._items.add(missing[start : start + AT_ONCE], self._reading(views))
        text = self._items.find(views.source)
        if text is None:  # the budget let some of them go meanwhile
            text = self._add(views, self._items.find_missing(views.source))
        return orjson.Fragment(text)

    def _add(self, views: Views[Any, Any], missing: Sequence[Any]) -> bytes:
        self._items.add(missing, self._reading(views))
        text = self._items.find(views.source)
        if text is None:  # it is more than the budget can hold together
            read = self._reading(views)
            text = orjson.dumps([read(model) for model in views.source])
        return text

    def _reading(self, views: Views[Any, Any]) -> Callable[[Any], dict[str, Any]]:
        build, read = views.build, self._read
        return lambda model: read(build(model))
