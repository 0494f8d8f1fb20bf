"""Usage that is collected: where it is written, what other replicas send of theirs, and who asks the members."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec import Struct

from fleet.aio.tasks import open_task
from fleet.collector.collect import CollectorOptions, open_collector
from fleet.collector.newest import NewestUsage
from fleet.collector.outputs import BufferOptions, Outputs, open_outputs
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


class Collected(Struct, frozen=True):
    """Where usage goes that is collected.

    What a process keeps of it for itself, whoever collected it, is in `own`: its metric file and its newest usage.
    `outputs` has what is collected here.
    """

    file: "EmbeddedStore | None"
    newest: NewestUsage | None
    own: Outputs
    outputs: Outputs

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
async def open_collected(
    settings: Settings, store: MetricStore, replica: "Replica | None", *, writes: bool
) -> AsyncIterator[Collected]:
    """Opens what is written to. Of processes with one file one `writes` it. Raises MetricsUnavailable."""
    metrics = settings.metrics
    newest = NewestUsage(metrics.usage_lookback) if metrics.usage_from == "collector" else None
    stores: list[tuple[str, PointStore]] = []
    async with AsyncExitStack() as stack:
        file = cast("EmbeddedStore", store) if writes and metrics.metric_store == "embedded" else None
        if writes and file is None and "embedded" in metrics.outputs:
            file = await stack.enter_async_context(open_embedded(settings))
        if file is not None and (metrics.outputs or replica):
            stores.append(("the metric file", file))
        own = len(stores)
        for output in metrics.outputs_elsewhere if writes or replica else ():
            stores.append((output, await stack.enter_async_context(open_output(settings, output))))  # noqa: PERF401 - each is open before the next
        outputs = await stack.enter_async_context(open_outputs(newest, stores, BufferOptions(metrics.collect_buffer)))
        yield Collected(file, newest, Outputs(newest, outputs.buffers[:own]), outputs)


@asynccontextmanager
async def open_inbox(collected: Collected, replica: "Replica | None") -> AsyncIterator[None]:
    """Has what others measure kept, before any member is followed."""
    if replica is None or collected.own.is_empty:
        yield
        return
    inbox = UsageInbox(collected.own)
    replica.on_usage = inbox.receive
    async with open_task("usage of other replicas", inbox.run):
        yield


@asynccontextmanager
async def open_collecting(
    settings: Settings, federation: Federation, collected: Collected, replica: "Replica | None", *, writes: bool
) -> AsyncIterator[None]:
    """Asks the members that are watched here, where usage is kept or written anywhere."""
    metrics, newest = settings.metrics, collected.newest
    if not (metrics.outputs or newest) or not (writes or replica):
        yield
        return
    points: PointStore = collected.outputs
    options = CollectorOptions(metrics.collect_interval, settings.timeouts.member_timeout)
    if replica is not None:
        nats = replica.nats
        if "embedded" in metrics.outputs or newest is not None:
            points = SharedPoints(points, replica.publish_usage, lambda: nats.max_payload)
        options = msgspec.structs.replace(options, is_ours=replica.is_written)
    async with open_collector(federation, points, options) as collector:
        if newest is not None:
            newest.sources = collector.sources
        yield
