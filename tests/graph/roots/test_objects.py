"""Single objects: every plain field, what is not there, and ids."""

import json
from typing import Any

import pytest

from tests.fakes.kubernetes import Object, build_pod
from tests.graph.conftest import SHOPPER, OpenGraph


def build_full_pod() -> Object:
    pod = build_pod("shop", "web-1", node="n1", app="web")
    pod["metadata"] |= {
        "annotations": {"note": "hello"},
        "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": True}
        ],
    }
    pod["spec"]["containers"][0]["resources"]["limits"] = {"cpu": "200m", "memory": "2Mi"}
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    pod["status"] = {
        "phase": "Running",
        "podIP": "10.0.0.7",
        "hostIP": "192.168.0.1",
        "qosClass": "Burstable",
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2024-05-01T10:00:00Z"}],
        "containerStatuses": [{"name": "c", "image": "i", "ready": False, "restartCount": 3, "state": state}],
    }
    return pod


POD = """{ pod(cluster: "c1", namespace: "shop", name: "web-1") {
  id namespace name uid phase status ready restarts createdAt nodeName podIP hostIP qosClass
  labels { key value } annotations { key value } owner { apiVersion kind name }
  requests { cpuCores memoryBytes ephemeralStorageBytes pods } limits { cpuCores }
  containers { name image init ready restarts state { kind reason exitCode } lastState { kind } requests { cpuCores } }
  conditions { type status lastTransitionAt } manifest } }"""


