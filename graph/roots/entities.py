"""Query's fields for a gateway of Apollo Federation. A client of this server alone needs neither."""

from typing import Annotated

import strawberry
from strawberry.federation.schema import FederationAny
from strawberry.printer import print_schema

from graph.loading.context import Info
from graph.roots.apollo_entities import load_entities, load_metrics
from graph.types.cluster import Cluster
from graph.types.fields import resolved
from graph.types.node import Node
from graph.types.pod import Pod

AnyEntity = Annotated[
    Cluster | Node | Pod, strawberry.union("_Entity", description="What a gateway can ask for by its key.")
]


@strawberry.type(name="_Service", description="This server as a subgraph.")
class Service:
    """What a gateway composes from."""

    sdl: str = strawberry.field(description="The schema in SDL, with the directives of Apollo Federation 2.")


@strawberry.type
class EntityQueries:
    """`_entities` and `_service`."""

    @resolved(
        "For a gateway: entities by their keys, 10,000 at most, in the order asked; null where one is gone.",
        name="_entities",
    )
    async def entities(self, info: Info, representations: list[FederationAny]) -> list[AnyEntity | None]:
        """From memory, all at once. Raises InvalidQuery."""
        found = await load_entities(info, representations)
        await load_metrics(info, found)
        return found  # type: ignore[return-value]  # an exception in a list is an error in its place

    @resolved("For a gateway: this server as a subgraph.", name="_service")
    def service(self, info: Info) -> Service:
        return Service(sdl=print_schema(info.schema))
