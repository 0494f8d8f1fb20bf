"""Query's field about the events of all clusters, answered from memory."""

import strawberry

from graph.enums import OnUnavailable
from graph.loading.context import Info
from graph.types.event_connection import EventConnection
from graph.types.event_filter import EventFilter, event_question
from graph.types.fields import resolved
from graph.types.inputs import build_page_request


@strawberry.type
class EventQueries:
    """`events`."""

    @resolved(
        "The newest events of all clusters you reach, those that happened last first; 100 a page where `first` is left "
        "out, 10,000 at most. Of each cluster the newest are kept, how many `retention` tells; also of one that does "
        "not answer now. Those about an object of the whole cluster are in the namespace `default`."
    )
    async def events(
        self,
        info: Info,
        filter: EventFilter | None = None,  # noqa: A002 - the argument's name in the graph
        first: int | None = None,
        after: str | None = None,
        on_unavailable: OnUnavailable | None = OnUnavailable.STALE,
    ) -> EventConnection:
        context = info.context
        page = await context.federation.list_events(
            context.scope,
            event_question(filter),
            build_page_request(first, after),
            on_unavailable or OnUnavailable.STALE,
        )
        return EventConnection.from_model(page)
