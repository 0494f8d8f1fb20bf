"""Liveness and readiness, without a token.

`/healthz` says that the process answers. `/readyz` says part by part how things are; it is 503 until the first question
is answered as the later ones: all clusters are known, and each is in memory or known to be ill. From then on an ill
member or metric store costs its own part of an answer and no more.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence

from fastapi import APIRouter
from msgspec import Struct
from starlette.responses import JSONResponse, PlainTextResponse, Response

from auth.authenticator import Authenticator
from fleet.collector.outputs import Buffer
from fleet.federation import Federation
from fleet.kubernetes.sources.several import Listed
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import Cluster, ClusterHealth
from fleet.model.told import detail_of
from fleet.model.visibility import EVERYTHING
from fleet.ports import MetricStore
from server.gc_tuning import SYNC_SECONDS
from server.lifespan import StateRequest

METRIC_CHECK_SECONDS = 2.0
METRIC_CHECK_KEPT_SECONDS = 5.0

_METHODS = ["GET", "HEAD"]


class Part(Struct, frozen=True):
    """How one part of the server is. `detail` names clusters and addresses, and is for operators only."""

    ready: bool
    reason: str
    detail: str | None = None


class MetricProbe:
    """Asks the metric store how it is, at most every few seconds, whoever asks."""

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._kept = Part(ready=False, reason="not asked yet")
        self._asked_at = float("-inf")

    async def load(self, store: MetricStore) -> Part:
        """The store's part: never makes the server unready."""
        async with self._asking:
            if time.monotonic() - self._asked_at > METRIC_CHECK_KEPT_SECONDS:
                self._kept = await _ask(store)
                self._asked_at = time.monotonic()
        return self._kept


async def load_parts(
    federation: Federation, store: MetricStore, authenticator: Authenticator, probe: MetricProbe, *, synced: bool
) -> Mapping[str, Part]:
    problem = authenticator.problem
    return {
        "clusters": build_clusters_part(federation.list_clusters(EVERYTHING), known=federation.is_known, synced=synced),
        "metrics": await probe.load(store),
        "users": Part(ready=True, reason="the users file is wrong, its last good content is in force", detail=problem)
        if problem
        else Part(ready=True, reason="ok"),
        **_load_issuers_part(authenticator.sources_problem),
    }


def _load_issuers_part(problem: str | None) -> Mapping[str, Part]:
    """Nothing while all is well: most servers ask nobody else."""
    reason = "whoever vouches for callers can't be asked: what is known of them counts"
    return {"issuers": Part(ready=True, reason=reason, detail=problem)} if problem else {}


def build_sources_part(listed: Sequence[Listed]) -> Mapping[str, Part]:
    """Nothing while all is well. Never makes the server unready: what a source said last stays."""
    wrong = [
        f"{each.source}: {line}"
        for each in listed
        for line in (*(["not known yet"] if each.specs is None else []), *each.problems, *each.remarks)
    ]
    reason = "clusters may be missing, or are not listed as a source has them"
    return {"sources": Part(ready=True, reason=reason, detail="; ".join(map(detail_of, wrong)))} if wrong else {}


def build_audit_part(problem: str | None) -> Part:
    """Never makes the server unready: a full disk stops nothing."""
    return Part(ready=True, reason="ok" if problem is None else "the audit log can't be written", detail=problem)


def build_outputs_part(outputs: Sequence[Buffer]) -> Part:
    """Never makes the server unready: what is collected waits for its store."""
    problems = [f"{output.name}: {output.problem}" for output in outputs if output.problem]
    reason = "what is collected is not written" if problems else "ok"
    problems += [f"{output.name}: {output.lost} points are lost so far" for output in outputs if output.lost]
    return Part(ready=True, reason=reason, detail="; ".join(problems) or None)


def build_state_part(problem: str | None) -> Part:
    """Never makes the server unready: it answers from memory, and says how old that is."""
    reason = "ok" if problem is None else "the shared state can't be reached: answers are what was known until then"
    return Part(ready=True, reason=reason, detail=None if problem is None else detail_of(problem))


def build_clusters_part(clusters: list[Cluster], *, known: bool, synced: bool) -> Part:
    """Ready as soon as no question waits for a first list, however the clusters are."""
    if not known:
        return Part(ready=False, reason="it is not known yet which clusters there are")
    if not synced:
        return Part(ready=False, reason="not every cluster is in memory yet, or known to be ill")
    ill = [cluster for cluster in clusters if cluster.health is not ClusterHealth.READY]
    if not ill:
        return Part(ready=True, reason=f"{len(clusters)} known, all ready")
    detail = "; ".join(
        f"{cluster.name} {cluster.health.value}: {detail_of(cluster.message) or 'no reason given'}" for cluster in ill
    )
    return Part(ready=True, reason=f"{len(clusters)} known, {len(ill)} not ready", detail=detail)


def build_health_router(*, detailed: bool) -> APIRouter:
    """`/healthz` and `/readyz`; `detailed` is for a port that users do not reach."""
    router = APIRouter()
    probe = MetricProbe()
    synced_by = time.monotonic() + SYNC_SECONDS

    @router.api_route("/healthz", methods=_METHODS, include_in_schema=False)
    async def healthz() -> Response:
        return PlainTextResponse("ok\n")

    @router.api_route("/readyz", methods=_METHODS, include_in_schema=False)
    async def readyz(request: StateRequest) -> Response:
        state = request.state
        if state["stopping"].begun:
            return JSONResponse({"ready": False, "server": "it is shutting down"}, 503)
        synced = state["federation"].is_synced or time.monotonic() > synced_by
        parts = await load_parts(
            state["federation"], state["metric_store"], state["authenticator"], probe, synced=synced
        )
        if (sources := request.scope["state"].get("sources")) is not None:
            parts = {**parts, **build_sources_part(sources.listed)}
        if (audit := request.scope["state"].get("audit")) is not None:
            parts = {**parts, "audit": build_audit_part(audit.problem)}
        if outputs := request.scope["state"].get("outputs"):
            parts = {**parts, "collected": build_outputs_part(outputs)}
        if (replica := request.scope["state"].get("replica")) is not None:
            parts = {**parts, "state": build_state_part(replica.nats.problem)}
        ready = all(part.ready for part in parts.values())
        shown = {name: part.detail if detailed and part.detail else part.reason for name, part in parts.items()}
        return JSONResponse({"ready": ready, **shown}, 200 if ready else 503)

    return router


async def _ask(store: MetricStore) -> Part:
    try:
        async with asyncio.timeout(METRIC_CHECK_SECONDS):
            said = await store.check()
    except MetricsUnavailable as error:
        return Part(ready=True, reason="unavailable: answers have no usage", detail=detail_of(error))
    except TimeoutError:
        return Part(ready=True, reason=f"unavailable: no answer within {METRIC_CHECK_SECONDS:g}s")
    return Part(ready=True, reason="ok", detail=said)
