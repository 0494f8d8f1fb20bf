"""Questions, and the ways in which they are asked: the same again and again is only one of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import count

from bench.load import Ask
from bench.servers import Running


class Way(Enum):
    """How a question is asked, in the words of the table."""

    VARIABLES = "other variables each time"
    NEW_TEXT = "a text never asked before"
    CHURN = "at 100 changes a second"
    REMEMBERED = "remembered"
    """The same text again, and nothing has changed."""


@dataclass(frozen=True)
class Question:
    """A document whose variables have defaults.

    Where `@` stands before a leaf, a text that was never asked before has an alias. `variables` gives those of each
    time, counted from 1, so that no two times are the same.
    """

    text: str
    variables: Callable[[int], Mapping[str, object]]

    def iter_asks(self, way: Way, server: Running, url: str | None = None) -> Iterator[Ask]:
        """Requests without end to our server, or the same to an anchor at `url`."""
        for number in count(1):
            text = self.text.replace("@", f"new{number}: " if way is Way.NEW_TEXT else "")
            variables = self.variables(number) if way is Way.VARIABLES else {}
            yield server.ask_graph(text, variables, url)


def count_near(size: int, number: int) -> int:
    """The numbers around a size, nearest first, so that they are as large in the mean: 99, 101, 98, 102 for 100."""
    step = (number + 1) // 2 % size
    return size + (-step if number % 2 else step)
