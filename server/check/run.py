"""Tries a whole configuration at once; what `openmcp-apiserver check` prints."""

import asyncio
from collections.abc import Callable

from fleet.model.errors import FleetError
from fleet.model.told import detail_of
from server.check.cluster_rows import build_cluster_rows
from server.check.clusters import try_clusters
from server.check.metrics import check_coverage, check_metrics, check_outputs
from server.check.process import check_audit_log, check_certificate, check_descriptors, check_ports
from server.check.rows import Row
from server.check.sign_in import check_documents, check_issuers, check_key, check_users
from server.settings.groups import Settings
from server.shared_state import build_nats_options, try_shared_state


async def run_checks(settings: Settings, on_progress: Callable[[str], None] = lambda _: None) -> list[Row]:
    """Tries everything at once; each row says what answered or what to mend. Nothing is written.

    What others are asked is bounded by the settings' own deadlines.
    """
    clusters, metrics, outputs, state, issuers, ports = await asyncio.gather(
        try_clusters(settings, on_progress),
        check_metrics(settings),
        check_outputs(settings),
        _check_state(settings),
        check_issuers(settings),
        check_ports(settings.http),
    )
    on_progress("asking the metric store about the clusters")
    users, metrics = await asyncio.gather(
        check_users(settings, clusters.labels),
        check_coverage(settings, metrics, [each for each in clusters.tried if each.answers]),
    )
    return [
        check_key(settings),
        users,
        *issuers,
        ports,
        *check_certificate(settings),
        check_descriptors(settings),
        *check_audit_log(settings),
        *build_cluster_rows(settings, clusters),
        metrics,
        *outputs,
        *state,
        *check_documents(settings),
    ]


async def _check_state(settings: Settings) -> list[Row]:
    """A row where replicas share one: what NATS is, and what it lets this one do."""
    options = build_nats_options(settings)
    if options is None:
        return []
    try:
        return [Row("shared state", "ok", await try_shared_state(options))]
    except FleetError as error:
        return [Row("shared state", "ill", detail_of(error))]
