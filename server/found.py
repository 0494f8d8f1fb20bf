"""What a server found when it started, in ten lines of its log; on a terminal, how far the first lists are."""

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from platform import python_version

from fleet.aio.tasks import open_task
from fleet.federation import Federation
from fleet.model.errors import FleetError
from fleet.model.objects import ClusterHealth
from fleet.model.told import detail_of
from fleet.model.visibility import EVERYTHING
from server.binding import list_ports
from server.gc_tuning import SYNC_SECONDS
from server.lifespan import State, open_state
from server.own_command import NAME
from server.progress import open_progress
from server.settings.effective import list_changed
from server.settings.groups import Settings
from server.tls import open_certificate

_MOST_NAMED = 10
_LIMITS = ("limits", "traffic", "timeouts")

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_told_state(settings: Settings) -> AsyncIterator[State]:
    """As `open_state`, and says what was found once the first lists are in memory, or have been waited for."""
    async with (
        open_state(settings) as state,
        open_task("what was found", partial(_tell, settings, state)),
    ):
        yield state


async def _tell(settings: Settings, state: State) -> None:
    await _wait_synced(state["federation"])
    lines = (
        f"openmcp-apiserver {version(NAME)} on Python {python_version()}",
        _describe_sources(state),
        *_describe_clusters(state["federation"]),
        await _describe_store(settings, state),
        _describe_sign_in(settings, state),
        *_describe_ports(settings),
        f"limits: {', '.join(list_changed(settings, _LIMITS)) or 'all as they are by default'}",
    )
    for line in lines:
        _log.info("%s", line)
    await asyncio.Event().wait()


async def _wait_synced(federation: Federation) -> None:
    if not sys.stderr.isatty():
        await federation.wait_synced(SYNC_SECONDS)
        return
    with open_progress() as say:

        def is_synced() -> bool:
            listed = federation.list_clusters(EVERYTHING)
            read = sum(cluster.health is not ClusterHealth.UNKNOWN for cluster in listed)
            say(f"{read} of {len(listed)} clusters are in memory, or known to be ill")
            return federation.is_synced

        say("asking which clusters there are")
        await federation.wait_until(is_synced, SYNC_SECONDS)


def _describe_sources(state: State) -> str:
    listed = (
        [f"{each.source} ({len(each.specs or ())})" for each in state["sources"].listed] if "sources" in state else []
    )
    return f"clusters come from {', '.join(listed)}"


def _describe_clusters(federation: Federation) -> Iterator[str]:
    """How many are how, and why those are ill that are."""
    clusters = federation.list_clusters(EVERYTHING)
    states = Counter(cluster.health.value for cluster in clusters)
    counted = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    objects = federation.count_objects(EVERYTHING)
    yield f"clusters: {counted or 'none'}; {objects.pods} pods on {objects.nodes} nodes are in memory"
    ill = [cluster for cluster in clusters if cluster.health is not ClusterHealth.READY]
    if ill:
        named = [f"{cluster.name} ({detail_of(cluster.message or 'not known yet')})" for cluster in ill[:_MOST_NAMED]]
        more = f" and {len(ill) - _MOST_NAMED} more" if len(ill) > _MOST_NAMED else ""
        yield f"not ready: {'; '.join(named)}{more}"


async def _describe_store(settings: Settings, state: State) -> str:
    metrics = settings.metrics
    try:
        said = await state["metric_store"].check()
    except FleetError as error:
        said = f"ill: {detail_of(error)}"
    collected = f"; usage is collected to {', '.join(metrics.outputs)}" if metrics.outputs else ""
    return f"metric store {metrics.metric_store}: {said}{collected}"


def _describe_sign_in(settings: Settings, state: State) -> str:
    auth, oidc = settings.auth, settings.oidc
    ways = [
        f"{len(state['authenticator'].list_users())} users and groups",
        *([f"issuers of {oidc.oidc_issuer or oidc.oidc_file}"] if oidc.oidc_issuer or oidc.oidc_file else []),
        *([f"access tokens of {auth.tokens_file}"] if auth.tokens_file else []),
        *(["tokens that the host reviews"] if auth.token_review else []),
        *(["client certificates"] if settings.http.tls_client_ca_file else []),
    ]
    decided = "by roles" if auth.authorization == "roles" else "by roles and each cluster's own rules"
    return f"sign-in: {', '.join(ways)}; rights are decided {decided}"


def _describe_ports(settings: Settings) -> Iterator[str]:
    """Ports of 0 are told by who has got them."""
    http = settings.http
    certificate = open_certificate(http)
    tls = "plain HTTP" if certificate is None else f"HTTPS, certificate until {certificate.ends_at:%Y-%m-%d %H:%M} UTC"
    plain = f", plain HTTP on {http.plain_port}" if http.plain_port is not None else ""
    workers = f", {http.workers} workers" if http.workers > 1 else ""
    yield f"ports: {http.host}:{http.port} in {tls}{plain}{workers}; for operators {http.ops_host}:{http.ops_port}"
    host = list_ports(http)[0].own_host
    url = f"{'http' if certificate is None else 'https'}://{f'[{host}]' if ':' in host else host}:{http.port}/graphql"
    off = "trusted documents alone are run: no GraphiQL" if settings.graph.trusted_documents else None
    yield off or f"GraphiQL: {url} in a browser"
