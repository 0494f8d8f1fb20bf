"""Groups of the served fleet: their sums are those over what its API servers say, and over the pods' own usage."""

import json
from collections import defaultdict
from typing import Any

import pytest

from realfleet.fleet import Fleet
from tests.acceptance.plainly import added
from tests.acceptance.truth import Json, number
from tests.processes import RunningServer

pytestmark = pytest.mark.real

GROUPS = """{ pods(first: 10000) {
    totalCount items { cluster { name } namespace name usage { cpuCores memoryBytes } }
    groups(by: [CLUSTER, NAMESPACE], orderBy: [{ usage: MEMORY_PERCENT, percentOf: REQUEST, direction: DESC }]) {
      items { keys { value } count readyCount requests { cpuCores memoryBytes } limits { memoryBytes }
        usage { cpuCores memoryBytes memoryPercent(of: REQUEST) } } }
    workloads: groups(by: [CLUSTER, NAMESPACE, WORKLOAD]) { items { keys { value } count } }
    images: groups(by: IMAGE) { items { keys { value } count } } } }"""


async def ask(served: RunningServer, token: str) -> Any:
    body: Any = await served.ask(token, GROUPS)
    assert "errors" not in body, body["errors"]
    return body["data"]["pods"]


def list_objects(fleet: Fleet, kind: str) -> list[tuple[str, Json]]:
    return [
        (member.name, item)
        for member in fleet.members
        for item in json.loads(member.kubectl("get", kind, "-A", "-o", "json"))["items"]
    ]


def values(group: Any) -> tuple[str, ...]:
    return tuple(key["value"] for key in group["keys"])


async def test_requests_and_limits_are_sums_over_the_pods_of_a_namespace(
    real_fleet: Fleet, served: RunningServer, token: str
) -> None:
    found = {values(group): group for group in (await ask(served, token))["groups"]["items"]}
    expected: dict[tuple[str, ...], list[Json]] = defaultdict(list)
    for cluster, pod in list_objects(real_fleet, "pods"):
        expected[cluster, pod["metadata"]["namespace"]].append(pod)
    assert found.keys() == expected.keys()
    for key, pods in expected.items():
        running = [pod for pod in pods if pod["status"]["phase"] not in ("Succeeded", "Failed")]
        asked = [entry["resources"] for pod in running for entry in pod["spec"]["containers"]]
        group = found[key]
        assert group["count"] == len(pods)
        assert group["readyCount"] == sum(
            all(status["ready"] for status in pod["status"]["containerStatuses"]) for pod in pods
        )
        assert group["requests"]["cpuCores"] == pytest.approx(sum(number(each["requests"]["cpu"]) for each in asked))
        assert group["requests"]["memoryBytes"] == sum(number(each["requests"]["memory"]) for each in asked)
        limits = [number(each["limits"]["memory"]) for each in asked if "limits" in each]
        assert (group["limits"] or {}).get("memoryBytes") == (sum(limits) if limits else None)


async def test_usage_is_the_sum_of_the_pods_own(served: RunningServer, token: str) -> None:
    pods = await ask(served, token)
    assert pods["totalCount"] == len(pods["items"])
    used: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    for pod in pods["items"]:
        if pod["usage"] is not None:
            used[pod["cluster"]["name"], pod["namespace"]].append(pod["usage"])
    percentages = []
    for group in pods["groups"]["items"]:
        for name in ("cpuCores", "memoryBytes"):
            assert group["usage"][name] == pytest.approx(sum(usage[name] for usage in used[values(group)]))
        percentages.append(group["usage"]["memoryPercent"])
        assert percentages[-1] == pytest.approx(group["usage"]["memoryBytes"] / group["requests"]["memoryBytes"] * 100)
    assert percentages == sorted(percentages, reverse=True)


async def test_workloads_are_the_deployments_of_the_clusters(
    real_fleet: Fleet, served: RunningServer, token: str
) -> None:
    pods = await ask(served, token)
    found = {values(group): group["count"] for group in pods["workloads"]["items"]}
    for cluster, deployment in list_objects(real_fleet, "deployments"):
        metadata = deployment["metadata"]
        key = (cluster, metadata["namespace"], f"Deployment/{metadata['name']}")
        assert found.pop(key) == deployment["spec"]["replicas"]
    assert found == {}
    images = [
        image
        for _, pod in list_objects(real_fleet, "pods")
        for image in {entry["image"] for entry in pod["spec"]["containers"]}
    ]
    assert {values(group)[0]: group["count"] for group in pods["images"]["items"]} == {
        image: images.count(image) for image in images
    }


async def test_nodes_by_cluster_sum_up_to_what_the_clusters_say(served: RunningServer, token: str) -> None:
    sums = "{ cpuCores memoryBytes ephemeralStorageBytes pods }"
    shown = f"capacity {sums} allocatable {sums} requested {sums} usage {{ time cpuCores cpuPercent }}"
    history = 'history(last: "10m", step: "1m") { times cpuCores peak: memoryBytes(aggregate: MAX) }'
    query = f"""{{ clusters {{ name {shown} {history} }} nodes(first: 0) {{
      groups(by: CLUSTER) {{ items {{ keys {{ value }} count readyCount {shown} {history} }} }} }} }}"""
    body: Any = await served.ask(token, query)
    assert "errors" not in body, body["errors"]
    clusters = {cluster.pop("name"): cluster for cluster in body["data"]["clusters"]}
    groups = body["data"]["nodes"]["groups"]["items"]
    assert [values(group) for group in groups] == [("cluster1",), ("cluster2",)]
    for group in groups:
        cluster = clusters[values(group)[0]]
        assert group["count"] == group["readyCount"] == 3
        assert {name: group[name] for name in cluster} == cluster


async def test_history_is_the_sum_of_the_pods_own(served: RunningServer, token: str) -> None:
    history = 'history(last: "10m", step: "1m") { cpuCores }'
    query = f"""{{ pods(first: 10000) {{ items {{ namespace {history} }}
      groups(by: NAMESPACE) {{ items {{ keys {{ value }} {history} }} }} }} }}"""
    body: Any = await served.ask(token, query)
    assert "errors" not in body, body["errors"]
    own: dict[str, list[list[float | None]]] = defaultdict(list)
    for pod in body["data"]["pods"]["items"]:
        if pod["history"] is not None:
            own[pod["namespace"]].append(pod["history"]["cpuCores"])
    for group in body["data"]["pods"]["groups"]["items"]:
        assert group["history"]["cpuCores"] == pytest.approx(added(own[values(group)[0]]))
