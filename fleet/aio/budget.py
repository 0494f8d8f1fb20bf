"""Bytes that are read and not worked on yet: how many may be held at once, by one source and by all."""

import threading
from types import TracebackType
from typing import Self


class BudgetSpent(Exception):
    """As many bytes are held as may be."""


class ByteBudget:
    """At most `most` bytes at once; also counted in `whole`, of whose bound the first `free` bytes are exempt.

    So what one source holds leaves the others what they need. To be used from any thread.
    """

    def __init__(self, most: int, whole: "ByteBudget | None" = None, *, free: int = 0) -> None:
        self.most = most
        self.held = 0
        self._whole = whole
        self._free = free
        self._lock = threading.Lock()

    def share(self) -> "Share":
        """One answer's part, to be left when it was worked on."""
        return Share(self)

    def take(self, count: int) -> None:
        """Raises BudgetSpent where there is not so much, and takes nothing then."""
        with self._lock:
            if self.held + count > self.most:
                raise BudgetSpent
            self.held += count
            exempt = self.held <= self._free
        if self._whole is not None:
            try:
                self._whole.add(count, exempt=exempt)
            except BudgetSpent:
                with self._lock:
                    self.held -= count
                raise

    def add(self, count: int, *, exempt: bool) -> None:
        """Counts what a part of it took. Raises BudgetSpent."""
        with self._lock:
            if not exempt and self.held + count > self.most:
                raise BudgetSpent
            self.held += count

    def give_back(self, count: int) -> None:
        with self._lock:
            self.held -= count
        if self._whole is not None:
            self._whole.give_back(count)


class Share:
    """What one answer holds."""

    __slots__ = ("_budget", "_held")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self._held = 0

    def take(self, count: int) -> None:
        """Raises BudgetSpent."""
        self._budget.take(count)
        self._held += count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._budget.give_back(self._held)
