"""Events of many members, from their rings: of each as many as a page takes, with turns for others in between."""

import heapq
import time
from collections.abc import AsyncIterator, Iterable
from itertools import islice

from fleet.aio.recorder import current_recorder, note_cached
from fleet.aio.turns import Turns
from fleet.members.member import Member
from fleet.model.event_queries import EventFilter, EventPage, Position, Retention, position_of
from fleet.model.kube_objects import Event
from fleet.model.queries import PageRequest
from fleet.model.visibility import Scope
from fleet.reads.availability_cache import Participants

_SLICE_SECONDS = 0.003


async def load_event_page(
    participants: Participants,
    scope: Scope,
    wanted: EventFilter,
    page: PageRequest,
    after: Position | None,
    turns: Turns,
) -> EventPage:
    members = participants.members

    async def count() -> int:
        return sum([_count(member, scope, wanted) async for member in _in_turns(members, turns)])

    async def tell_retention() -> list[Retention]:
        return [_retention(member, scope) async for member in _in_turns(members, turns)]

    parts: list[list[Event]] = []
    async for member in _in_turns(members, turns):
        if current_recorder() is not None:
            note_cached(member.name, _count(member, scope, EventFilter()))
        parts.append(_first(member, scope, wanted, after, page.first + 1))
    found = list(islice(heapq.merge(*parts, key=position_of, reverse=True), page.first + 1))
    return EventPage(
        events=found[: page.first],
        has_next=len(found) > page.first,
        has_previous=after is not None,
        outcomes=participants.outcomes,
        count=count,
        retention=tell_retention,
    )


async def _in_turns(members: Iterable[Member], turns: Turns) -> AsyncIterator[Member]:
    ends = time.perf_counter() + _SLICE_SECONDS
    for member in members:
        if time.perf_counter() > ends:
            await turns.wait()
            ends = time.perf_counter() + _SLICE_SECONDS
        yield member


def _first(member: Member, scope: Scope, wanted: EventFilter, after: Position | None, count: int) -> list[Event]:
    ring, test = member.stores.events, wanted.build_test(scope, member.name)
    if test is None:
        return list(ring.newest(after, wanted.since, count))
    return list(islice(filter(test, ring.newest(after, wanted.since)), count))


def _count(member: Member, scope: Scope, wanted: EventFilter) -> int:
    if wanted.since is None and wanted.build_test(scope, member.name) is None:
        return len(member.stores.events)
    return len(_first(member, scope, wanted, None, member.stores.events.most))


def _retention(member: Member, scope: Scope) -> Retention:
    ring, everywhere = member.stores.events, scope.sees_all_namespaces(member.name, "events")
    kept = _count(member, scope, EventFilter())
    return Retention(member.name, kept, ring.dropped if everywhere else None, ring.complete_since)
