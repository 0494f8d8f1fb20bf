"""Usage into the embedded store: collected here, and received from other replicas where they share one state."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fleet.aio.tasks import open_task
from fleet.collector.collect import CollectorOptions, open_collector
from fleet.federation import Federation
from fleet.metrics.embedded.store import EmbeddedStore
from fleet.ports import MetricStore, PointStore
from fleet.replication.shared_usage import SharedPoints, UsageInbox
from server.settings.groups import Settings

if TYPE_CHECKING:
    from fleet.replication.replica import Replica


@asynccontextmanager
async def open_inbox(store: MetricStore, replica: "Replica | None", *, writes: bool) -> AsyncIterator[None]:
    """Has what others measure written, before any member is followed. Of processes with one file one `writes` it."""
    if replica is None or not (writes and isinstance(store, EmbeddedStore)):
        yield
        return
    inbox = UsageInbox(store)
    replica.on_usage = inbox.receive
    async with open_task("usage of other replicas", inbox.run):
        yield


@asynccontextmanager
async def open_collecting(
    settings: Settings, federation: Federation, store: MetricStore, replica: "Replica | None", *, writes: bool
) -> AsyncIterator[None]:
    """Asks the members that are watched here, where the store is the embedded one."""
    interval, timeout = settings.metrics.collect_interval, settings.timeouts.member_timeout
    if not isinstance(store, EmbeddedStore) or interval == 0 or not (writes or replica):
        yield
        return
    points: PointStore = store
    options = CollectorOptions(interval, timeout)
    if replica is not None:
        nats = replica.nats
        points = SharedPoints(store if writes else None, replica.publish_usage, lambda: nats.max_payload)
        options = CollectorOptions(interval, timeout, is_ours=replica.is_written)
    async with open_collector(federation, points, options):
        yield
