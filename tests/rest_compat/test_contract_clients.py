"""Every call that the portals and `omcpctl` were seen to make, sent as they send it, in front of the real fleet.

They read bodies alone and assert shapes; what they would break on is asserted here: `kind`, `items`, objects.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from realfleet.fleet import Fleet
from tests.processes import RunningServer
from tests.rest_compat.serving import Answered, Client, open_client

pytestmark = pytest.mark.real

KUBEFED = "/apis/core.kubefed.io/v1beta1"
PLATFORM = "/apis/openmcp.k8s.io/v1alpha1"
FEDERATED = f"{KUBEFED}/namespaces/kube-federation-system/kubefedclusters"
CLUSTERS = f"{PLATFORM}/namespaces/openmcp/openmcpclusters"
SHOP = "/api/v1/namespaces/shop"
APPS = "/apis/apps/v1"


@pytest.fixture
async def caller(fleet_server: RunningServer) -> AsyncIterator[Client]:
    """Like Go's client: no Accept, no Content-Type of its own."""
    async with open_client(fleet_server.url, await fleet_server.sign_in()) as client:
        yield client


def _object(answer: Answered) -> dict[str, Any]:
    content = json.loads(answer.body)
    assert isinstance(content, dict)
    return content


LISTS = [
    ("openmcp", f"{KUBEFED}/kubefedclusters", "KubeFedClusterList"),
    ("openmcp", FEDERATED, "KubeFedClusterList"),
    ("openmcp", CLUSTERS, "OpenMCPClusterList"),
    ("openmcp", f"{PLATFORM}/openmcpclusters/", "OpenMCPClusterList"),
    ("", f"{PLATFORM}/openmcpclusters", "OpenMCPClusterList"),
    ("cluster1", "/api/v1/nodes", "NodeList"),
    ("cluster1", "/api/v1/pods", "PodList"),
    ("cluster1", "/api/v1/namespaces", "NamespaceList"),
    ("cluster1", "/api/v1/events", "EventList"),
    ("cluster1", "/api/v1/services", "ServiceList"),
    ("cluster1", "/api/v1/secrets", "SecretList"),
    ("cluster1", "/api/v1/configmaps", "ConfigMapList"),
    ("cluster1", "/api/v1/persistentvolumeclaims", "PersistentVolumeClaimList"),
    ("cluster1", f"{SHOP}/pods", "PodList"),
    ("cluster1", f"{SHOP}/events", "EventList"),
    ("cluster1", f"{APPS}/deployments", "DeploymentList"),
    ("cluster1", f"{APPS}/namespaces/shop/deployments", "DeploymentList"),
    ("cluster1", f"{APPS}/namespaces/shop/replicasets", "ReplicaSetList"),
    ("cluster1", f"{APPS}/statefulsets", "StatefulSetList"),
    ("cluster1", "/apis/autoscaling/v1/horizontalpodautoscalers", "HorizontalPodAutoscalerList"),
]


@pytest.mark.parametrize(("cluster", "path", "kind"), LISTS)
async def test_lists_that_clients_read(caller: Client, cluster: str, path: str, kind: str) -> None:
    answer = await caller.ask("GET", f"{path}?clustername={cluster}")
    content = _object(answer)
    assert (answer.status, content["kind"]) == (200, kind)
    assert isinstance(content["items"], list)


OBJECTS = [
    ("openmcp", f"{FEDERATED}/cluster1/", ("spec", "status")),
    ("openmcp", f"{FEDERATED}/cluster1", ("spec", "status")),
    ("openmcp", f"{CLUSTERS}/cluster1", ("spec",)),
    ("cluster1", "/api/v1/nodes/kube1-worker1", ("metadata", "spec", "status")),
    ("cluster1", "/api/v1/namespaces/shop", ("metadata", "status")),
    ("cluster1", f"{APPS}/namespaces/shop/deployments/nginx-deployment", ("metadata", "spec", "status")),
]


@pytest.mark.parametrize(("cluster", "path", "parts"), OBJECTS)
async def test_objects_that_clients_read(caller: Client, cluster: str, path: str, parts: tuple[str, ...]) -> None:
    if "deployments/" in path:
        listed = _object(await caller.ask("GET", f"{APPS}/namespaces/shop/deployments?clustername={cluster}"))
        path = f"{APPS}/namespaces/shop/deployments/{listed['items'][0]['metadata']['name']}"
    answer = await caller.ask("GET", f"{path}?clustername={cluster}")
    content = _object(answer)
    assert answer.status == 200
    assert all(isinstance(content[part], dict) for part in parts)


