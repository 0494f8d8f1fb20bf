"""A graph over a federation that watches, and one over another that follows what a third one publishes of the same."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fleet.federation import Federation
from fleet.ports import MemberSource
from fleet.registry import FleetOptions, open_federation
from fleet.replication.options import NatsOptions
from fleet.replication.replica import open_replica
from tests.fakes.kubernetes import FakeSource
from tests.graph.conftest import Graph


@asynccontextmanager
async def open_pair(source: FakeSource, nats_url: str, options: FleetOptions) -> AsyncIterator[tuple[Graph, Graph]]:
    """The two, with one metric store."""
    async with open_federations(source, nats_url, options) as federations:
        watching, following = (Graph(source, federation) for federation in federations)
        following.store = watching.store
        yield watching, following


@asynccontextmanager
async def open_federations(
    source: MemberSource, nats_url: str, options: FleetOptions
) -> AsyncIterator[tuple[Federation, Federation]]:
    """One that watches, and one that follows."""
    async with AsyncExitStack() as stack:

        async def open_shared(*, writes: bool) -> Federation:
            shared = NatsOptions(servers=(nats_url,), replica="writer" if writes else "follower", writes=writes)
            replica = await stack.enter_async_context(open_replica(shared))
            return await stack.enter_async_context(open_federation(source, options, replica.fill))

        await open_shared(writes=True)
        watching = await stack.enter_async_context(open_federation(source, options))
        yield watching, await open_shared(writes=False)
