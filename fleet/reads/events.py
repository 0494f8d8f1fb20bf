"""Events of many members, from their rings: merged as they are read, so that a page costs what is on it."""

import heapq
from collections.abc import Iterator
from functools import partial
from itertools import islice

from fleet.aio.recorder import note_cached
from fleet.members.member import Member
from fleet.model.event_queries import EventFilter, EventPage, Position, Retention, position_of
from fleet.model.kube_objects import Event
from fleet.model.queries import PageRequest
from fleet.model.visibility import Scope
from fleet.reads.availability_cache import Participants


def page_of_events(
    participants: Participants, scope: Scope, wanted: EventFilter, page: PageRequest, after: Position | None
) -> EventPage:
    members = participants.members
    for member in members:
        note_cached(member.name, len(member.stores.events))
    found = list(islice(_select(members, scope, wanted, after), page.first + 1))
    return EventPage(
        events=found[: page.first],
        has_next=len(found) > page.first,
        has_previous=after is not None,
        outcomes=participants.outcomes,
        count=lambda: sum(1 for _ in _select(members, scope, wanted, None)),
        retention=lambda: list(map(partial(_retention, scope), members)),
    )


def _select(members: list[Member], scope: Scope, wanted: EventFilter, after: Position | None) -> Iterator[Event]:
    parts = (
        filter(wanted.build_test(scope, member.name), member.stores.events.newest(after, wanted.since))
        for member in members
    )
    return heapq.merge(*parts, key=position_of, reverse=True)


def _retention(scope: Scope, member: Member) -> Retention:
    ring, everywhere = member.stores.events, scope.sees_all_namespaces(member.name)
    kept = len(ring) if everywhere else sum(map(EventFilter().build_test(scope, member.name), ring.newest()))
    return Retention(member.name, kept, ring.dropped if everywhere else None, ring.complete_since)
