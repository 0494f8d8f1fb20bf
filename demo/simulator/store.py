"""Versioned objects of one cluster: what etcd and the watch cache are to a real API server."""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import orjson
from msgspec import Struct
from msgspec.structs import replace

from demo.simulator.kinds import Kind
from demo.simulator.sources import Source, build_document
from fleet.model.objects import Pairs

Place = tuple[str, str]
"""Namespace (empty for cluster-scoped kinds) and name; sorts as etcd's keys do."""

_KEPT_CHANGES = 5_000
_version_of = attrgetter("version")


class Entry(Struct, frozen=True, gc=False):
    """One stored object. `values` are its selectable fields, in the order of its kind's `fields`."""

    namespace: str
    name: str
    version: int
    labels: Pairs
    values: tuple[str, ...]
    source: Source

    @property
    def place(self) -> Place:
        return self.namespace, self.name

    def members(self) -> bytes:
        """The object's JSON without its type members."""
        return self.source.render(self.version)

    def load(self) -> dict[str, Any]:
        """The object as a dict, for patches; type members left out."""
        loaded: dict[str, Any] = orjson.loads(self.members())
        return loaded


class Change(Struct, frozen=True, gc=False):
    """One write. `old` is None for a create, `new` None for a delete; for a delete `last` has the version of it."""

    version: int
    kind: Kind
    old: Entry | None
    new: Entry | None

    @property
    def last(self) -> Entry:
        """The state an event of this change shows."""
        if self.new is not None:
            return self.new
        assert self.old is not None  # noqa: S101 - a change has at least one side
        return replace(self.old, version=self.version)


def build_entry(kind: Kind, members: dict[str, Any]) -> Entry:
    """An entry of a whole object; its version is given by the store."""
    metadata = members["metadata"]
    labels = tuple((metadata.get("labels") or {}).items())
    values = tuple(_field_text(members, field) for field in kind.fields)
    return Entry(metadata.get("namespace", ""), metadata["name"], 0, labels, values, build_document(members))


def _field_text(members: dict[str, Any], field: str) -> str:
    value: Any = members
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if field == "spec.unschedulable":
        return "true" if value else "false"
    return value if isinstance(value, str) else ""


class Store:
    """All objects of a cluster and their recent changes. Versions count up over all kinds, as etcd's revisions do."""

    def __init__(self, kinds: Iterable[Kind], *, first_version: int = 100_000) -> None:
        self.version = first_version
        self.compacted = first_version
        self._entries: dict[Kind, dict[Place, Entry]] = {kind: {} for kind in kinds}
        self._by_name = {(kind.group, kind.plural): kind for kind in self._entries}
        self._changes: list[Change] = []
        self._changed = asyncio.Event()

    def load(self, kind: Kind, entries: Iterable[Entry]) -> None:
        """Stores many objects as of old: they get versions and leave no changes behind."""
        stored = self._entries[kind]
        for entry in entries:
            self.version += 1
            stored[entry.place] = replace(entry, version=self.version)
        self.compacted = self.version

    def get(self, kind: Kind, place: Place) -> Entry | None:
        return self._entries[kind].get(place)

    def put(self, kind: Kind, entry: Entry) -> Entry:
        """Creates or replaces; answers the entry under its new version."""
        stored = self._entries[kind]
        old = stored.get(entry.place)
        new = replace(entry, version=self.version + 1)
        stored[entry.place] = new
        self._note(kind, old, new)
        return new

    def remove(self, kind: Kind, place: Place) -> Entry | None:
        """Deletes; answers the last state under the version of its end, or None where nothing was."""
        old = self._entries[kind].pop(place, None)
        if old is None:
            return None
        self._note(kind, old, None)
        return replace(old, version=self.version)

    def _note(self, kind: Kind, old: Entry | None, new: Entry | None) -> None:
        self.version += 1
        self._changes.append(Change(self.version, kind, old, new))
        if len(self._changes) > 2 * _KEPT_CHANGES:
            self.compacted = self._changes[_KEPT_CHANGES - 1].version
            del self._changes[:_KEPT_CHANGES]
        self.wake()

    def wake(self) -> None:
        """Lets everyone who waits look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def compact(self) -> None:
        """Forgets all changes: every version but the newest is expired from now on."""
        self._changes.clear()
        self.compacted = self.version

    def entries(self, kind: Kind) -> dict[Place, Entry]:
        """The newest state of a kind; not to be changed."""
        return self._entries[kind]

    def entries_at(self, kind: Kind, version: int) -> dict[Place, Entry]:
        """The state of a kind as it was at a version that is not compacted, by undoing what came after."""
        state = self._entries[kind]
        later = [change for change in self.changes_after(version) if change.kind is kind]
        if not later:
            return state
        state = dict(state)
        for change in reversed(later):
            if change.new is not None:
                state.pop(change.new.place, None)
            if change.old is not None:
                state[change.old.place] = change.old
        return state

    def changes_after(self, version: int) -> list[Change]:
        """All kept changes with a larger version, oldest first."""
        return self._changes[bisect_right(self._changes, version, key=_version_of) :]

    async def wait_change(self, version: int, timeout: float) -> None:
        """Returns when something was written after `version`, when woken, or after `timeout` seconds."""
        if self.version > version:
            return
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except TimeoutError:
            return
