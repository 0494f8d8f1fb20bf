"""What operations take and what comes of them, by their names, for as long as the process lives."""

import time
from collections import Counter
from collections.abc import Iterable

from strawberry.types.execution import ExecutionResult, PreExecutionError

from fleet.aio.counts import Durations
from fleet.aio.lru import Lru
from fleet.aio.request_context import current_request
from graph.errors import Code

MOST_NAMES = 50
"""Names that are told apart: a client has some dozens, and whoever invents names costs no memory."""

OFTEN = 10
"""Operations of a name before it is told apart."""

IDLE_SECONDS = 3600.0
"""A name that nobody asked by for so long gives its place to one that is asked."""

LONGEST_NAME = 64
"""Characters; a longer name is counted among the others."""

OTHER = "other"
ANONYMOUS = "anonymous"

OUTCOMES = ("ok", "partial", "refused", "too_dear", "failed")
"""All well; something of it is missing; not begun; not begun, since it would cost too much; this server's own fault."""


class Names:
    """Which names have a place of their own: those that are asked often, as long as there are places."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._asked_at: dict[str, float] = {}
        self._candidates: Lru[str, int] = Lru(10 * most)

    def find(self, name: str | None, now: float) -> tuple[str, str | None]:
        """What the operation counts as, and the name that lost its place to it."""
        if not name:
            return ANONYMOUS, None
        if len(name) > LONGEST_NAME:
            return OTHER, None
        if name in self._asked_at:
            self._asked_at[name] = now
            return name, None
        times = (self._candidates.get(name) or 0) + 1
        self._candidates.put(name, times)
        if times < OFTEN:
            return OTHER, None
        gone = None
        if len(self._asked_at) >= self._most:
            gone = min(self._asked_at, key=self._asked_at.__getitem__)
            if now - self._asked_at[gone] < IDLE_SECONDS:
                return OTHER, None
            del self._asked_at[gone]
        self._candidates.discard(name)
        self._asked_at[name] = now
        return name, gone


class Operations:
    """`durations` of execution and `outcomes` by name; `cost` is what all were estimated at, in units."""

    def __init__(self, names: Names | None = None) -> None:
        self.durations: dict[str, Durations] = {}
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.cost = 0
        self._names = names or Names()

    def note(self, outcome: str, begun: float, name: str | None, cost: int | None) -> None:
        """One that began at a time of `time.perf_counter`."""
        now = time.perf_counter()
        counted, gone = self._names.find(name, now)
        if gone is not None:
            self.durations.pop(gone, None)
            self._forget(key for key in self.outcomes if key[0] == gone)
        found = self.durations.get(counted)
        if found is None:
            found = self.durations[counted] = Durations()
        found.note(now - begun)
        self.outcomes[counted, outcome] += 1
        self.cost += cost or 0

    def _forget(self, keys: Iterable[tuple[str, str]]) -> None:
        for key in list(keys):
            del self.outcomes[key]


OPERATIONS = Operations()
"""Those of this process, whichever way they came."""


def note_result(result: ExecutionResult | PreExecutionError, begun: float) -> None:
    """An operation of the current request."""
    _note(outcome_of(result), begun)


def note_refused(status: int, begun: float) -> None:
    """One that was answered with this status in the place of a result."""
    _note("failed" if status >= 500 else "refused", begun)


def _note(outcome: str, begun: float) -> None:
    request = current_request()
    name, cost = (None, None) if request is None else (request.operation, request.cost)
    OPERATIONS.note(outcome, begun, name, cost)


def outcome_of(result: ExecutionResult | PreExecutionError) -> str:
    """One of OUTCOMES."""
    if not result.errors:
        return "ok"
    codes = {(error.extensions or {}).get("code") for error in result.errors}
    if Code.INTERNAL in codes:
        return "failed"
    if result.data is not None:
        return "partial"
    return "too_dear" if Code.COST_EXCEEDED in codes else "refused"