MISSING = [
    # Kinds that are gone, or not installed, and plurals that the clients build wrongly.
    ("cluster1", "/apis/networking.k8s.io/v1beta1/ingresses", 404),
    ("cluster1", "/apis/autoscaling.k8s.io/v1beta2/verticalpodautoscalers", 404),
    ("openmcp", f"{PLATFORM}/openmcpingresss", 404),
    ("openmcp", f"{PLATFORM}/openmcppolicys", 404),
    ("openmcp", f"{PLATFORM}/openmcpdnsendpoints", 404),
    ("openmcp", f"{PLATFORM}/migrations", 404),
    ("openmcp", f"{PLATFORM}/snapshots", 404),
    ("cluster1", "/apis/v1/namespaces/default/pods", 404),
    ("cluster1", "/api/v1/namespaces/istio-system/services/kiali", 404),
    ("openmcp", f"{FEDERATED}/spare/", 404),
    ("openmcp", f"{CLUSTERS}/nowhere", 404),
    ("cluster1", f"{SHOP}/pods/gone", 404),
    ("nowhere", "/api/v1/nodes", 404),
    ("spare", "/api/v1/pods", 404),
]


@pytest.mark.parametrize(("cluster", "path", "status"), MISSING)
async def test_what_is_missing_crashes_no_client(caller: Client, cluster: str, path: str, status: int) -> None:
    """The widened Status: `status` an object, `items` a list, `message` for omcpctl; `spec` for OpenMCPClusters."""
    answer = await caller.ask("GET", f"{path}?clustername={cluster}")
    content = _object(answer)
    assert (answer.status, content["kind"], content["status"], content["items"]) == (status, "Status", {}, [])
    assert isinstance(content["message"], str)
    assert ("spec" in content) == ("openmcpclusters" in path)


async def test_the_portal_asks_for_usage(caller: Client) -> None:
    node = _object(await caller.ask("GET", "/metrics/nodes/kube1-worker1?clustername=cluster1"))["nodemetrics"][0]
    assert all(isinstance(node[part], dict) for part in ("cpu", "memory", "fs", "network"))
    assert node["cpu"]["CPUUsageNanoCores"].endswith("n")
    assert node["memory"]["MemoryUsageBytes"].endswith("Ki")
    host = await caller.ask("GET", "/metrics/nodes/n?clustername=openmcp")
    assert (host.status, _object(host)) == (200, {"nodemetrics": None})


async def test_the_portal_asks_for_scores(caller: Client) -> None:
    answer = await caller.ask("GET", "/status?clustername=cluster1")
    assert (answer.status, _object(answer)) == (200, {"cluster_status": None})


async def test_the_portal_asks_which_clusters_may_join(caller: Client) -> None:
    answer = await caller.ask("GET", "/joinable")
    (item,) = _object(answer)["items"]
    assert answer.status == 200
    assert list(item) == ["name", "endpoint", "platform", "region", "zone"]
    assert (item["name"], item["endpoint"]) == ("spare", "https://192.0.2.10:6443")


async def test_the_portal_joins_and_unjoins(caller: Client) -> None:
    """A JSON patch that ends with a newline, with an empty clustername, as the older generation sends it."""
    for status, address in (("JOINING", "10.0.0.1"), ("UNJOIN", "")):
        patch = [
            {"op": "replace", "path": "/spec/joinStatus", "value": status},
            {"op": "add", "path": "/spec/metalLBRange/addressFrom", "value": address},
        ]
        answer = await caller.ask(
            "PATCH",
            f"{CLUSTERS}/spare?clustername=",
            body=f"{json.dumps(patch)}\n".encode(),
            Content_Type="application/json-patch+json",
        )
        content = _object(answer)
        assert (answer.status, content["kind"], content["spec"]["joinStatus"]) == (200, "OpenMCPCluster", status)


async def test_the_portal_taints_a_node(caller: Client) -> None:
    target = "/api/v1/nodes/kube1-worker1?clustername=cluster1"
    taints = json.dumps({"spec": {"taints": [{"key": "a", "value": "b", "effect": "PreferNoSchedule"}]}}).encode()
    added = await caller.ask("PATCH", target, body=taints, Content_Type="application/strategic-merge-patch+json")
    keys = [taint["key"] for taint in _object(added)["spec"]["taints"]]
    removal = json.dumps([{"op": "remove", "path": f"/spec/taints/{keys.index('a')}"}]).encode()
    removed = await caller.ask("PATCH", target, body=removal, Content_Type="application/json-patch+json")
    assert (added.status, removed.status) == (200, 200)
    assert "a" not in [taint["key"] for taint in _object(removed)["spec"].get("taints", [])]


async def test_the_portal_creates_and_deletes_without_content_type(caller: Client) -> None:
    body = json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "made"}, "spec": _SERVICE}).encode()
    created = await caller.ask("POST", f"{SHOP}/services?clustername=cluster1", body=body)
    twice = await caller.ask("POST", f"{SHOP}/services?clustername=cluster1", body=body)
    gone = await caller.ask("DELETE", f"{SHOP}/services/made?clustername=cluster1")
    missing = await caller.ask("DELETE", f"{SHOP}/services/made?clustername=cluster1")
    assert (created.status, _object(created)["kind"]) == (201, "Service")
    # A mutation's error is a genuine Status: the portal shows its message.
    assert (twice.status, _object(twice)["kind"], _object(twice)["reason"]) == (409, "Status", "AlreadyExists")
    assert (gone.status, missing.status, _object(gone)["status"]) == (200, 404, "Success")
    assert (_object(missing)["status"], bool(_object(missing)["message"])) == ("Failure", True)


