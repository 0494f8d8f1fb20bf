"""What a replica has heard of the bucket of leases: who lives, and who holds which member."""

import asyncio
from math import inf

from msgspec import Struct

from fleet.replication import records


class Entry(Struct, frozen=True):
    """What was heard last of a key, and when; its replica is empty where the lease was given back."""

    replica: str
    revision: int
    at: float
    form: int
    """The newest that the replica reads, where the key is its own."""


class Heard:
    """Since `revision` as it happened; what was there before was heard at once. `changed` is set by what may matter."""

    def __init__(self, presence: str) -> None:
        self.entries: dict[str, Entry] = {}
        self.revision = 0
        self.settled_at = inf
        """From then on nobody is alive, or holds a lease, who has not said so here."""
        self.changed = asyncio.Event()
        self._presence = presence

    def note(self, key: str, value: bytes, revision: int) -> None:
        form, text = records.NEWEST, value.decode()
        if text and key.startswith("replica."):
            first, _, text = text.partition(" ")
            form = int(first)
        self.entries[key] = Entry(text, revision, _now(), form)
        if not value or key == self._presence:
            self.changed.set()

    def find_holder(self, key: str, seconds: float) -> str | None:
        """Who holds a lease, which lasts so many seconds from when it was renewed."""
        entry = self.entries.get(key)
        return entry.replica or None if entry is not None and _now() - entry.at < seconds else None

    def find_marker(self, key: str) -> int:
        """The revision of what says that a lease was given back; 0 for none."""
        entry = self.entries.get(key)
        return entry.revision if entry is not None and not entry.replica else 0

    def free_at(self, key: str, seconds: float) -> float:
        """Since when nobody holds a lease."""
        entry = self.entries.get(key)
        if entry is None:
            return self.settled_at
        if entry.replica:
            return max(entry.at + seconds, self.settled_at)
        return entry.at if entry.revision > self.revision else self.settled_at

    def list_living(self, seconds: float) -> dict[str, int]:
        """The replicas that live, and the newest form that each reads."""
        keys = [key for key in self.entries if key.startswith("replica.") and self.find_holder(key, seconds)]
        return {self.entries[key].replica: self.entries[key].form for key in keys}

    def own(self) -> Entry:
        """What was heard last of this replica itself."""
        return self.entries.get(self._presence) or Entry("", -1, -inf, 0)


def _now() -> float:
    return asyncio.get_running_loop().time()
