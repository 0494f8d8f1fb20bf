"""What is measured: a module a subject, each with `async measure(rounds) -> list[Row]`."""

from collections.abc import Awaitable, Callable, Mapping

from bench.row import Row
from bench.rows import (
    cache,
    collecting,
    compression,
    embedded_store,
    events,
    figures,
    grants,
    hanging,
    large_fleet,
    legacy,
    lists,
    live,
    mixed,
    overload,
    pass_through,
    pod_page,
    portal,
    prometheus,
    proxies,
    readiness,
    real_pass_through,
    real_sync,
    shared_changes,
    shared_fleet,
    shared_pages,
    shared_start,
    shared_workers,
    stall,
    tracing,
    usage,
    watch_events,
    workers,
)

Measure = Callable[..., Awaitable[list[Row]]]
"""Takes that many interleaved samples of each side, `pod_page` also words that names of rows are to have.

Raises Skipped where what it needs is not there.
"""

SUBJECTS: Mapping[str, Measure] = {
    "cache": cache.measure,
    "large_fleet": large_fleet.measure,
    "events": events.measure,
    "watch_events": watch_events.measure,
    "real_sync": real_sync.measure,
    "readiness": readiness.measure,
    "pod_page": pod_page.measure,
    "lists": lists.measure,
    "compression": compression.measure,
    "pass_through": pass_through.measure,
    "proxies": proxies.measure,
    "real_pass_through": real_pass_through.measure,
    "legacy": legacy.measure,
    "stall": stall.measure,
    "embedded_store": embedded_store.measure,
    "collecting": collecting.measure,
    "mixed": mixed.measure,
    "workers": workers.measure,
    "shared_workers": shared_workers.measure,
    "portal": portal.measure,
    "hanging": hanging.measure,
    "overload": overload.measure,
    "usage_influx": usage.measure_influx,
    "usage_prometheus": prometheus.measure,
    "usage_embedded": usage.measure_embedded,
    "live": live.measure,
    "tracing": tracing.measure,
    "figures": figures.measure,
    "grants": grants.measure,
    "shared_pages": shared_pages.measure,
    "shared_changes": shared_changes.measure,
    "shared_start": shared_start.measure,
    "shared_fleet": shared_fleet.measure,
}
"""In the table's order. A new subject is a module and a line here."""
