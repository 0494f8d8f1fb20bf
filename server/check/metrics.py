"""Tries the metric store and whatever else is written to: what it is, and which clusters it has points of, how old."""

import asyncio
import time
from collections.abc import Sequence
from itertools import chain

from msgspec.structs import replace

from fleet.metrics.embedded.file import describe_file
from fleet.model.errors import FleetError
from fleet.model.objects import NodeKey
from fleet.model.told import detail_of
from fleet.model.usage import NANOSECONDS, Kind, Measure
from fleet.ports import Covering, MetricStore
from server.check.clusters import Tried
from server.check.rows import Row, State
from server.collecting import check_workers
from server.metric_file import DEFAULT_FILE, find_metric_file
from server.metric_store import open_metric_store
from server.outputs import open_output
from server.settings.environment import SettingsInvalid
from server.settings.groups import Settings
from server.shared_state import OWN_HISTORY, keeps_own_history


async def check_metrics(settings: Settings) -> Row:
    """What the store is; its embedded one is not opened, as that would write."""
    if settings.metrics.metric_store == "embedded":
        row = await asyncio.to_thread(_check_metric_file, settings)
        own = keeps_own_history(settings)
        return replace(row, said=f"{row.said}, but {OWN_HISTORY}", state=_worse(row)) if own else row
    what = f"metric store {settings.metrics.metric_store}"
    try:
        async with open_metric_store(settings) as store:
            return Row(what, "ok", await store.check())
    except (FleetError, OSError) as error:
        return Row(what, "ill", detail_of(error))


def _worse(row: Row) -> State:
    return "warn" if row.works else row.state


async def check_coverage(settings: Settings, metrics: Row, answering: Sequence[Tried]) -> Row:
    """The row of the metric store, with the clusters that it has nothing of, or nothing new."""
    if not metrics.works or settings.metrics.metric_store == "embedded" or not answering:
        return metrics
    try:
        async with open_metric_store(settings) as store:
            wrong = await describe_coverage(store, answering)
    except (FleetError, OSError) as error:
        return replace(metrics, state="ill", said=detail_of(error))
    return replace(metrics, said=f"{metrics.said}, but {wrong}", state="warn") if wrong else metrics


async def describe_coverage(store: MetricStore, answering: Sequence[Tried]) -> str:
    """What it has of no cluster, and of which it has nothing, or nothing new; empty where all fits."""
    names = [each.name for each in answering]
    strange = await store.describe_coverage(names) if isinstance(store, Covering) else ""
    return "; ".join(filter(None, (strange, await _describe_age(store, answering))))


async def _describe_age(store: MetricStore, answering: Sequence[Tried]) -> str:
    """Of which clusters no node was measured of late, and when the last one was; empty where all were."""
    keys = {each.name: [NodeKey(each.name, node) for node in each.nodes] for each in answering if each.nodes}
    wanted = frozenset(chain.from_iterable(keys.values()))
    measured = await store.latest(Kind.NODE, wanted, frozenset({Measure.CPU_CORES}))
    silent = [name for name, nodes in keys.items() if not any(node in measured for node in nodes)]
    lasts = await asyncio.gather(*(_find_last(store, keys[name]) for name in silent))
    return ", ".join(f"no node of {name} was measured {last}" for name, last in zip(silent, lasts, strict=True))


async def _find_last(store: MetricStore, keys: Sequence[NodeKey]) -> str:
    found = await asyncio.gather(*(store.points(Kind.NODE, key, start_ns=None, end_ns=None, limit=1) for key in keys))
    times = [point.time_ns for points in found for point in points]
    return f"since {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(max(times) / NANOSECONDS))}" if times else "ever"


async def check_outputs(settings: Settings) -> list[Row]:
    """A row for each store that the collector writes to and nobody reads."""
    metrics = settings.metrics
    rows = []
    for output in metrics.outputs_elsewhere:
        try:
            async with open_output(settings, output) as opened:
                rows.append(Row(f"collect to {output}", "ok", detail_of(await opened.check())))
        except (FleetError, OSError) as error:
            rows.append(Row(f"collect to {output}", "ill", detail_of(error)))
    if metrics.metric_store != "embedded" and metrics.uses_file:
        row = await asyncio.to_thread(_check_metric_file, settings)
        rows.append(replace(row, what="collect to embedded"))
    try:
        check_workers(settings)
    except SettingsInvalid as error:
        rows.append(Row("newest usage", "ill", str(error)))
    return rows


def _check_metric_file(settings: Settings) -> Row:
    """Writes nothing: what `serve` would make is said."""
    what = "metric store embedded"
    file, problem = find_metric_file(settings)
    if problem is not None:
        return Row(what, "ill", f"OPENMCP_EMBEDDED_FILE is '{file}', {problem}")
    if file is None:
        return Row(what, "warn", f"`serve` makes a temporary file, since {DEFAULT_FILE} can't be written")
    if not file.exists():
        return Row(what, "ok", f"`serve` makes the file {file}")
    try:
        metrics = settings.metrics
        return Row(what, "ok", describe_file(file, metrics.embedded_max_bytes, metrics.embedded_max_age))
    except FleetError as error:
        return Row(what, "ill", detail_of(error))
