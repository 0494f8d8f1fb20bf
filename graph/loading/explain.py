"""`extensions.explain` of an answer: what it took. `docs/how-to/cookbook.md` defines each number."""

from fleet.aio.recorder import ClusterRecord, Recorder
from fleet.model.visibility import Scope
from graph.extensions import JSON, AnswerExtensions
from graph.loading.context import Context


def finish(context: Context, recorder: Recorder | None) -> AnswerExtensions:
    """The answer's extensions, with what it took so far where the request asks for that."""
    if recorder is not None and context.asked.explain:
        context.extensions["explain"] = describe(recorder, context.scope)
    return context.extensions


def describe(recorder: Recorder, scope: Scope) -> dict[str, JSON]:
    """What was recorded so far of the clusters in the scope's reach, by name; times are in milliseconds."""
    records = {name: recorder.clusters[name] for name in sorted(recorder.clusters) if scope.sees_cluster(name)}
    return {
        "tookMs": _milliseconds(recorder.seconds),
        "upstreamCalls": sum(record.upstream_calls for record in records.values()),
        "probesAwaited": sum(record.probes_awaited for record in records.values()),
        "cacheHits": sum(record.cache_hits for record in records.values()),
        "cachedObjects": sum(record.cached_objects for record in records.values()),
        "metricQueries": recorder.metric_queries,
        "metricRows": recorder.metric_rows,
        "metricsTookMs": _milliseconds(recorder.metrics_waited.seconds),
        "clusters": [_describe_cluster(name, record) for name, record in records.items()],
    }


def _describe_cluster(name: str, record: ClusterRecord) -> dict[str, JSON]:
    return {
        "name": name,
        "upstreamCalls": record.upstream_calls,
        "probesAwaited": record.probes_awaited,
        "cacheHits": record.cache_hits,
        "cachedObjects": record.cached_objects,
        "tookMs": _milliseconds(record.waited.seconds),
    }


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
