"""A member with the real metrics-server: `kubectl top` through this server, and usage that is collected from it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from realfleet.cache import MissingServersError, find_metrics_server
from realfleet.cluster import Cluster
from realfleet.fleet import Fleet, open_fleet
from realfleet.metrics_server import CPU_ANNOTATION, MEMORY_ANNOTATION
from tests.kubectl.conftest import Secured, open_secured
from tests.kubectl.running import Kubectl
from tests.required import go_without

pytestmark = pytest.mark.real

SECONDS = 60.0
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Measured:
    """One member's kubectl by both ways, and the server between."""

    through: Kubectl
    directly: Kubectl
    member: Cluster
    served: Secured


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    try:
        find_metrics_server()
    except MissingServersError as error:
        go_without(f"run make real: {error!s}")
    with open_fleet(members=1, pods=6, nodes=2, influx=False, metrics_servers=True) as fleet:
        yield fleet


@pytest.fixture(scope="module")
async def measured(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Measured]:
    folder, member = tmp_path_factory.mktemp("top"), fleet.cluster("cluster1")
    collecting = {
        "OPENMCP_METRIC_STORE": "embedded",
        "OPENMCP_EMBEDDED_FILE": str(folder / "usage.sqlite"),
        "OPENMCP_COLLECT_INTERVAL": "2s",
    }
    async with open_secured(fleet.environment() | collecting, folder) as served:
        kubeconfig = served.write_kubeconfig(folder / "through.yaml", ["cluster1"])
        through = Kubectl(member.kubectl_program, kubeconfig, folder / "through")
        directly = Kubectl(member.kubectl_program, fleet.kubeconfig, folder / "directly")
        yield Measured(through, directly, member, served)


def one_pod(member: Cluster) -> str:
    return str(member.client.get("/api/v1/namespaces/shop/pods")["items"][0]["metadata"]["name"])


async def top(kubectl: Kubectl, line: str) -> list[list[str]]:
    """The words of each row, without CPU, which is another one each time."""
    rows = [row.split() for row in (await kubectl.must(f"top {line} --no-headers")).splitlines()]
    return sorted([word for word in row if not word.endswith("m")] for row in rows)


async def ask(measured: Measured, query: str) -> dict[str, Any]:
    answer: dict[str, Any] = await measured.served.plain.ask(measured.served.token, query)
    assert "errors" not in answer, answer
    return dict(answer["data"])


async def test_top_is_the_same_by_both_ways(measured: Measured) -> None:
    for line in ("pods --namespace shop", "pods --all-namespaces", "nodes"):
        rows = await top(measured.through, line)
        assert rows
        assert rows == await top(measured.directly, line)


async def test_usage_is_what_metrics_server_says_and_follows_it(measured: Measured) -> None:
    pod = one_pod(measured.member)
    await measured.directly.must(
        f"annotate pod {pod} --namespace shop {CPU_ANNOTATION}=250m {MEMORY_ANNOTATION}=300Mi --overwrite"
    )
    text = f'{{ pod(cluster: "cluster1", namespace: "shop", name: "{pod}") {{ usage {{ cpuCores memoryBytes }} }} }}'
    async with asyncio.timeout(SECONDS):
        while True:
            usage = (await ask(measured, text))["pod"]["usage"]
            if usage is not None and usage["memoryBytes"] == 300 * MEBIBYTE and usage["cpuCores"] > 0.2:
                break
            await asyncio.sleep(0.5)
    assert usage["cpuCores"] == pytest.approx(0.25, abs=0.05)
    assert ["300Mi" in row for row in await top(measured.through, f"pod {pod} --namespace shop")] == [True]


async def test_nodes_have_what_metrics_server_measures_and_nothing_else(measured: Measured) -> None:
    text = "{ nodes { items { name usage { memoryBytes fsUsedBytes } } } }"
    said = json.loads(await measured.directly.must("get --raw /apis/metrics.k8s.io/v1beta1/nodes"))
    names = {item["metadata"]["name"] for item in said["items"]}
    nodes = (await ask(measured, text))["nodes"]["items"]
    assert {node["name"] for node in nodes} == names
    assert all(node["usage"]["memoryBytes"] >= MEBIBYTE for node in nodes)
    assert all(node["usage"]["fsUsedBytes"] is None for node in nodes)
