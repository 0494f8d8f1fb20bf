"""Figures of a server in front of 200 clusters: how many there are, and whether Prometheus' own tool takes them."""

import re
import subprocess
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from demo.simulator import open_simulated_fleet
from server.figures.own import ROOMS
from tests.fakes.waiting import until
from tests.processes import RunningServer, free_port, open_server
from tests.required import need
from tests.server.figures.reading import read_samples

CLUSTERS = 200
MOST_A_CLUSTER = 45
MOST_BESIDE = 800
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
KEY = {"OPENMCP_SIGNING_KEY": "a key for the tests of figures", "API_USER_NAME": "openmcp", "API_USER_PW": "keti"}
PODS = "query Pods { pods(first: 1) { items { name } } }"


class Served:
    """A server and its ops port."""

    def __init__(self, server: RunningServer, ops: str) -> None:
        self.server = server
        self.ops = ops

    async def scrape(self, accept: str = "text/plain", coding: str = "identity") -> tuple[str, str, str]:
        """The text, its content type, and how it was coded."""
        headers = {"Accept": accept, "Accept-Encoding": coding}
        async with aiohttp.request("GET", f"{self.ops}/metrics", headers=headers) as answer:
            assert answer.status == 200
            coded = answer.headers.get("Content-Encoding", "")
            return await answer.text(), answer.headers["Content-Type"], coded

    async def samples(self) -> dict[str, float]:
        return read_samples((await self.scrape())[0])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("figures")
    port, ops = free_port(), free_port()
    async with open_simulated_fleet(clusters=CLUSTERS, pods=1, nodes=1) as fleet:
        environment = KEY | {
            "OPENMCP_KUBECONFIG": str(fleet.kubeconfig),
            "OPENMCP_EMBEDDED_FILE": str(folder / "usage.sqlite"),
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(ops),
        }
        async with open_server("serve", environment=environment, port=port, log=folder / "log") as server:
            found = Served(server, f"http://127.0.0.1:{ops}")

            async def are_ready() -> bool:
                told = await found.samples()
                return (
                    sum(value for name, value in told.items() if name.startswith("openmcp_cluster_ready{")) > CLUSTERS
                )

            await until(are_ready, what="all clusters", every=0.2)
            yield found


async def test_there_are_not_more_than_clusters_want(served: Served) -> None:
    await served.server.ask(await served.server.sign_in(), PODS)
    names = list(await served.samples())
    clusters = Counter(re.findall(r'cluster="([^"]+)"', " ".join(names)))
    assert len(clusters) == CLUSTERS + 1
    assert max(clusters.values()) <= MOST_A_CLUSTER
    assert len(names) - clusters.total() <= MOST_BESIDE


async def test_what_was_asked_is_told(served: Served) -> None:
    before = await served.samples()
    token = await served.server.sign_in()
    for _ in range(12):
        await served.server.ask(token, PODS)
    wanted = {
        'openmcp_http_requests_total{code="200",method="POST",route="/graphql"}',
        'openmcp_http_request_duration_seconds_count{route="/graphql"}',
        'openmcp_graphql_operations_total{operation="Pods",outcome="ok"}',
        'openmcp_graphql_operation_duration_seconds_count{operation="Pods"}',
        "openmcp_graphql_cost_units_total",
        'openmcp_sign_ins_total{outcome="ok"}',
        "openmcp_event_loop_lag_seconds_count",
        'openmcp_cluster_requests_total{cluster="cluster1",outcome="ok"}',
        "process_cpu_seconds_total",
    }

    async def have_grown() -> bool:  # what a heartbeat asks comes when it is due
        now = await served.samples()
        return all(now.get(name, 0.0) > before.get(name, 0.0) for name in wanted)

    await until(have_grown, what="what was asked", every=0.2)
    after = await served.samples()
    assert after['openmcp_cluster_objects{cluster="cluster1",kind="nodes"}'] == 1
    assert after['openmcp_cluster_watches_total{cluster="cluster1"}'] >= 3
    assert after["openmcp_metric_store_up"] == 1
    assert 0 < after['openmcp_cache_bytes{kind="nodes"}'] / CLUSTERS < 100_000


async def test_promtool_has_nothing_to_say(served: Served) -> None:
    text, content_type, coded = await served.scrape()
    assert (content_type, coded) == ("text/plain; version=0.0.4; charset=utf-8", "")
    assert check(text) == ""


async def test_openmetrics_is_for_who_asks_and_has_the_same(served: Served) -> None:
    text, content_type, coded = await served.scrape(OPENMETRICS, "gzip")
    assert (content_type, coded) == ("application/openmetrics-text; version=1.0.0; charset=utf-8", "gzip")
    assert text.endswith("# EOF\n")
    families = {family.name for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]  # the library's
    plain = {line.split()[2] for line in (await served.scrape())[0].splitlines() if line.startswith("# TYPE")}
    assert {name.removesuffix("_total").removesuffix("_info") for name in plain} == families


async def test_each_figure_is_in_the_table_and_nothing_else_is(served: Served) -> None:
    told = {line.split()[2] for line in (await served.scrape())[0].splitlines() if line.startswith("# TYPE openmcp_")}
    known = {figure.name for room in ROOMS.values() for figure in room}
    assert told <= known
    # No HTTPS, no other replica, nothing that is collected elsewhere, no audit log, no traces, no usage yet.
    absent = ("state_", "certificate_", "audit_", "collected_", "memory_limit", "trace_")
    missing = {name for name in known - told if not name.removeprefix("openmcp_").startswith(absent)}
    assert missing <= {"openmcp_cluster_usage_age_seconds", "openmcp_metric_file_oldest_seconds"}


def check(text: str) -> str:
    """What `promtool check metrics` says."""
    done = subprocess.run(
        [need("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr
