"""What a text is looked for in, how well a value matches it, and what was found."""

import enum
import re
from collections.abc import Sequence
from functools import cache

from msgspec import Struct

from fleet.model.errors import InvalidQuery
from fleet.model.objects import Cluster, Namespace, Node, Outcome, Pod
from fleet.model.workloads import Workload

MAX_TEXT = 256
MAX_HITS = 100
DEFAULT_HITS = 20

RANKS = range(4)
"""How well a value matches, the best first: it is the text, begins with it, has a word that does, has it inside."""


class SearchKind(enum.Enum):
    """The kinds that are searched; of equal matches those of earlier ones come first."""

    CLUSTER = "CLUSTER"
    NAMESPACE = "NAMESPACE"
    NODE = "NODE"
    WORKLOAD = "WORKLOAD"
    POD = "POD"


class SearchField(enum.Enum):
    """What of an object is searched; of equal matches the earlier one is told."""

    NAME = "NAME"
    NAMESPACE = "NAMESPACE"
    NODE = "NODE"
    LABEL = "LABEL"
    ADDRESS = "ADDRESS"
    IMAGE = "IMAGE"


Found = Cluster | Namespace | Node | Workload | Pod


class Hit(Struct, frozen=True):
    """An object, and the value of it that matches best."""

    kind: SearchKind
    entry: Found
    field: SearchField
    value: str

    @property
    def cluster(self) -> str:
        return self.entry.name if isinstance(self.entry, Cluster) else self.entry.cluster

    @property
    def namespace(self) -> str | None:
        return self.entry.namespace if isinstance(self.entry, Pod | Workload) else None


class SearchResult(Struct, frozen=True):
    """The first hits, whether there are more, and how each cluster took part."""

    hits: Sequence[Hit]
    has_more: bool
    outcomes: Sequence[Outcome]


class SearchText:
    """A text to be found, in whatever case. Raises InvalidQuery."""

    def __init__(self, text: str) -> None:
        self.text = text.strip().lower()
        if not self.text or len(text) > MAX_TEXT:
            raise InvalidQuery(f"a search needs a `text` of 1 to {MAX_TEXT} characters, not of {len(self.text)}")
        self.find_word = re.compile(rf"(?<![^\W_]){re.escape(self.text)}").search
        # What clusters have in common is looked at once.
        self.rank = cache(self._rank)
        self.rank_label = cache(self._rank_label)
        self.rank_images = cache(self._rank_images)

    @property
    def may_be_address(self) -> bool:
        """Whether it is worth looking for among addresses: a part of one with a separator in it."""
        return re.fullmatch(r"[0-9a-f]*[.:][0-9a-f.:]*", self.text) is not None

    def _rank(self, value: str) -> int | None:
        """One of `RANKS`; None where the value does not have the text."""
        value = value.lower()
        if self.text not in value:
            return None
        if value.startswith(self.text):
            return 0 if value == self.text else 1
        return 2 if self.find_word(value) else 3

    def _rank_label(self, pair: tuple[str, str]) -> int | None:
        """Of a label's value, of its key where that is all it says, of both where the text has them."""
        key, value = pair
        return self._rank(f"{key}={value}" if "=" in self.text else value or key)

    def _rank_images(self, images: tuple[str, ...]) -> tuple[int, str] | None:
        """The best one's rank, and itself; None where none has the text."""
        ranked = [(found, image) for image in images if (found := self._rank(image)) is not None]
        return min(ranked) if ranked else None
