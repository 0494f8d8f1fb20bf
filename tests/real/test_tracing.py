"""Traces that a real collector took, of the server and of an API server that traces by itself: one trace holds both."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from realfleet.apiserver import ApiServer, start_api_server, wait_ready
from realfleet.cache import find_binaries
from realfleet.etcd import start_etcd
from realfleet.fleet import Fleet
from realfleet.kubeconfig import write_private
from realfleet.otel_collector import OtelCollector, start_otel_collector
from realfleet.pki import build_cluster_files
from realfleet.ports import list_free_ports
from realfleet.processes import Servers, open_servers
from tests.fakes.span_sink import Received, SpanSink, open_span_sink
from tests.fakes.waiting import until
from tests.processes import RunningServer, free_port, open_server

pytestmark = pytest.mark.real

STATE = "vendor=of-the-caller"
HISTORY = """query Usage { pods(filter: {clusters: ["cluster1"]}, first: 5) { items {
  name history(last: "10m", step: "5m") { cpuCores } } }
  resource(cluster: "traced", apiVersion: "v1", kind: "ConfigMap", namespace: "kube-system", name: "%s") { name } }"""
OURS, THEIRS = "openmcp-apiserver", "apiserver"


@pytest.fixture(scope="module")
def sink() -> Iterator[SpanSink]:
    with open_span_sink() as opened:
        yield opened


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with open_servers() as opened:
        yield opened


@pytest.fixture(scope="module")
def collector(servers: Servers, sink: SpanSink) -> OtelCollector:
    return start_otel_collector(servers, sink.url)


@pytest.fixture(scope="module")
def traced(servers: Servers, collector: OtelCollector) -> ApiServer:
    """An API server that keeps the traces that others keep."""
    folder = servers.folder / "traced"
    files = build_cluster_files(folder, "traced")
    lines = ["apiVersion: apiserver.config.k8s.io/v1", "kind: TracingConfiguration", "samplingRatePerMillion: 0"]
    config = write_private(folder / "tracing.yaml", "\n".join([*lines, f"endpoint: 127.0.0.1:{collector.grpc}\n"]))
    (port,) = list_free_ports(1)
    etcd = start_etcd(servers, find_binaries())
    flags = [f"--tracing-config-file={config}"]
    api = start_api_server(servers, find_binaries(), "traced", port, files, etcd, further=flags)
    wait_ready(servers, api)
    return api


@pytest.fixture(scope="module")
async def served(
    real_fleet: Fleet, traced: ApiServer, collector: OtelCollector, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningServer]:
    folder, port = tmp_path_factory.mktemp("traces"), free_port()
    kubeconfigs = [real_fleet.kubeconfig, traced.write_kubeconfig(folder / "kubeconfig")]
    environment = real_fleet.environment() | {
        "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
        "OPENMCP_KUBECONFIG": ":".join(map(str, kubeconfigs)),
        "OPENMCP_HOST_CONTEXT": "",
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(port),
        "OPENMCP_OPS_PORT": str(free_port()),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }
    async with open_server("serve", environment=environment, port=port, log=folder / "log") as server:
        yield server


class Caller:
    """One who traces: `trace_id` is of its trace, `span_id` of its span."""

    def __init__(self, token: str) -> None:
        self.trace_id, self.span_id = secrets.token_hex(16), secrets.token_hex(8)
        self.headers = {
            "Authorization": f"Bearer {token}",
            "traceparent": f"00-{self.trace_id}-{self.span_id}-01",
            "tracestate": STATE,
        }


@pytest.fixture
async def caller(served: RunningServer) -> Caller:
    return Caller(await served.sign_in())


async def get(served: RunningServer, caller: Caller, path: str) -> int:
    """The status."""
    async with (
        aiohttp.ClientSession(headers=caller.headers) as session,
        session.get(f"{served.url}{path}") as answer,
    ):
        return answer.status


async def wait_for(sink: SpanSink, trace_id: str, *names: tuple[str, str]) -> list[Received]:
    """The spans of the trace with these services and names, once all are there."""
    found: dict[tuple[str, str], Received] = {}

    async def all_are_there() -> bool:
        found.update({(span.service, span.name): span for span in sink.of(trace_id)})
        return set(names) <= set(found)

    await until(all_are_there, what=f"spans {names}, of which there are {sorted(found)}", every=0.1)
    return [found[name] for name in names]


async def test_a_query_is_one_trace_down_to_the_member_and_the_metric_store(
    served: RunningServer, sink: SpanSink, caller: Caller
) -> None:
    async with aiohttp.ClientSession(headers=caller.headers) as session:
        document = HISTORY % "extension-apiserver-authentication"
        async with session.post(f"{served.url}/graphql", json={"query": document}) as answer:
            assert "errors" not in await answer.json(), await answer.text()
    member = "GET /api/v1/namespaces/{namespace}/configmaps/{name}"
    request, operation, parse, execute, store, call, theirs = await wait_for(
        sink,
        caller.trace_id,
        (OURS, "POST /graphql"),
        (OURS, "query Usage"),
        (OURS, "graphql.parse"),
        (OURS, "graphql.execute"),
        (OURS, "query influxdb"),
        (OURS, member),
        (THEIRS, "GET /api/v1/namespaces/{:namespace}/configmaps/{:name}"),
    )
    assert (request.parent_id, request.kind, request.state) == (caller.span_id, 2, STATE)
    assert request.attributes["http.response.status_code"] == 200
    assert operation.parent_id == request.span_id
    assert operation.attributes["graphql.operation.name"] == "Usage"
    assert operation.attributes["openmcp.graphql.cost"] > 0
    assert [parse.parent_id, execute.parent_id] == [operation.span_id] * 2
    assert (store.parent_id, store.kind, store.attributes["db.system.name"]) == (execute.span_id, 3, "influxdb")
    assert (call.parent_id, call.kind, call.state) == (execute.span_id, 3, STATE)
    assert call.attributes["k8s.cluster.name"] == "traced"
    assert theirs.parent_id == call.span_id


async def test_a_call_that_is_passed_on_is_the_parent_of_the_members_own_span(
    served: RunningServer, sink: SpanSink, caller: Caller
) -> None:
    assert await get(served, caller, "/clusters/traced/api/v1/namespaces/nobody?token=secret") == 404
    request, call, theirs = await wait_for(
        sink,
        caller.trace_id,
        (OURS, "GET /clusters/{cluster}/api/v1/namespaces/{name}"),
        (OURS, "GET /api/v1/namespaces/{name}"),
        (THEIRS, "GET /api/v1/namespaces/{:namespace}/namespaces/{:name}"),
    )
    assert (request.parent_id, request.failed) == (caller.span_id, False)
    assert (call.parent_id, call.failed, call.attributes["error.type"]) == (request.span_id, True, "404")
    assert call.attributes["url.full"].endswith("/api/v1/namespaces/nobody")
    assert theirs.parent_id == call.span_id
    assert not [span for span in (request, call) if "secret" in str(span.attributes)]


async def test_a_subscription_is_a_span_for_as_long_as_it_lasts(
    served: RunningServer, sink: SpanSink, caller: Caller
) -> None:
    followed = {"query": "subscription Followed { clusterEvents { type } }"}
    headers = caller.headers | {"Accept": "text/event-stream"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{served.url}/graphql", json=followed) as answer,
    ):
        async for line in answer.content:
            if line.startswith(b"event: next"):
                break
        assert sink.find(caller.trace_id, "subscription Followed") is None
    request, operation = await wait_for(sink, caller.trace_id, (OURS, "POST /graphql"), (OURS, "subscription Followed"))
    assert (operation.parent_id, operation.failed) == (request.span_id, False)


async def test_what_the_caller_does_not_keep_is_not_kept_here_nor_by_the_member(
    served: RunningServer, sink: SpanSink, caller: Caller
) -> None:
    unkept, kept = caller, Caller(caller.headers["Authorization"].removeprefix("Bearer "))
    unkept.headers["traceparent"] = unkept.headers["traceparent"].removesuffix("01") + "00"
    for each in (unkept, kept):
        assert await get(served, each, "/clusters/traced/api/v1/namespaces") == 200
    # Spans of one process are sent in their order: what was asked before is here by then.
    await wait_for(sink, kept.trace_id, (OURS, "GET /api/v1/namespaces"), (THEIRS, "GET /api/v1/namespaces"))
    assert sink.of(unkept.trace_id) == []


async def test_logs_have_the_id_of_the_trace(served: RunningServer, caller: Caller) -> None:
    assert await get(served, caller, "/clusters/traced/version") == 200

    async def is_logged() -> bool:
        return caller.trace_id in await asyncio.to_thread(served.log.read_text)

    await until(is_logged, what="a line with the trace's id", every=0.1)


async def test_lists_of_the_cache_are_traces_of_their_own(served: RunningServer, sink: SpanSink) -> None:
    def lists() -> list[Received]:
        return [span for span in sink.spans if span.name == "list /api/v1/pods"]

    async def are_there() -> bool:
        return {span.attributes["k8s.cluster.name"] for span in lists()} >= {"cluster1", "cluster2", "traced"}

    await until(are_there, what="a list of the pods of each cluster", every=0.1)
    assert {span.parent_id for span in lists()} == {""}
