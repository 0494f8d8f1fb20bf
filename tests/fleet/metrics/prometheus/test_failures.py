"""A Prometheus that can't be asked, or answers a part, says what to mend, and never that there is nothing."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from demo.metric_server import MetricServerConfig, MetricServerKind
from fleet.metrics.prometheus.opening import open_prometheus_store
from fleet.model.errors import MetricsTooCostly, MetricsUnavailable
from fleet.model.objects import PodKey
from fleet.model.told import detail_of
from fleet.model.usage import NANOSECONDS, Aggregate, Kind, Measure, Measured, Point, TimeRange
from fleet.ports import MetricStore
from realfleet.metric_server import MetricServer
from realfleet.pki import build_cluster_files
from tests.fakes.faults import Faults, open_proxy
from tests.fleet.metrics.prometheus.gateway import open_gateway
from tests.fleet.metrics.stores import PROMETHEUS_STORES, FilledPrometheus, open_filled_prometheus
from tests.fleet.metrics.test_failures import MEANS, MINUTE, NOW, PODS, SECRET, assert_refused

pytestmark = pytest.mark.real

CPU = frozenset({Measure.CPU_CORES})
SERVERS = ["prometheus", "victoriametrics"]


@pytest.fixture(params=SERVERS)
async def filled(request: pytest.FixtureRequest) -> AsyncIterator[FilledPrometheus]:
    async with PROMETHEUS_STORES[request.param](request) as opened:
        await fill(opened)
        yield opened


async def fill(filled: FilledPrometheus) -> None:
    points = [Point(time_ns=NOW - second * NANOSECONDS, cpu_cores=1.0, memory_bytes=1) for second in range(1, 60)]
    await filled.write((pod, point) for pod in PODS for point in points)


def reopen(filled: FilledPrometheus, **changes: Any) -> AbstractAsyncContextManager[MetricStore]:
    return open_prometheus_store(replace(filled.options, **changes))


@asynccontextmanager
async def open_line(filled: FilledPrometheus, timeout: float = 5.0) -> AsyncIterator[tuple[MetricStore, Faults]]:
    async with open_proxy(filled.options.url) as (url, faults), reopen(filled, url=url, timeout=timeout) as store:
        yield store, faults


@pytest.mark.parametrize("size", [1, 100, 300, 800, 3000])
async def test_an_answer_cut_off_half_way_is_named(filled: FilledPrometheus, size: int) -> None:
    async with open_line(filled) as (store, faults):
        assert len(await store.history(Kind.POD, PODS, MINUTE, MEANS)) == len(PODS)
        faults.reset()
        faults.cut_after = size
        with pytest.raises(MetricsUnavailable, match=r"broke off its answer|is cut short"):
            await store.history(Kind.POD, PODS, MINUTE, MEANS)


async def test_a_silent_server_costs_the_timeout(filled: FilledPrometheus) -> None:
    async with open_line(filled, timeout=0.4) as (store, faults):
        faults.black_hole = True
        with pytest.raises(MetricsUnavailable, match=r"did not answer within 0\.4 s"):
            await store.history(Kind.POD, PODS, MINUTE, MEANS)


async def test_a_dead_server_is_named_and_one_that_is_back_is_used(filled: FilledPrometheus) -> None:
    async with open_line(filled) as (store, faults):
        faults.refusing = True
        faults.reset()
        await assert_refused(store, "broke off its answer|does not accept connections")
        faults.refusing = False
        assert len(await store.history(Kind.POD, PODS, MINUTE, MEANS)) == len(PODS)


async def test_an_answer_larger_than_the_bound_is_refused(filled: FilledPrometheus) -> None:
    async with reopen(filled, max_answer_bytes=2000) as store:
        with pytest.raises(MetricsTooCostly, match="larger than 2000 bytes: ask for fewer objects, or a shorter time"):
            await store.history(Kind.POD, PODS, MINUTE, MEANS)


async def test_a_path_without_the_api_and_a_server_of_another_kind_are_named(filled: FilledPrometheus) -> None:
    for url in (f"{filled.options.url}/elsewhere", "http://127.0.0.1:9"):
        async with reopen(filled, url=url) as store:
            await assert_refused(store, r"no query API there|does not accept connections|error \(400")


async def test_a_credential_a_tenant_and_a_path_are_sent(filled: FilledPrometheus, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    async with open_gateway(filled.options.url) as (url, gateway):
        gateway.needs = {"Authorization": "Bearer first", "X-Scope-OrgID": "fleet|other"}
        async with reopen(filled, url=url, token_file=file, tenant="fleet|other") as store:
            assert len(await store.latest(Kind.POD, PODS, CPU)) == len(PODS)
        async with reopen(filled, url=url, token=SECRET, tenant="fleet|other") as store:
            await assert_refused(store, r"refuses this server's token \(401\)")
        gateway.needs["Authorization"] = f"Basic {base64.b64encode(b'me:pass:word').decode()}"
        async with reopen(filled, url=url, username="me", password="pass:word", tenant="fleet|other") as store:
            assert len(await store.latest(Kind.POD, PODS, CPU)) == len(PODS)
        async with reopen(filled, url=url, token_file=tmp_path / "none", tenant="fleet|other") as store:
            await assert_refused(store, "a file of the credential for Prometheus can't be used: No such file")


async def test_a_redirect_takes_no_credential_along(filled: FilledPrometheus) -> None:
    async with (
        open_gateway(filled.options.url) as (elsewhere, other),
        open_gateway(filled.options.url) as (url, gateway),
    ):
        gateway.leads_to = f"{elsewhere}/api/v1/query"
        async with reopen(filled, url=url, token=SECRET) as store:
            await assert_refused(store, r"answers with an error \(307")
    assert gateway.seen
    assert other.seen == []


@pytest.mark.parametrize("says", [{"warnings": ["store 10.0.0.7 did not answer"]}, {"isPartial": True}])
async def test_what_is_not_whole_is_told_of_the_clusters_that_lack_something(
    filled: FilledPrometheus, says: dict[str, Any]
) -> None:
    lost = PodKey("cluster2", "default", "web-0")
    async with open_gateway(filled.options.url) as (url, gateway), reopen(filled, url=url) as store:
        gateway.says = says
        for found in (
            await store.latest(Kind.POD, PODS | {lost}, CPU),
            await store.history(Kind.POD, PODS | {lost}, MINUTE, MEANS),
        ):
            assert isinstance(found, Measured)
            assert set(found) == PODS
            assert list(found.problems) == ["cluster2"]
            assert "is not complete" in found.problems["cluster2"]
            assert "10.0.0.7" not in str.__str__(found.problems["cluster2"])


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (422, "query processing would load too many samples into memory in query execution"),
        (400, "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution"),
        (422, "the query exceeded the maximum number of chunks (limit: 5 chunks) (err-mimir-max-chunks-per-query)"),
        (422, "the query time range exceeds the limit (limit: 720h) (err-mimir-max-query-length)"),
        (422, "expand: rpc error: code = ResourceExhausted desc = exceeded series limit: limit 5 violated (got 6)"),
        (422, "too long query; got 20 bytes; mustn't exceed `-search.maxQueryLen=16384` bytes"),
    ],
)
async def test_limits_are_told_with_what_would_do(filled: FilledPrometheus, status: int, said: str) -> None:
    async with open_gateway(filled.options.url) as (url, gateway), reopen(filled, url=url) as store:
        gateway.refuses = status, said
        with pytest.raises(MetricsTooCostly, match="a longer step, a shorter time or fewer objects") as refused:
            await store.latest(Kind.POD, PODS, CPU)
        assert said in detail_of(refused.value)
        gateway.refuses = 429, "the tenant exceeded the request rate limit (err-mimir-tenant-max-request-rate)"
        with pytest.raises(MetricsUnavailable, match=r"error \(429") as later:
            await store.latest(Kind.POD, PODS, CPU)
        assert not isinstance(later.value, MetricsTooCostly)


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        (MetricServerKind.PROMETHEUS, "--query.max-samples=100"),
        (MetricServerKind.VICTORIA_METRICS, "-search.maxUniqueTimeseries=3 -search.maxExportSeries=3"),
    ],
)
async def test_real_limits_of_the_servers(
    start_real_metric_server: Callable[..., MetricServer], kind: MetricServerKind, flags: str
) -> None:
    server = await asyncio.to_thread(start_real_metric_server, kind, MetricServerConfig(flags=tuple(flags.split())))
    async with open_filled_prometheus(server) as filled, reopen(filled, most_samples=0) as sums:
        await fill(filled)
        for store in (filled.store, sums):
            with pytest.raises(MetricsTooCostly, match="a longer step, a shorter time or fewer objects"):
                await store.history(Kind.POD, PODS, MINUTE, MEANS)


async def test_more_steps_than_a_prometheus_answers(request: pytest.FixtureRequest) -> None:
    async with PROMETHEUS_STORES["prometheus"](request) as filled, reopen(filled, most_samples=0) as sums:
        long = TimeRange(NOW - 12_000 * NANOSECONDS, NOW, NANOSECONDS)
        with pytest.raises(MetricsTooCostly, match="a longer step"):
            await sums.history(Kind.POD, PODS, long, frozenset({(Measure.MEMORY_BYTES, Aggregate.LAST)}))


async def test_certificates_of_both_sides(
    start_real_metric_server: Callable[..., MetricServer], tmp_path: Path
) -> None:
    files = await asyncio.to_thread(build_cluster_files, tmp_path / "pki", "prometheus")
    web = (
        f"tls_server_config: {{cert_file: {files.serving_certificate}, key_file: {files.serving_key}, "
        f"client_ca_file: {files.ca}, client_auth_type: RequireAndVerifyClientCert}}"
    )
    tls = ssl.create_default_context(cafile=str(files.ca))
    tls.load_cert_chain(files.client_certificate, files.client_key)
    server = await asyncio.to_thread(
        start_real_metric_server, MetricServerKind.PROMETHEUS, MetricServerConfig(web=web, prefix="/metrics"), tls=tls
    )
    own = {"ca_file": files.ca, "cert_file": files.client_certificate, "key_file": files.client_key}
    async with open_filled_prometheus(server, **own) as filled:
        await fill(filled)
        assert len(await filled.store.latest(Kind.POD, PODS, CPU)) == len(PODS)
        async with reopen(filled, ca_file=None) as store:
            await assert_refused(store, "TLS certificate of Prometheus is not accepted")
        async with reopen(filled, cert_file=None, key_file=None) as store:
            await assert_refused(store, "can't be asked|broke off its answer|is not accepted")
