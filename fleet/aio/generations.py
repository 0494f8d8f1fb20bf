"""Numbers for changes: whoever keeps what was made of many things sees in one look that none of them changed."""


class GenerationCounter:
    """Counts the changes of all things of a kind in the process. Each takes the number of its own last change."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        self.last += 1
        return self.last
