"""What happened to an object."""

from typing import TYPE_CHECKING, Annotated, Self

import strawberry

from fleet.model import kube_objects
from fleet.model.errors import InvalidQuery
from graph.ids import encode_resource_id
from graph.loading.context import Info
from graph.loading.resources import DEFAULT_EVENTS, MAX_EVENTS
from graph.scalars import DateTime
from graph.types.cluster_views import cluster_of
from graph.types.fields import of_model, resolved
from graph.types.views import PureView, View

if TYPE_CHECKING:
    from graph.types.cluster import Cluster


@strawberry.type(description="The object an event is about.")
class EventSubject(View[kube_objects.Subject]):
    """A view of `kube_objects.Subject`."""

    model: strawberry.Private[kube_objects.Subject]
    kind: str = of_model("Its kind.")
    name: str = of_model("Its name.")
    namespace: str | None = strawberry.field(description="Its namespace; null for an object of the whole cluster.")
    uid: str = of_model("Kubernetes' own identity of it.")

    @classmethod
    def from_model(cls, model: kube_objects.Subject) -> Self:
        return cls(model=model, namespace=model.namespace or None)


@strawberry.type(description="An event that Kubernetes tells of an object; a cluster forgets it after about an hour.")
class Event(PureView[kube_objects.Event]):
    """A view of `kube_objects.Event`."""

    model: strawberry.Private[kube_objects.Event]
    namespace: str = of_model("The namespace it is in: the object's, or `default` for one of the whole cluster.")
    type: str = of_model("Normal or Warning.")
    reason: str = of_model("What happened, in one word.")
    message: str = of_model("What happened, for people.")
    count: int = of_model("How often it happened.")
    first_seen: DateTime | None = of_model("When it happened first.")
    last_seen: DateTime | None = of_model("When it happened last.")
    source: str | None = of_model("The component that tells of it.")

    @resolved("Opaque; the same when it happens again.")
    def id(self) -> strawberry.ID:
        return strawberry.ID(encode_resource_id(self.model.key))

    @resolved("The cluster it is of.", shared_by=("cluster",))
    def cluster(self, info: Info) -> Annotated["Cluster", strawberry.lazy("graph.types.cluster")]:
        return cluster_of(info, self.model.cluster)

    @resolved("The object it is about.")
    def regarding(self) -> EventSubject:
        return EventSubject.from_model(self.model.regarding)


async def events_of(info: Info, subject: kube_objects.Subject, first: int | None) -> list[Event]:
    """The newest events of an object. Raises InvalidQuery, Forbidden, ClusterError."""
    first = DEFAULT_EVENTS if first is None else first
    if not 0 <= first <= MAX_EVENTS:
        raise InvalidQuery(f"`first` is 0 at least and {MAX_EVENTS:,} at most, not {first}")
    found = await info.context.resources.events.load(subject)
    return [Event.from_model(event) for event in found[:first]]
