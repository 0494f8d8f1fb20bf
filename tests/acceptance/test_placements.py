"""A pod is deleted and its Deployment makes another: the graph still knows where the old one ran."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from realfleet.fleet import Fleet
from tests.processes import RunningServer

pytestmark = pytest.mark.real

QUESTION = """query Past($cluster: String!, $node: String!, $namespace: String!, $pod: String!, $time: DateTime!) {
  node(cluster: $cluster, name: $node) { podsAt(time: $time) { namespace name nodeName since until pod { uid } } }
  placements(cluster: $cluster, namespace: $namespace, pod: $pod, last: "1h") { nodeName since until pod { uid } }
}"""


def find_replica(fleet: Fleet, cluster: str) -> dict[str, Any]:
    """A running pod that a ReplicaSet made."""
    pods = json.loads(fleet.kubectl(cluster, "get", "pods", "-A", "-o", "json"))["items"]
    return next(
        pod
        for pod in pods
        if pod["status"]["phase"] == "Running" and pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
    )


def list_pods(fleet: Fleet, cluster: str) -> set[tuple[str, str]]:
    """Namespace and name of all that are there now."""
    pods = json.loads(fleet.kubectl(cluster, "get", "pods", "-A", "-o", "json"))["items"]
    return {(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in pods}


async def test_a_moment_before_its_end_names_the_old_pod(real_fleet: Fleet, served: RunningServer, token: str) -> None:
    pod = find_replica(real_fleet, "cluster1")
    namespace, name, node = pod["metadata"]["namespace"], pod["metadata"]["name"], pod["spec"]["nodeName"]
    before = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    real_fleet.kubectl("cluster1", "delete", "pod", "-n", namespace, name)
    real_fleet.wait_whole()

    variables = {"cluster": "cluster1", "node": node, "namespace": namespace, "pod": name, "time": before}
    body: Any = await served.ask(token, QUESTION, variables)
    assert "errors" not in body, body["errors"]
    there = {(entry["namespace"], entry["name"]): entry for entry in body["data"]["node"]["podsAt"]}
    assert there[namespace, name]["pod"] is None
    assert all(entry["nodeName"] == node and entry["since"] <= before for entry in there.values())
    (placement,) = body["data"]["placements"]
    assert (placement["nodeName"], placement["pod"]) == (node, None)
    living = list_pods(real_fleet, "cluster1")
    assert len(there) > 1
    assert {key: entry["pod"] is not None for key, entry in there.items()} == {key: key in living for key in there}
