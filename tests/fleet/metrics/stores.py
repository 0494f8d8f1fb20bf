"""One face for tests over all stores: the same points go in, the same questions are asked."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest
from msgspec import structs

from fleet.metrics.aggregate import Series
from fleet.metrics.embedded.store import EmbeddedOptions, EmbeddedStore, open_embedded_store
from fleet.metrics.influx.layout import FIELDS
from fleet.metrics.influx.opening import open_influx_store
from fleet.metrics.influx.options import Dialect, InfluxOptions
from fleet.metrics.prometheus.opening import open_prometheus_store
from fleet.metrics.prometheus.options import PrometheusOptions
from fleet.metrics.remote_write.encode import Series as EncodedSeries
from fleet.metrics.remote_write.encode import encode_write
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Kind, Measure, Point
from fleet.ports import MetricStore
from realfleet.influx2 import Influx2
from realfleet.metric_server import MetricServer
from realfleet.series import build_recorded, build_scraped
from tests.fleet.metrics.influxd import InfluxServer

Pods = Iterable[tuple[PodKey, Point]]
Nodes = Iterable[tuple[NodeKey, Point]]

_databases: Iterator[int] = count(1)


def build_series(points: Iterable[Point], measures: Iterable[Measure]) -> Series:
    """The points as columns; where two points have the same time the later one given counts."""
    by_time = {point.time_ns: point for point in points}
    ordered = [by_time[time_ns] for time_ns in sorted(by_time)]
    return Series(
        [point.time_ns for point in ordered],
        {measure: [getattr(point, measure.value) for point in ordered] for measure in measures},
    )


class Filled(Protocol):
    """A store under test, and how points get into it."""

    @property
    def store(self) -> MetricStore: ...

    async def write(self, pods: Pods = (), nodes: Nodes = ()) -> None: ...

    def kept(self, kind: Kind, point: Point) -> Point:
        """What is left of a point that was written."""


@dataclass
class FilledEmbedded:
    store: EmbeddedStore

    async def write(self, pods: Pods = (), nodes: Nodes = ()) -> None:
        await self.store.write(pods, nodes)

    def kept(self, kind: Kind, point: Point) -> Point:
        return point


@dataclass
class FilledInflux:
    """A store in front of an InfluxDB, and `put`, which writes lines where that store reads."""

    store: MetricStore
    put: Callable[[list[str]], None]
    options: InfluxOptions

    async def write(self, pods: Pods = (), nodes: Nodes = ()) -> None:
        lines = [pod_line(key, text_fields(point), point.time_ns, point.node or "n1") for key, point in pods]
        lines += [node_line(key, text_fields(point), point.time_ns) for key, point in nodes]
        self.put(lines)

    def kept(self, kind: Kind, point: Point) -> Point:
        return point

    def write_cells(self, key: PodKey, time_ns: int, node: str = "n1", **cells: str) -> None:
        """One point, its cells in line protocol as they are given."""
        self.put([pod_line(key, cells, time_ns, node)])


@dataclass
class FilledPrometheus:
    """A store in front of a Prometheus or VictoriaMetrics that tests share: clusters have other names there in each."""

    store: MetricStore
    server: MetricServer
    options: PrometheusOptions

    async def write(self, pods: Pods = (), nodes: Nodes = ()) -> None:
        build = build_recorded if self.options.recorded else build_scraped
        label = self.options.cluster_label
        await self.put(build(pods, nodes, cluster=self.options.cluster_value, label=label))

    def kept(self, kind: Kind, point: Point) -> Point:
        """Times are in milliseconds there, and no series of a pod says how much of a disk is left."""
        point = structs.replace(point, time_ns=point.time_ns // 1_000_000 * 1_000_000)
        of_pod = kind is Kind.POD and not self.options.recorded
        return structs.replace(point, fs_available_bytes=None) if of_pod else point

    async def put(self, series: Iterable[EncodedSeries]) -> None:
        await asyncio.to_thread(self.server.write, encode_write(series))


def text_fields(point: Point) -> dict[str, str]:
    """The fields of a point as the platform's collector writes them: strings, absent where there is no value."""
    fields = {"NetworkLatency": '"0.012345"'}
    for measure, name in FIELDS.items():
        value = getattr(point, measure.value)
        if value is not None:
            fields[name] = f'"{round(value * 10**9)}n"' if measure is Measure.CPU_CORES else f'"{value}"'
    return fields


def pod_line(key: PodKey, cells: dict[str, str], time_ns: int, node: str) -> str:
    tags = {"cluster": key.cluster, "namespace": key.namespace, "node": node, "pod": key.name}
    return _line("Pods", tags, cells, time_ns)


def node_line(key: NodeKey, cells: dict[str, str], time_ns: int) -> str:
    return _line("Nodes", {"cluster": key.cluster, "node": key.name}, cells, time_ns)


