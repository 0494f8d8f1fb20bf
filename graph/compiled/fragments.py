"""Encoded objects of one selection, kept by the model they were read from.

Models are frozen: a change makes another model, so what was encoded once holds for as long as the model is the same
object. An entry holds its model, so its identity can't be taken by another one meanwhile.
"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from graph.types.window import Windows

MAX_BYTES = 64 << 20
"""Bytes of answers that all selections together keep."""

_ENTRY = 200
"""What an entry takes beside its text: the dictionary's slot, a tuple and the two heads of objects."""


class Budget:
    """Bytes kept by all selections; who would pass the limit lets everything go."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._used = 0
        self._holders: set[Fragments] = set()

    def take(self, holder: "Fragments", size: int) -> None:
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


class Fragments:
    """One selection's encoded objects, and the whole list that was asked for last."""

    __slots__ = ("entries", "last")

    def __init__(self) -> None:
        self.entries: dict[int, tuple[Any, bytes]] = {}
        self.last: tuple[Sequence[Any], bytes] | None = None

    def clear(self) -> None:
        """Lets all of them go."""
        self.entries, self.last = {}, None

    def encode(self, models: Sequence[Any], read: Callable[[Any], dict[str, Any]], budget: Budget) -> bytes:
        """The models' list as JSON. Raises whatever `read` raises for a model that core has to look at."""
        if self.last is not None and self.last[0] == models:  # quick: the same objects are not looked into
            return self.last[1]
        text = self._join(models, read, budget)
        if self.last is not None:
            budget.give(len(self.last[1]))
        budget.take(self, len(text))
        self.last = (models, text)
        return text

    def _join(self, models: Sequence[Any], read: Callable[[Any], dict[str, Any]], budget: Budget) -> bytes:
        entries = self.entries
        try:
            return b"[" + b",".join([entries[id(model)][1] for model in models]) + b"]"
        except KeyError:
            pass
        missing = [model for model in models if id(model) not in entries]
        texts = [orjson.dumps(read(model)) for model in missing]
        budget.take(self, sum(map(len, texts)) + _ENTRY * len(texts))
        fresh = {id(model): (model, text) for model, text in zip(missing, texts, strict=True)}
        known = self.entries  # the budget may have let the old ones go
        known.update(fresh)
        if known is not entries:
            entries = {**entries, **fresh}
        return b"[" + b",".join([entries[id(model)][1] for model in models]) + b"]"


class TextList:
    """Makes lists of windows, all of one selection, a piece of text in the answer."""

    __slots__ = ("_budget", "_fragments", "_read")

    def __init__(self, read: Callable[[Any], dict[str, Any]], budget: Budget) -> None:
        self._read = read
        self._budget = budget
        self._fragments = Fragments()

    def __call__(self, windows: Windows[Any, Any]) -> orjson.Fragment:
        """The list's text. Raises whatever reading raises for an object that core has to look at."""
        build, read = windows.build, self._read
        return orjson.Fragment(self._fragments.encode(windows.models, lambda model: read(build(model)), self._budget))
