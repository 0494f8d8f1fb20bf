"""`kubectl top` where the member has no metrics-server: by the usage that this server has."""

import json
import ssl
from typing import Any

import aiohttp
import pytest

from tests.fakes.waiting import until
from tests.kubectl.conftest import Both
from tests.kubectl.running import Kubectl

pytestmark = pytest.mark.real

ROOT = "/apis/metrics.k8s.io/v1beta1"
USAGE = """{ pods(first: 1000, filter: {clusters: ["cluster1"], namespaces: ["shop"]}) {
  items { name usage { cpuCores memoryBytes } } } }"""


async def raw(kubectl: Kubectl, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await kubectl.must(f"get --raw {path}"))
    return found


async def names(kubectl: Kubectl, line: str) -> set[str]:
    return {row.split()[0] for row in (await kubectl.must(f"top {line} --no-headers")).splitlines()}


def amounts(item: dict[str, Any]) -> tuple[float, int]:
    (container,) = item["containers"]
    usage = container["usage"]
    return int(usage["cpu"].removesuffix("n")) / 1e9, int(usage["memory"].removesuffix("Ki")) * 1024


async def test_members_have_no_metrics_api_of_their_own(both: Both) -> None:
    assert "Metrics API not available" in (await both.directly.run("top nodes")).errors


async def test_nodes_and_pods_are_those_that_have_usage(both: Both) -> None:
    pods = both.member.client.get("/api/v1/namespaces/shop/pods")["items"]
    shop = {pod["metadata"]["name"] for pod in pods}
    nodes = {node["metadata"]["name"] for node in both.member.client.get("/api/v1/nodes")["items"]}
    assert await names(both.through, "nodes") == nodes
    assert await names(both.through, "pods -n shop") == shop
    one = min(shop)
    app = next(pod["metadata"]["labels"]["app"] for pod in pods if pod["metadata"]["name"] == one)
    selected = {pod["metadata"]["name"] for pod in pods if pod["metadata"]["labels"]["app"] == app}
    assert await names(both.through, f"pods -n shop -l app={app}") == selected
    assert await names(both.through, f"pod {one} -n shop") == {one}
    assert await names(both.through, f"pods -n shop --field-selector metadata.name={one}") == {one}
    everywhere = await both.through.must("top pods -A --no-headers")
    assert len(everywhere.splitlines()) == len(both.member.list_pods())


async def test_values_are_the_graph_s(both: Both) -> None:
    headers, trusted = {"Authorization": f"Bearer {both.token}"}, ssl.create_default_context(cafile=both.ca_file)

    async def are_the_same() -> bool:
        """Where no new points came in between."""
        listed = await raw(both.through, f"{ROOT}/namespaces/shop/pods")
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{both.server.url}/graphql", json={"query": USAGE}, ssl=trusted) as answer,
        ):
            items = (await answer.json())["data"]["pods"]["items"]
        told = {item["name"]: (item["usage"]["cpuCores"], int(item["usage"]["memoryBytes"])) for item in items}
        found = {item["metadata"]["name"]: amounts(item) for item in listed["items"]}
        return found.keys() == told.keys() and all(
            abs(found[name][0] - cpu) < 1e-8 and abs(found[name][1] - memory) <= 512
            for name, (cpu, memory) in told.items()
        )

    await until(are_the_same, what="both tell of the same points", every=0.2)


async def test_either_url_answers_and_discovery_names_it(both: Both) -> None:
    assert "metrics.k8s.io/v1beta1" in await both.through.must("api-versions")
    resources = await both.through.must("api-resources --api-group metrics.k8s.io --no-headers")
    assert [row.split()[0] for row in resources.splitlines()] == ["nodes", "pods"]
    assert {each["name"] for each in (await raw(both.through, ROOT))["resources"]} == {"nodes", "pods"}
    headers, trusted = {"Authorization": f"Bearer {both.token}"}, ssl.create_default_context(cafile=both.ca_file)
    async with aiohttp.ClientSession(headers=headers) as session:
        for path, status in {f"{ROOT}/nodes": 200, f"{ROOT}/nodes/none": 404, f"{ROOT}/x": 404, "/apis": 200}.items():
            async with session.get(f"{both.server.url}{path}?clustername=cluster1", ssl=trusted) as answer:
                assert answer.status == status, path
                assert status != 200 or "metrics.k8s.io/v1beta1" in await answer.text()