@pytest.mark.parametrize("word", ["daemonset", "daemonsets", "no-such-thing"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_omcpctl_is_told_of_a_word_that_it_does_not_know(caller: Client, method: str, word: str) -> None:
    """It leaves the word out of its URL, and reads the answer into a struct with a number as `code`."""
    path = "/namespaces/default/" + ("" if method in ("GET", "POST") else word)
    answer = await caller.ask(method, f"{path}?clustername=cluster1", body=None if method == "GET" else b"kind: A\n")
    told = _object(answer)
    assert (answer.status, told["kind"], told["code"], told["reason"]) == (404, "Status", 404, "NotFound")
    assert "below /api and /apis" in told["message"]
    assert (told["status"], "items" in told) == (({}, True) if method == "GET" else ("Failure", False))


NO_ROUTES = ("/namespaces", "/namespaces/a/pods/b", "/v1/pods", "/token/", "/join/", "/healthz/")
ROUTES = (
    "/",
    "/graphql/",
    "/version",
    "/token",
    "/metrics",
    "/metrics/pods",
    "/status",
    "/joinable",
    "/join",
    "/healthz",
    "/readyz",
    "/clusters/x",
)


@pytest.mark.parametrize(
    "path", [*NO_ROUTES, *ROUTES, "/graphql", "/graphql/static/none", "/api", "/api/v1/pods/a/b/c"]
)
async def test_no_answer_has_a_code_that_is_no_number(caller: Client, path: str) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        for token, headers in (("", {}), ("x", {"Accept": "*/*"})):
            answer = await caller.ask(method, f"{path}?clustername=cluster1", token=token, **headers)
            told = json.loads(answer.body) if answer.body.startswith(b"{") else {}
            code = told.get("code", 0)
            assert isinstance(code, int), (method, answer.body)
            assert path not in NO_ROUTES or method == "HEAD" or (told["kind"], code) == ("Status", answer.status)


_SERVICE = {"ports": [{"port": 80}], "selector": {"app": "none"}}


async def test_omcpctl_applies_and_deletes(caller: Client) -> None:
    """A PUT that answers NotFound makes it POST; a DELETE carries the manifest."""
    manifest = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndata: {a: one}\n"
    named, many = (f"{SHOP}/configmaps{end}?clustername=cluster1" for end in ("/applied", ""))
    yaml = "application/yaml"
    missing = await caller.ask("PUT", named, body=manifest, Content_Type=yaml)
    # An API server of today creates what a PUT names, where the kind lets it.
    assert missing.status in (201, 404)
    if missing.status == 404:
        assert (_object(missing)["reason"], bool(_object(missing)["message"])) == ("NotFound", True)
        assert (await caller.ask("POST", many, body=manifest, Content_Type=yaml)).status == 201
    again = await caller.ask("PUT", named, body=manifest, Content_Type=yaml)
    gone = await caller.ask("DELETE", named, body=manifest, Content_Type=yaml)
    assert (again.status, gone.status, _object(gone)["status"]) == (200, 200, "Success")


async def test_omcpctl_reads_logs_as_text(real_fleet: Fleet, caller: Client) -> None:
    pod = real_fleet.cluster("cluster1").client.get(f"{SHOP}/pods?limit=1")["items"][0]["metadata"]["name"]
    answer = await caller.ask("GET", f"{SHOP}/pods/{pod}/log?clustername=cluster1")
    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, "text/plain")


async def test_a_member_that_hangs_is_answered_for_in_time(real_fleet: Fleet, caller: Client) -> None:
    """The first requests may still meet it alive; none takes longer, and soon none waits.

    The server here has 6 s instead of its 8 for an answer, so that a slow machine has 3 s of its own.
    """
    statuses: list[int] = []
    with real_fleet.cluster("cluster2").paused():
        while len(statuses) < 5:
            async with asyncio.timeout(9):
                answer = await caller.ask("GET", "/api/v1/pods?clustername=cluster2")
            statuses.append(answer.status)
            assert answer.status == 200 or _object(answer)["items"] == []
        well = await caller.ask("GET", "/api/v1/nodes?clustername=cluster1")
    assert statuses[-1] in (503, 504)
    assert well.status == 200


async def test_a_token_is_asked_for_before_every_call(caller: Client, fleet_server: RunningServer) -> None:
    body = b'{"username":"openmcp","password":"keti"}'
    answer = await caller.ask("POST", "/token", body=body, Content_Type="application/json", Authorization="")
    assert (answer.status, list(_object(answer))) == (200, ["token"])
    wrong = await caller.ask("POST", "/token", body=body.replace(b"keti", b"no"), Authorization="")
    assert (wrong.status, _object(wrong)) == (401, {"error": "invalid_credentials"})
