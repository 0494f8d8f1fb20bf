"""The lease of one member, as this replica has it or wants it."""

import asyncio

from fleet.replication.subjects import token


class Lease:
    """Of one member. Who waited for `taken` writes it until `ends`, and then gives it back."""

    def __init__(self, member: str) -> None:
        self.member = member
        self.key = f"member.{token(member)}"
        self.taken = asyncio.Event()
        self.ends = asyncio.Event()
        self.revision: int | None = None
        self.renewed_at = self.not_before = self.kept_until = float("-inf")
        self.lock = asyncio.Lock()

    @property
    def is_held(self) -> bool:
        """Whether it is ours, as far as is known: the stream's fence is what counts."""
        return self.revision is not None

    def take(self, revision: int, at: float) -> None:
        self.revision, self.renewed_at = revision, at
        self.taken.set()

    def lose(self) -> None:
        """Somebody else has it."""
        self.revision = None
        self.ends.set()

    def reset(self) -> None:
        self.revision = None
        self.taken.clear()
        self.ends.clear()
