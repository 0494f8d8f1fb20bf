"""Every query of the dashboard shows something of a real server in front of real clusters, which Prometheus scraped."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from demo.metric_server import MetricServerConfig, MetricServerKind
from realfleet.fleet import Fleet
from realfleet.metric_server import MetricServer, start_metric_server
from realfleet.processes import open_servers
from tests.fakes.waiting import until
from tests.processes import RunningServer, free_port, open_server

pytestmark = pytest.mark.real

FOLDER = Path(__file__).parents[2] / "k8s" / "monitoring"
BOARD = json.loads((FOLDER / "dashboard.json").read_text())
KEY = "6f1d0b8e5a2c47f39b7e0d1c6a5f48e2"
SCRAPED = {
    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
    "rule_files": [str(FOLDER / "alerts.yaml")],
}
OPERATIONS = (
    "query Pods { pods(first: 20) { items { name usage { cpuCores } } } }",
    "query Clusters { clusters { name state } }",
    "query Wrong { nothing }",
)


def read_queries() -> list[str]:
    """Those of all panels, for all clusters and replicas, with the rates of what is scraped each second."""
    written = [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", ())]
    return [re.sub(r"\$(cluster|instance)", ".+", query).replace("$__rate_interval", "10s") for query in written]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scraped(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MetricServer]:
    """Scrapes a server on which something is going on."""
    folder = tmp_path_factory.mktemp("dashboard")
    port, ops = free_port(), free_port()
    environment = real_fleet.environment() | {
        "OPENMCP_SIGNING_KEY": KEY,
        "OPENMCP_PORT": str(port),
        "OPENMCP_OPS_PORT": str(ops),
        "OPENMCP_COLLECT_TO": "embedded",
        "OPENMCP_EMBEDDED_FILE": str(folder / "usage.sqlite"),
    }
    jobs = [{"job_name": "openmcp", "honor_labels": True, "static_configs": [{"targets": [f"127.0.0.1:{ops}"]}]}]
    config = MetricServerConfig(further={**SCRAPED, "scrape_configs": jobs})
    with open_servers() as servers:
        async with open_server("serve", environment=environment, port=port, log=folder / "log") as server:
            prometheus = await asyncio.to_thread(start_metric_server, servers, MetricServerKind.PROMETHEUS, config)
            async with asyncio.TaskGroup() as group:
                busy = group.create_task(keep_busy(server, real_fleet.members[0].name))
                yield prometheus
                busy.cancel()


async def keep_busy(server: RunningServer, cluster: str) -> None:
    """Asks, follows, passes on and is refused, over and over."""
    token = await server.sign_in()
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(server.url, headers=headers) as session:
        stream = {"query": "subscription { podEvents { type } }"}
        async with session.post("/graphql", json=stream, headers={"Accept": "text/event-stream"}):
            while True:
                for query in OPERATIONS:
                    await server.ask(token, query)
                for path in (f"/clusters/{cluster}/api/v1/namespaces", "/nowhere"):
                    async with session.get(path) as answer:
                        await answer.read()
                async with session.post("/token", json={"username": "openmcp", "password": "not this"}) as answer:
                    await answer.read()
                await asyncio.sleep(0.2)


@pytest.mark.parametrize("query", read_queries())
async def test_a_query_shows_something(scraped: MetricServer, query: str) -> None:
    async def shows() -> bool:
        found: list[dict[str, Any]] = await asyncio.to_thread(scraped.query, query)
        return any(sample["value"][1] != "NaN" for sample in found)

    await until(shows, what=query, every=0.2)


def test_each_panel_says_what_it_is_of_once() -> None:
    titles = [panel["title"] for panel in BOARD["panels"]]
    assert len(titles) == len(set(titles))
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(titles)
