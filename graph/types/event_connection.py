"""A page of events, both ways: `items`, and Relay's edges; and what is kept of each cluster."""

from typing import Self, cast

import strawberry

from fleet.model import event_queries as models
from graph.scalars import DateTime
from graph.types.event import Event
from graph.types.fields import of_model, resolved
from graph.types.outcome import ClusterOutcome
from graph.types.page_info import PageInfo
from graph.types.views import PureView, Views


@strawberry.type(description="An event and its place in the order.")
class EventEdge:
    """As Relay's connection specification has it."""

    cursor: str = strawberry.field(description="Opaque; the next page's `after`. It holds while newer events come.")
    node: Event = strawberry.field(description="The event.")


@strawberry.type(description="What is kept of a cluster's events, as far as you reach them.")
class EventRetention(PureView[models.Retention]):
    """A view of `Retention`."""

    model: strawberry.Private[models.Retention]
    cluster: str = of_model("The cluster.")
    kept: int = of_model("Events that are kept.")
    dropped: int | None = of_model(
        "Events that newer ones pushed out since this server began; null where you do not reach all of the cluster."
    )
    complete_since: DateTime | None = of_model(
        "All events that happened after this are kept; null where none was pushed out."
    )


@strawberry.type(description="A page of the events of all clusters that answered, newest first.")
class EventConnection:
    """A view of `EventPage`."""

    page: strawberry.Private[models.EventPage]

    @classmethod
    def from_model(cls, page: models.EventPage) -> Self:
        return cls(page=page)

    @resolved("Events that are kept and pass the filter.")
    async def total_count(self) -> int:
        return await self.page.count()

    @resolved("The page's events: the plain way to read it.", views=True)
    def items(self) -> list[Event]:
        return cast("list[Event]", Views(Event.from_model, self.page.events))

    @resolved("The page's events with their cursors: the Relay way to read it.")
    def edges(self) -> list[EventEdge]:
        build_cursor = models.build_event_cursor
        return [EventEdge(cursor=build_cursor(event), node=Event.from_model(event)) for event in self.page.events]

    @resolved("Where the page is in the whole.")
    def page_info(self) -> PageInfo:
        events = self.page.events
        return PageInfo(
            has_next_page=self.page.has_next,
            has_previous_page=self.page.has_previous,
            start_cursor=models.build_event_cursor(events[0]) if events else None,
            end_cursor=models.build_event_cursor(events[-1]) if events else None,
        )

    @resolved("How far back each cluster's events are kept.")
    async def retention(self) -> list[EventRetention]:
        return list(map(EventRetention.from_model, await self.page.retention()))

    @resolved("How each cluster that was asked took part in this answer.")
    def clusters(self) -> list[ClusterOutcome]:
        return [ClusterOutcome.from_model(outcome) for outcome in self.page.outcomes]
