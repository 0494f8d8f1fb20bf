"""Which events: from what a query says to `fleet.model.event_queries`."""

from collections.abc import Sequence

import strawberry

from fleet.model.event_queries import EventFilter as EventQuestion
from graph.scalars import DateTime
from graph.types.inputs import CLUSTER_SELECTOR, NameFilter, parse_cluster_selector


@strawberry.input(description="Matches the object that an event is about. All parts that are given must hold.")
class SubjectFilter:
    """What an event has to be about."""

    kind: str | None = strawberry.field(default=None, description="Its kind, such as Pod.")
    name: NameFilter | None = strawberry.field(default=None, description="How its name must be.")


@strawberry.input(description="Which events. All parts that are given must hold; an empty list matches nothing.")
class EventFilter:
    """What `events` can be bounded by."""

    clusters: list[str] | None = strawberry.field(default=None, description="Names of clusters.")
    cluster_selector: str | None = strawberry.field(default=None, description=CLUSTER_SELECTOR)
    namespaces: list[str] | None = strawberry.field(default=None, description="Names of namespaces.")
    types: list[str] | None = strawberry.field(default=None, description="Types: Normal, Warning.")
    reasons: list[str] | None = strawberry.field(default=None, description="Reasons, such as BackOff.")
    regarding: SubjectFilter | None = strawberry.field(default=None, description="What it is about.")
    since: DateTime | None = strawberry.field(default=None, description="It happened then or after, once at least.")

    def as_filter(self) -> EventQuestion:
        subject = self.regarding
        return EventQuestion(
            clusters=_set(self.clusters),
            cluster_labels=parse_cluster_selector(self.cluster_selector),
            namespaces=_set(self.namespaces),
            types=_set(self.types),
            reasons=_set(self.reasons),
            kind=subject.kind if subject else None,
            name=subject.name.as_filter() if subject and subject.name else None,
            since=self.since,
        )


def event_question(filter: EventFilter | None) -> EventQuestion:  # noqa: A002 - the argument's name in the graph
    """The filter's question, or the one for all events."""
    return EventQuestion() if filter is None else filter.as_filter()


def _set(values: Sequence[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)
