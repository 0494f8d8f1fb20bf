"""What pods ask for, beside what kubectl makes of the same pods on a real API server."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.model.kinds import PODS
from fleet.model.objects import PodKey
from fleet.model.quantities import parse_bytes, parse_cores
from fleet.registry import FleetOptions, open_federation
from realfleet.fleet import Fleet
from tests.fakes.kubernetes import FakeSource
from tests.fakes.waiting import until
from tests.graph.conftest import ADMIN, Graph

pytestmark = pytest.mark.real

NODE = "kube1-worker1"
AMOUNTS = "requests { cpuCores memoryBytes } limits { cpuCores memoryBytes }"
NAMED = '{{ pod(cluster: "cluster1", namespace: "default", name: "{name}") {{ {fields} }} }}'
ON_NODE = f"""{{ node(cluster: "cluster1", name: "{NODE}") {{ requested {{ cpuCores memoryBytes pods }}
  pods(first: 1000) {{ items {{ namespace name {AMOUNTS} }} }} }} }}"""


def asks(cpu: str, memory: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": "4", "memory": "4Gi"}}


SMALL, SOME, LARGE = asks("100m", "64Mi"), asks("250m", "96Mi"), asks("300m", "128Mi")
INFEASIBLE = {"type": "PodResizePending", "status": "True", "reason": "Infeasible"}
DEFERRED = INFEASIBLE | {"reason": "Deferred"}


def build_status(asked: dict[str, Any], actual: dict[str, Any] | None, allocated: dict[str, Any] | None) -> Any:
    """Container `c`, to be resized to what is asked for: what it has, and what it was promised."""
    status = {"name": "c", "image": "a:1", "imageID": "", "ready": True, "restartCount": 0}
    if actual is not None:
        status["resources"] = actual
    if allocated is not None:
        status["allocatedResources"] = allocated["requests"]
    return {"c": asked}, {"containerStatuses": [status]}


RESIZED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "asked": build_status(LARGE, SMALL, SMALL),
    "promised": build_status(SMALL, SMALL, LARGE),
    "had": build_status(SMALL, LARGE, SMALL),
    "each-its-own": build_status(asks("100m", "128Mi"), asks("300m", "64Mi"), SOME),
    "no-actual": build_status(SMALL, None, LARGE),
    "settled": build_status(SOME, SOME, SOME),
    "infeasible": build_status(LARGE, SMALL, SOME),
    "deferred": build_status(LARGE, SMALL, SOME),
}
RESIZED["infeasible"][1]["conditions"] = [INFEASIBLE]
RESIZED["deferred"][1]["conditions"] = [DEFERRED]
_, sidecar = build_status(SMALL, LARGE, LARGE)
RESIZED["sidecar"] = (
    {"c": SMALL},
    {"initContainerStatuses": [entry | {"name": "side"} for entry in sidecar["containerStatuses"]]},
)


def build_pod(name: str, resources: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {"nodeName": NODE, "containers": [{"name": "c", "image": "a:1", "resources": resources}]}
    if name == "sidecar":
        spec["initContainers"] = [{"name": "side", "image": "a:1", "restartPolicy": "Always", "resources": SMALL}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


@contextmanager
def made(fleet: Fleet, *pods: dict[str, Any]) -> Iterator[None]:
    """Pods that run on a node; gone again after it."""
    names = [f"pod/{pod['metadata']['name']}" for pod in pods]
    fleet.kubectl("cluster1", "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
    try:
        fleet.kubectl("cluster1", "wait", "--for=jsonpath={.status.phase}=Running", "--timeout=60s", *names)
        yield
    finally:
        fleet.kubectl("cluster1", "delete", "--grace-period=0", "--force", *names)
        fleet.wait_whole()


@pytest.fixture(scope="module")
async def graph(real_fleet: Fleet) -> AsyncIterator[Graph]:
    async with (
        open_kubeconfig_source((real_fleet.kubeconfig,)) as source,
        open_federation(source, FleetOptions(member_timeout=4.0)) as federation,
    ):
        await federation.wait_synced(20)
        yield Graph(FakeSource(), federation)


def patch_statuses(fleet: Fleet) -> dict[str, str]:
    """Resizes in all their states; the version of each pod that has its own."""
    versions = {}
    for name, (_, status) in RESIZED.items():
        options = ("--subresource=status", "--type=strategic", "-p", json.dumps({"status": status}), "-o", "json")
        patched = json.loads(fleet.kubectl("cluster1", "patch", "pod", name, *options))
        versions[name] = patched["metadata"]["resourceVersion"]
    return versions


def read_described(text: str) -> dict[str, list[str]]:
    """CPU and memory, requests and limits of each pod of `describe node`."""
    lines = re.sub(r" \(\d+%\)", "", text.partition("Non-terminated Pods:")[2]).splitlines()
    words = [line.split() for line in lines]
    return {row[1]: row[2:6] for row in words if len(row) == 7 and row[0].isalpha()}


async def test_a_resize_in_progress_counts_as_for_kubectl(real_fleet: Fleet, graph: Graph) -> None:
    with made(real_fleet, *(build_pod(name, resources["c"]) for name, (resources, _) in RESIZED.items())):
        versions = await asyncio.to_thread(patch_statuses, real_fleet)
        for name, version in versions.items():
            key = PodKey("cluster1", "default", name)
            await until(
                lambda key=key, version=version: (  # type: ignore[misc]  # bound now
                    (found := graph.federation.get_cached(PODS, ADMIN.scope, key)) and found.resource_version == version
                ),
            )
        described = await asyncio.to_thread(real_fleet.kubectl, "cluster1", "describe", "node", NODE)
        node = (await graph.ask(ON_NODE))["node"]
        containers = {
            name: (await graph.ask(NAMED.format(name=name, fields=f"containers {{ {AMOUNTS} }}")))["pod"]["containers"]
            for name in RESIZED
        }
    shown = {pod["name"]: (pod["requests"] or {}, pod["limits"] or {}) for pod in node["pods"]["items"]}
    wanted = {
        name: [parse_cores(amounts[0]), parse_cores(amounts[1]), parse_bytes(amounts[2]), parse_bytes(amounts[3])]
        for name, amounts in read_described(described).items()
    }
    found = {
        name: [amounts.get(field) or 0 for field in ("cpuCores", "memoryBytes") for amounts in pair]
        for name, pair in shown.items()
    }
    assert set(RESIZED) <= set(found)
    assert found == wanted
    # Not kubectl's own total, which leaves statuses out that its lines and the scheduler count.
    assert node["requested"] == {
        "cpuCores": pytest.approx(sum(amounts[0] for amounts in wanted.values())),
        "memoryBytes": sum(amounts[2] for amounts in wanted.values()),
        "pods": len(wanted),
    }
    for name, (_, *others) in ((name, each) for name, each in containers.items() if name != "sidecar"):
        assert not others
        assert containers[name][0]["requests"]["cpuCores"] == wanted[name][0]


async def test_a_pod_that_asks_for_more_than_64_bits_costs_only_its_own_amount(real_fleet: Fleet, graph: Graph) -> None:
    name = "boundless"
    with made(real_fleet, build_pod(name, {"requests": {"cpu": "10m", "memory": "20E"}})):
        key = PodKey("cluster1", "default", name)
        await until(lambda: graph.federation.get_cached(PODS, ADMIN.scope, key))
        printed = real_fleet.kubectl(
            "cluster1", "get", "pod", name, "-o", "jsonpath={.spec.containers[0].resources.requests.memory}"
        )
        pod = await graph.execute(NAMED.format(name=name, fields="name requests { cpuCores memoryBytes }"))
        sums = await graph.execute("{ clusters { name requested { cpuCores memoryBytes } } nodes { totalCount } }")
    assert parse_bytes(printed) == 20 * 10**18
    assert pod.data == {"pod": {"name": name, "requests": {"cpuCores": 0.01, "memoryBytes": None}}}
    assert [(error.path, (error.extensions or {})["code"]) for error in pod.errors or ()] == [
        (["pod", "requests", "memoryBytes"], "OUT_OF_RANGE")
    ]
    assert sums.data is not None
    found = {cluster["name"]: cluster["requested"] for cluster in sums.data["clusters"]}
    assert found["cluster1"]["memoryBytes"] is None
    assert found["cluster1"]["cpuCores"] > 0
    assert found["cluster2"]["memoryBytes"] > 0
