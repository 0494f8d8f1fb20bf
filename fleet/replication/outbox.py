"""What waits to be published of a member: of each subject the newest, so it is bounded as what is published is."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from fleet.model.kinds import ResourceName

Content = tuple[ResourceName, Any] | bytes
"""A record and its kind, encoded when it is sent; or a body, which is empty for what is gone."""

TOMBSTONE = b""


class Outbox:
    """In the order of the first change that waits. `on_put` is called (quick, never raising) after each."""

    def __init__(self, on_put: Callable[[], None]) -> None:
        self._waiting: OrderedDict[str, Content] = OrderedDict()
        self._on_put = on_put

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, subject: str, content: Content) -> None:
        """This in the place of what waits under the subject."""
        self._waiting[subject] = content
        self._on_put()

    def discard(self, subject: str) -> None:
        self._waiting.pop(subject, None)

    def take(self) -> tuple[str, Content]:
        """The first. Raises KeyError where nothing waits."""
        return self._waiting.popitem(last=False)

    def give_back(self, contents: dict[str, Content]) -> None:
        """What was taken and not published, where nothing newer waits. It keeps its order, and comes first."""
        for subject, content in reversed(contents.items()):
            if subject not in self._waiting:
                self._waiting[subject] = content
                self._waiting.move_to_end(subject, last=False)