async def test_every_field_of_a_pod(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=0) as graph:
        graph["c1"].put(build_full_pod())
        pod: Any = None
        while pod is None:
            pod = (await graph.ask(POD))["pod"]
    manifest, identity = pod.pop("manifest"), pod.pop("id")
    assert manifest["metadata"]["name"] == "web-1"
    assert isinstance(identity, str)
    assert pod == {
        "namespace": "shop",
        "name": "web-1",
        "uid": "uid-shop-web-1",
        "phase": "RUNNING",
        "status": "CrashLoopBackOff",
        "ready": "0/1",
        "restarts": 3,
        "createdAt": "2024-05-01T10:00:00Z",
        "nodeName": "n1",
        "podIP": "10.0.0.7",
        "hostIP": "192.168.0.1",
        "qosClass": "Burstable",
        "labels": [{"key": "app", "value": "web"}],
        "annotations": [{"key": "note", "value": "hello"}],
        "owner": {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web"},
        "requests": {"cpuCores": 0.1, "memoryBytes": 1 << 20, "ephemeralStorageBytes": None, "pods": None},
        "limits": {"cpuCores": 0.2},
        "containers": [
            {
                "name": "c",
                "image": "i",
                "init": False,
                "ready": False,
                "restarts": 3,
                "state": {"kind": "waiting", "reason": "CrashLoopBackOff", "exitCode": None},
                "lastState": None,
                "requests": {"cpuCores": 0.1},
            }
        ],
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionAt": "2024-05-01T10:00:00Z"}],
    }
    json.dumps(manifest)


async def test_every_field_of_a_node_and_its_cluster(open_graph: OpenGraph) -> None:
    query = """{ node(cluster: "c1", name: "n1") { name uid roles ready status unschedulable taints { key value effect }
      addresses { type address } internalIP kubeletVersion osImage architecture region zone createdAt labels { key }
      annotations { key } conditions { type } capacity { cpuCores memoryBytes pods } allocatable { cpuCores } manifest
      cluster { name role health message version platform region zones joinStatus } } }"""
    async with open_graph("c1", pods=0) as graph:
        node = (await graph.ask(query))["node"]
    assert node["capacity"] == {"cpuCores": 4.0, "memoryBytes": 8 << 30, "pods": 110}
    assert node["allocatable"] == {"cpuCores": 2.0}
    assert (node["roles"], node["taints"], node["internalIP"]) == ([], [], None)
    assert node["manifest"]["kind"] == "Node"
    assert node["cluster"] | {"version": None} == {
        "name": "c1",
        "role": "MEMBER",
        "health": "READY",
        "message": None,
        "version": None,
        "platform": None,
        "region": None,
        "zones": [],
        "joinStatus": None,
    }


async def test_an_id_finds_its_object_again(open_graph: OpenGraph) -> None:
    find = """query Find($id: ID!) { object(id: $id) {
      __typename id ... on Pod { name usage { cpuCores } } ... on Node { ready } } }"""
    async with open_graph("c1", pods=1) as graph:
        data = await graph.ask("{ pods { items { id } } nodes(first: 1) { items { id } } }")
        pod = (await graph.ask(find, data["pods"]["items"][0]))["object"]
        node = (await graph.ask(find, data["nodes"]["items"][0]))["object"]
        wrong = await graph.fail(find, {"id": "cG9k"})
    assert (pod["__typename"], pod["name"], pod["usage"]) == ("Pod", "p0", {"cpuCores": 0.05})
    assert (node["__typename"], node["id"]) == ("Node", data["nodes"]["items"][0]["id"])
    assert wrong["code"] == "BAD_USER_INPUT"


async def test_what_is_not_there_is_null(open_graph: OpenGraph) -> None:
    query = (
        '{ pod(cluster: "c1", namespace: "shop", name: "none") { name } node(cluster: "c1", name: "none") { name } }'
    )
    async with open_graph("c1") as graph:
        assert await graph.ask(query) == {"pod": None, "node": None}


@pytest.mark.parametrize(
    "query",
    [
        '{ cluster(name: "nope") { name } }',
        '{ pod(cluster: "nope", namespace: "a", name: "b") { name } }',
        '{ pods(filter: {clusters: ["nope"]}) { totalCount } }',
        '{ cluster(name: "c1") { pods(filter: {clusters: ["nope"]}) { totalCount } } }',
    ],
)
async def test_a_cluster_that_does_not_exist_is_an_error_anywhere(open_graph: OpenGraph, query: str) -> None:
    async with open_graph("c1") as graph:
        error = await graph.fail(query)
    assert (error["code"], error["cluster"]) == ("NOT_FOUND", "nope")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ('{ cluster(name: "c2") { name } }', "NOT_FOUND"),
        ('{ pods(filter: {clusters: ["c2"]}) { totalCount } }', "NOT_FOUND"),
        ('{ pod(cluster: "c1", namespace: "ops", name: "p1") { name } }', "FORBIDDEN"),
        ('{ node(cluster: "c1", name: "n1") { name } }', "FORBIDDEN"),
    ],
)
async def test_naming_what_is_out_of_reach_is_an_error(open_graph: OpenGraph, query: str, code: str) -> None:
    async with open_graph("c1", "c2") as graph:
        assert (await graph.fail(query, who=SHOPPER))["code"] == code


async def test_an_object_of_an_ill_cluster_is_an_error_that_names_it(open_graph: OpenGraph) -> None:
    query = """{ pod(cluster: "c2", namespace: "shop", name: "p0") { name }
      cluster(name: "c2") { name pods { totalCount } } }"""
    async with open_graph("c1", "c2") as graph:
        await graph.hang("c2")
        result = await graph.execute(query)
    assert [error.extensions for error in result.errors or ()] == [{"code": "CLUSTER_TIMEOUT", "cluster": "c2"}]
    assert result.data == {"pod": None, "cluster": {"name": "c2", "pods": {"totalCount": 0}}}


async def test_the_viewer_is_who_asks(open_graph: OpenGraph) -> None:
    query = "{ viewer { name groups role clusters namespaces expiresAt } }"
    async with open_graph("c1") as graph:
        viewer = (await graph.ask(query, who=SHOPPER))["viewer"]
    assert viewer == {
        "name": "sam",
        "groups": [],
        "role": "VIEW",
        "clusters": ["c1"],
        "namespaces": ["shop"],
        "expiresAt": None,
    }
