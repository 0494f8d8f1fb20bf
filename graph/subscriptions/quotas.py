"""What one user may have of what all share: nobody can follow so much that nothing is left for others."""

import orjson
from msgspec import Struct

from graph.operation import Operation


class QuotaOptions(Struct, frozen=True):
    """Bounds of one user, over all connections. `requests` are bytes of texts and variables, `held` of objects."""

    operations: int = 2_500
    questions: int = 500
    requests: int = 16 << 20
    held: int = 128 << 20


class Budget:
    """Bytes that channels together may hold of rendered objects; what is taken here is taken of the `whole`, too."""

    def __init__(self, most: int, whole: "Budget | None" = None) -> None:
        self.most = most
        self.held = 0
        self._whole = whole

    def take(self, count: int) -> None:
        """Takes or, with a negative count, gives back. Raises BudgetSpent where there is not so much."""
        if count > 0 and self.held + count > self.most:
            raise BudgetSpent
        if self._whole is not None:
            self._whole.take(count)
        self.held += count


class BudgetSpent(Exception):
    """What is followed is more than this server can hold, or than one user may have of it."""


class QuotaSpent(Exception):
    """The user has as much as one may; the message says of what."""


class UserQuota:
    """What one user has now."""

    def __init__(self, user: str, most: QuotaOptions, whole: Budget) -> None:
        self.user = user
        self.held = Budget(min(most.held, whole.most), whole)
        self._most = most
        self._operations = 0
        self._questions = 0
        self._requests = 0

    @property
    def unused(self) -> bool:
        return not self._operations and not self._questions

    def begin(self, size: int) -> None:
        """An operation of so many bytes. Raises QuotaSpent."""
        if self._operations >= self._most.operations:
            raise QuotaSpent(f"a user has {self._most.operations:,} operations at once at most: complete one first")
        if self._requests + size > self._most.requests:
            raise QuotaSpent(
                f"the texts and variables of a user's operations have {self._most.requests:,} bytes together at most: "
                "complete one first, or filter by a selector and not by names"
            )
        self._operations += 1
        self._requests += size

    def end(self, size: int) -> None:
        self._operations -= 1
        self._requests -= size

    def open_question(self) -> None:
        """Something that nobody follows yet, or a log. Raises QuotaSpent."""
        if self._questions >= self._most.questions:
            raise QuotaSpent(
                f"a user follows {self._most.questions:,} different questions at once at most: complete one first, or "
                "ask the same in the same words"
            )
        self._questions += 1

    def close_question(self) -> None:
        self._questions -= 1


def measure(operation: Operation) -> int:
    """Bytes of the text and of the variables, about. Raises TypeError for variables that are nested too deeply."""
    return len(operation.query) + len(orjson.dumps(operation.variables))
