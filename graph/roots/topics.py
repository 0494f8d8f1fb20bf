"""What an operation follows, as a value: the root field's resolver says it, and the hub acts on it."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any, NoReturn

from graphql import GraphQLResolveInfo
from msgspec import Struct

from fleet.live.changes import EventView, View
from fleet.live.usage_sampler import Wanted
from fleet.objects.follow import ResourceView
from fleet.objects.logs import LogRequest
from graph.enums import EventType
from graph.loading.context import Context
from graph.types.live import ClusterEvent, NodeEvent, PodEvent, ResourceEvent


class Objects(Struct, frozen=True):
    """Objects that a view selects; `event` is the type of the graph that tells of one."""

    view: View | ResourceView
    event: type[PodEvent] | type[NodeEvent] | type[ClusterEvent] | type[ResourceEvent]

    def build_root(self, type: EventType, record: Any) -> PodEvent | NodeEvent | ClusterEvent | ResourceEvent:  # noqa: A002 - as there
        """The event of a record, as the operation's selection is read from it."""
        return self.event.from_model(type, record)


class Samples(Struct, frozen=True):
    """Usage, every `interval` seconds."""

    wanted: Wanted
    interval: float


class Log(Struct, frozen=True):
    """A container's log."""

    request: LogRequest


class Events(Struct, frozen=True):
    """Events of the rings that a view selects, as they happen."""

    view: EventView


Topic = Objects | Samples | Log | Events


class Admitted(Struct, frozen=True):
    """A subscription that may be carried out."""

    topic: Topic
    info: GraphQLResolveInfo[Any]


@dataclasses.dataclass
class LiveContext(Context):
    """The context in which a subscription's root field is resolved; there it leaves what is to be followed."""

    subscribing: bool = False
    admitted: Admitted | None = None


class Elsewhere(AsyncIterator[Any]):
    """The source that the core asks for: it gives nothing, since events are made in channels that subscribers share."""

    async def __anext__(self) -> NoReturn:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Holds nothing."""