def _line(measurement: str, tags: dict[str, str], cells: dict[str, str], time_ns: int) -> str:
    escaped = "".join(f",{name}={_escaped(value)}" for name, value in tags.items() if value)
    return f"{measurement}{escaped} {','.join(f'{name}={cell}' for name, cell in cells.items())} {time_ns}"


def _escaped(tag: str) -> str:
    return tag.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")


@asynccontextmanager
async def open_filled_embedded(folder: Path) -> AsyncIterator[FilledEmbedded]:
    async with open_embedded_store(EmbeddedOptions(folder / "usage.db")) as store:
        yield FilledEmbedded(store)


@asynccontextmanager
async def open_filled_influx(
    server: InfluxServer, change: Callable[[InfluxOptions], InfluxOptions] = lambda options: options
) -> AsyncIterator[FilledInflux]:
    database = f"Metrics{next(_databases)}"
    server.query(f'CREATE DATABASE "{database}"')
    options = change(InfluxOptions(server.url, database, server.username, server.password))
    async with open_influx_store(options) as store:
        yield FilledInflux(store, lambda lines: server.write(database, lines), options)
    server.query(f'DROP DATABASE "{database}"')


@asynccontextmanager
async def open_filled_influx2(
    server: Influx2, change: Callable[[InfluxOptions], InfluxOptions] = lambda options: options
) -> AsyncIterator[FilledInflux]:
    """The store `influxql` in front of the route that InfluxDB 2.x keeps for clients of 1.x."""
    with _bucket(server) as bucket:
        options = change(InfluxOptions(server.url, bucket, server.username, server.password))
        async with open_influx_store(options) as store:
            yield FilledInflux(store, lambda lines: server.write(bucket, "\n".join(lines)), options)


@asynccontextmanager
async def open_filled_flux(
    server: Influx2, change: Callable[[InfluxOptions], InfluxOptions] = lambda options: options
) -> AsyncIterator[FilledInflux]:
    with _bucket(server) as bucket:
        options = change(InfluxOptions(server.url, bucket, org=server.org, token=server.token, dialect=Dialect.FLUX))
        async with open_influx_store(options) as store:
            yield FilledInflux(store, lambda lines: server.write(bucket, "\n".join(lines)), options)


@asynccontextmanager
async def open_filled_prometheus(server: MetricServer, **changes: Any) -> AsyncIterator[FilledPrometheus]:
    """Only the series that the test writes are seen, by a value of the cluster's label that no other has."""
    options = PrometheusOptions(server.url, cluster_value=f"fleet-{next(_databases)}-{{cluster}}", **changes)
    async with open_prometheus_store(options) as store:
        yield FilledPrometheus(store, server, options)


def reopen(filled: FilledInflux, **changes: object) -> AbstractAsyncContextManager[MetricStore]:
    """A store like this one but for some of its options."""
    return open_influx_store(replace(filled.options, **changes))  # type: ignore[arg-type]  # named by the caller


@contextmanager
def _bucket(server: Influx2) -> Iterator[str]:
    name = f"Metrics{next(_databases)}"
    made = server.create_bucket(name)
    yield name
    server.delete_bucket(made)


INFLUX_STORES: Mapping[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[FilledInflux]]] = {
    "influxql": lambda request: open_filled_influx(request.getfixturevalue("influxd")),
    "influxql on 2.7": lambda request: open_filled_influx2(request.getfixturevalue("real_influx2")),
    "flux": lambda request: open_filled_flux(request.getfixturevalue("real_influx2")),
}
"""Every store in front of an InfluxDB, by the name that documentation and test ids have for it."""

PROMETHEUS_STORES: Mapping[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[FilledPrometheus]]] = {
    "prometheus": lambda request: open_filled_prometheus(request.getfixturevalue("real_prometheus")),
    "victoriametrics": lambda request: open_filled_prometheus(request.getfixturevalue("real_victoria_metrics")),
    "recorded": lambda request: open_filled_prometheus(request.getfixturevalue("real_prometheus"), recorded=True),
}
"""The store `prometheus` in front of its servers, of which the first reads what rules have recorded as well."""

STORES = ("embedded", *INFLUX_STORES, *PROMETHEUS_STORES)

STORE_PARAMETERS = [pytest.param(name, marks=() if name == "embedded" else pytest.mark.real) for name in STORES]


def open_filled(name: str, request: pytest.FixtureRequest, folder: Path) -> AbstractAsyncContextManager[Filled]:
    """The store of this name, empty."""
    if name == "embedded":
        return open_filled_embedded(folder)
    if name in INFLUX_STORES:
        return INFLUX_STORES[name](request)
    return PROMETHEUS_STORES[name](request)
