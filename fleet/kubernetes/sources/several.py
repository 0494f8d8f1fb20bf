"""Several sources as one: one list, in which a name is one cluster.

What an earlier source has counts: its name, its labels, its way in. A later source's cluster at the same place (server,
TLS server name and proxy, whoever signs in) is the same one, or its pods would be counted twice: its names lead to the
one that is listed. One at another place whose name is taken is left out, and said.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from fleet.aio.tasks import end_tasks, open_task
from fleet.kubernetes.sources.snapshots import Snapshots
from fleet.model.errors import ClusterUnreachable
from fleet.model.objects import ClusterRole
from fleet.model.told import tell
from fleet.ports import Connection, MemberSource, MemberSpec

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 7.0


class Listing(MemberSource, Protocol):
    """A source that says why it may not list all of its clusters."""

    def problems(self) -> list[str]: ...


class Listed(Struct, frozen=True):
    """What one source lists: all of its clusters (None: not known yet), and why that may not be all.

    `remarks` has a line for each cluster that is not in the list as this source has it.
    """

    source: str
    specs: Mapping[str, MemberSpec] | None = None
    remarks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class Merged(Struct, frozen=True):
    """One list; `origins` are the numbers of the sources that its clusters come from, `remarks` go by those numbers."""

    specs: Mapping[str, MemberSpec]
    origins: Mapping[str, int]
    remarks: Sequence[tuple[str, ...]]


@asynccontextmanager
async def open_several_sources(
    sources: Sequence[tuple[str, Listing]], wait_seconds: float = _WAIT_SECONDS
) -> AsyncIterator["SeveralSources"]:
    """Follows all of them. For one that is not known yet, those that are wait `wait_seconds` and no longer."""
    several = SeveralSources(sources)
    async with AsyncExitStack() as stack:
        for number, (name, _) in enumerate(sources):
            await stack.enter_async_context(open_task(f"source {name}", partial(several.follow, number)))
        waiting = asyncio.create_task(several.end_waiting(wait_seconds))
        stack.push_async_callback(end_tasks, waiting)
        yield several


class SeveralSources:
    """The `MemberSource` of several, by their names and in their order. Opened by `open_several_sources`."""

    def __init__(self, sources: Sequence[tuple[str, Listing]]) -> None:
        self._sources = [source for _, source in sources]
        self._listed = [Listed(name) for name, _ in sources]
        self._waits = True
        self._snapshots = Snapshots()
        self._origins: Mapping[str, int] = {}

    @property
    def listed(self) -> Sequence[Listed]:
        """What each source lists now."""
        problems = (tuple(source.problems()) for source in self._sources)
        return [replace(each, problems=found) for each, found in zip(self._listed, problems, strict=True)]

    def snapshots(self) -> AsyncIterator[Mapping[str, MemberSpec]]:
        return self._snapshots.follow()

    async def open_connection(self, spec: MemberSpec) -> Connection:
        number = self._origins.get(spec.name)
        if number is None:
            raise ClusterUnreachable(spec.name, tell("cluster {}: it is in no source any more", spec.name))
        return await self._sources[number].open_connection(spec)

    async def follow(self, number: int) -> None:
        async for specs in self._sources[number].snapshots():
            self._listed[number] = replace(self._listed[number], specs=specs)
            await self._publish()

    async def end_waiting(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._waits = False
        unknown = [each.source for each in self._listed if each.specs is None]
        if 0 < len(unknown) < len(self._listed):
            logger.warning("clusters by %s are not known yet: those of other sources are served", ", ".join(unknown))
        await self._publish()

    async def _publish(self) -> None:
        known = [each.specs is not None for each in self._listed]
        if not (all(known) if self._waits else any(known)):
            return
        merged = merge([(each.source, each.specs or {}) for each in self._listed])
        for number, remarks in enumerate(merged.remarks):
            for remark in remarks:
                if remark not in self._listed[number].remarks:
                    logger.warning("clusters by %s: %s", self._listed[number].source, remark)
            self._listed[number] = replace(self._listed[number], remarks=remarks)
        self._origins = merged.origins
        await self._snapshots.publish(merged.specs)


def merge(pictures: Sequence[tuple[str, Mapping[str, MemberSpec]]]) -> Merged:
    """One list of what each source, by name, lists; the first source's word counts."""
    merging = _Merging()
    remarks = [merging.add(number, source, specs) for number, (source, specs) in enumerate(pictures)]
    return Merged(merging.specs, merging.origins, remarks)


class _Merging:
    """`names` are all that lead to a cluster, each with the name that is listed; `places` are those of the clusters."""

    def __init__(self) -> None:
        self.specs: dict[str, MemberSpec] = {}
        self.origins: dict[str, int] = {}
        self._sources: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._places: dict[str, str] = {}
        self._host: str | None = None

    def add(self, number: int, source: str, specs: Mapping[str, MemberSpec]) -> tuple[str, ...]:
        """Adds a source's clusters, and says what became of those that are not listed as they are."""
        remarks: list[str] = []
        earlier = dict(self._places)  # of one source two clusters at one place are two: their users differ
        for spec in specs.values():
            place = spec.credential.place if spec.credential is not None else None
            same = earlier.get(place or "")
            if same is not None:
                remarks += self._join(same, spec)
                continue
            taken = self._names.get(spec.name)
            if taken is not None:
                remarks.append(f"cluster {spec.name} is left out: {self._describe(taken, spec.name)} has its name")
                continue
            self.specs[spec.name] = spec
            self.origins[spec.name] = number
            self._sources[spec.name] = source
            self._names[spec.name] = spec.name
            self._host_once(spec.name, spec.role, remarks)
            if place:
                self._places.setdefault(place, spec.name)
        for spec in specs.values():
            if self.origins.get(spec.name) == number:
                self._name(spec.name, spec.other_names, remarks)
        return tuple(remarks)

    def _join(self, same: str, spec: MemberSpec) -> list[str]:
        remarks = []
        if spec.name != same:
            remarks.append(f"cluster {spec.name} is {self._describe(same)}, at the same server: that one is listed")
        self._name(same, (*self.specs[same].other_names, spec.name, *spec.other_names), remarks)
        self._host_once(same, spec.role, remarks)
        return remarks

    def _name(self, listed: str, others: Sequence[str], remarks: list[str]) -> None:
        """Has other names lead to a listed cluster, but for those that lead to one already."""
        led = [other for other in others if self._names.setdefault(other, listed) == listed and other != listed]
        remarks += [
            f"the name {other} does not lead to {listed}: {self._describe(self._names[other], other)} has it"
            for other in others
            if self._names[other] != listed
        ]
        if tuple(led) != self.specs[listed].other_names:
            self.specs[listed] = replace(self.specs[listed], other_names=tuple(dict.fromkeys(led)))

    def _host_once(self, name: str, role: ClusterRole, remarks: list[str]) -> None:
        if role is not ClusterRole.HOST or self._host == name:
            return
        if self._host is not None:
            remarks.append(f"cluster {name} is a member: the host is {self._describe(self._host)}")
        self._host = self._host or name
        held = ClusterRole.HOST if self._host == name else ClusterRole.MEMBER
        self.specs[name] = replace(self.specs[name], role=held)

    def _describe(self, name: str, but: str = "") -> str:
        return f"that of {self._sources[name]}" if name == but else f"{name} of {self._sources[name]}"
