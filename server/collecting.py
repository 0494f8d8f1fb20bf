"""Usage that is collected: where it is written, what other replicas send of theirs, and who asks the members."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, cast

from msgspec import Struct

from fleet.aio.tasks import open_task
from fleet.collector.collect import CollectorOptions, open_collector
from fleet.collector.newest import NewestUsage
from fleet.collector.outputs import Buffer, BufferOptions, Together, open_outputs
from fleet.collector.split import split
from fleet.federation import Federation
from fleet.ports import MetricStore, PointStore
from fleet.replication.shared_usage import SharedPoints, UsageInbox
from server.metric_store import open_embedded
from server.outputs import open_output
from server.settings.environment import SettingsInvalid
from server.settings.groups import Settings

if TYPE_CHECKING:
    from fleet.metrics.embedded.store import EmbeddedStore
    from fleet.replication.replica import Replica


class Kept(Struct, frozen=True):
    """What this process keeps of what is collected, here or by other replicas: its metric file, its newest usage."""

    file: "EmbeddedStore | None"
    newest: NewestUsage | None

    @property
    def stores(self) -> list[PointStore]:
        return [store for store in (self.newest, self.file) if store is not None]

    def serve(self, store: MetricStore) -> MetricStore:
        """What answers questions."""
        return store if self.newest is None else split(self.newest, store)


def check_workers(settings: Settings) -> None:
    """Raises SettingsInvalid where workers would have no newest usage."""
    if settings.metrics.usage_from == "collector" and settings.http.workers > 1 and settings.state.state != "nats":
        problem = (
            f"OPENMCP_USAGE_FROM is collector and OPENMCP_WORKERS {settings.http.workers}, of which one collects: the "
            "others hear of it by OPENMCP_STATE=nats, else one worker or OPENMCP_USAGE_FROM=store is right"
        )
        raise SettingsInvalid([problem])


@asynccontextmanager
async def open_kept(settings: Settings, store: MetricStore, *, writes: bool) -> AsyncIterator[Kept]:
    """Of processes with one file one `writes` it. Raises MetricsUnavailable."""
    metrics = settings.metrics
    newest = NewestUsage(metrics.usage_lookback) if metrics.usage_from == "collector" else None
    async with AsyncExitStack() as stack:
        file = cast("EmbeddedStore", store) if writes and metrics.metric_store == "embedded" else None
        if writes and file is None and "embedded" in metrics.outputs:
            file = await stack.enter_async_context(open_embedded(settings))
        yield Kept(file, newest)


@asynccontextmanager
async def open_inbox(kept: Kept, replica: "Replica | None") -> AsyncIterator[None]:
    """Has what others measure kept, before any member is followed."""
    if replica is None or not kept.stores:
        yield
        return
    inbox = UsageInbox(Together(kept.stores))
    replica.on_usage = inbox.receive
    async with open_task("usage of other replicas", inbox.run):
        yield


@asynccontextmanager
async def open_collecting(
    settings: Settings, federation: Federation, kept: Kept, replica: "Replica | None", *, writes: bool
) -> AsyncIterator[Sequence[Buffer]]:
    """Asks the members that are watched here, where anything is written; gives what waits for each store."""
    metrics, interval = settings.metrics, settings.metrics.collect_interval
    shared = "embedded" in metrics.outputs or kept.newest is not None
    if not (metrics.outputs or kept.newest) or not (writes or replica):
        yield []
        return
    async with AsyncExitStack() as stack:
        stores: list[tuple[str, PointStore]] = [] if kept.file is None else [("the metric file", kept.file)]
        for output in metrics.outputs_elsewhere:
            stores.append((output, await stack.enter_async_context(open_output(settings, output))))  # noqa: PERF401 - each is open before the next
        buffering = BufferOptions(metrics.collect_buffer)
        outputs = await stack.enter_async_context(open_outputs(kept.newest, stores, buffering))
        points: PointStore = outputs
        options = CollectorOptions(interval, settings.timeouts.member_timeout)
        if replica is not None:
            nats = replica.nats
            if shared:
                points = SharedPoints(outputs, replica.publish_usage, lambda: nats.max_payload)
            options = CollectorOptions(interval, settings.timeouts.member_timeout, is_ours=replica.is_written)
        collector = await stack.enter_async_context(open_collector(federation, points, options))
        if kept.newest is not None:
            kept.newest.sources = collector.sources
        yield outputs.buffers
