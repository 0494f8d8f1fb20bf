"""Usage of 1,000 pods, and an hour of 100, from Prometheus and VictoriaMetrics: against their own queries."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from urllib.parse import urlencode

import orjson

from bench.load import Ask, fetch, time_together
from bench.metric_data import INTERVAL_SECONDS, build_points, list_pods
from bench.row import Row
from bench.rows.usage import CHARTED, CLUSTER, COUNT, PODS, compare
from bench.servers import open_server, open_simulated
from bench.skipped import Skipped
from demo.metric_server import MetricServerKind
from fleet.metrics.remote_write.encode import Series, encode_write
from fleet.model.objects import PodKey
from realfleet.cache import MissingServersError
from realfleet.metric_server import MetricServer, start_metric_server
from realfleet.processes import open_servers
from realfleet.series import build_recorded, build_scraped

_BATCH = 5_000  # series a request
_NAMES = {MetricServerKind.PROMETHEUS: "Prometheus", MetricServerKind.VICTORIA_METRICS: "VictoriaMetrics"}


def in_front_of(server: MetricServer, *, recorded: bool) -> dict[str, str]:
    """The settings of a server that reads it."""
    return {
        "OPENMCP_METRIC_STORE": "prometheus",
        "OPENMCP_PROMETHEUS_URL": server.url,
        "OPENMCP_PROMETHEUS_RECORDED": str(recorded).lower(),
    }


async def measure(rounds: int) -> list[Row]:
    """Each of the two, with series as they are scraped (two containers a pod) and recorded. Raises Skipped."""
    rows: list[Row] = []
    for kind in MetricServerKind:
        for recorded in (False, True):
            rows += await _measure(kind, rounds, recorded=recorded)
    return rows


async def _measure(kind: MetricServerKind, rounds: int, *, recorded: bool) -> list[Row]:
    async with AsyncExitStack() as stack:
        try:
            store = await asyncio.to_thread(start_metric_server, stack.enter_context(open_servers()), kind)
        except MissingServersError as error:
            raise Skipped(str(error)) from error
        fleet = await stack.enter_async_context(open_simulated(1, PODS))
        server = await stack.enter_async_context(open_server(fleet.kubeconfig, in_front_of(store, recorded=recorded)))
        pods = await list_pods(server, CLUSTER)
        build = build_recorded if recorded else partial(build_scraped, before=INTERVAL_SECONDS)
        await asyncio.to_thread(_write, store, build(build_points(pods)))
        newest, _ = _build_queries(f'cluster="{CLUSTER}"', recorded=recorded)
        _, of_steps = _build_queries(f'cluster="{CLUSTER}",{_any_of(pods[:CHARTED])}', recorded=recorded)
        now = int(time.time())
        latest = [_ask(store, "query", query, {"time": now}) for query in newest]
        span = {"start": now - 3600, "end": now, "step": INTERVAL_SECONDS}
        hour = [_ask(store, "query_range", query, span) for query in of_steps]
        for asks, size in ((latest, PODS), (hour, CHARTED)):
            for ask in asks:
                assert len(orjson.loads(await fetch(ask))["data"]["result"]) == size, ask.body
        stores = [partial(time_together, [asks] * COUNT) for asks in (latest, hour)]
        name = f"{_NAMES[kind]}, {'recorded' if recorded else 'scraped'} series"
        return await compare(server, stores, rounds, name, "its own queries at once")


def _build_queries(pods: str, *, recorded: bool) -> tuple[list[str], list[str]]:
    """Of some pods CPU, memory and when that was measured; and both over steps of a minute."""
    if recorded:
        cpu, memory = f"namespace_pod:cpu_cores:sum{{{pods}}}", f"namespace_pod:memory_bytes:sum{{{pods}}}"
        return [cpu, memory, f"timestamp({memory})"], [f"avg_over_time({each}[1m])" for each in (cpu, memory)]
    where = f'{{container!="",container!="POD",{pods}}}'
    memory = f"container_memory_working_set_bytes{where}"
    by_pod = "by (namespace, pod)"
    cpu = f"sum {by_pod} (rate(container_cpu_usage_seconds_total{where}[3m]))"
    return (
        [cpu, f"sum {by_pod} ({memory})", f"max {by_pod} (timestamp({memory}))"],
        [cpu, f"sum {by_pod} (avg_over_time({memory}[1m]))"],
    )


def _write(store: MetricServer, series: Sequence[Series]) -> None:
    for begin in range(0, len(series), _BATCH):
        store.write(encode_write(series[begin : begin + _BATCH]))


def _any_of(pods: Sequence[PodKey]) -> str:
    return f'namespace=~"{"|".join({pod.namespace for pod in pods})}",pod=~"{"|".join(pod.name for pod in pods)}"'


def _ask(store: MetricServer, path: str, query: str, params: Mapping[str, int]) -> Ask:
    body = urlencode({"query": query, **params}).encode()
    return Ask(f"{store.url}/api/v1/{path}", {"Content-Type": "application/x-www-form-urlencoded"}, body)
