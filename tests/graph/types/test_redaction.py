"""What the graph shows of an object is without its secrets, whoever asks."""

import json

import pytest

from fleet.kubernetes.codec.codec import PODS
from fleet.model.redaction import LAST_APPLIED, REDACTED, EnvValues
from fleet.model.visibility import EVERYTHING
from fleet.replication.records import decode, encode
from tests.fakes.kubernetes import build_plain, build_pod
from tests.fakes.waiting import until
from tests.graph.conftest import OpenGraph

SECRET = "hunter2"
ENVIRONMENT = [
    {"name": "DB_PASSWORD", "value": SECRET},
    {"name": "DATABASE", "value": f"postgres://ann:{SECRET}@db/shop"},
    {"name": "MODE", "value": "fast"},
    {"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
]
QUERY = """{ pod(cluster: "c1", namespace: "shop", name: "web") {
    manifest annotations { key value } containers { name literalSecrets } } }"""


@pytest.mark.parametrize(("env", "shown"), [("off", {SECRET, "fast"}), ("secrets", {"fast"}), ("all", set())])
async def test_literal_secrets_are_named_and_hidden_where_that_is_wished(
    open_graph: OpenGraph, env: str, shown: set[str]
) -> None:
    pod = build_pod("shop", "web")
    pod["spec"]["containers"][0]["env"] = ENVIRONMENT
    pod["metadata"]["annotations"] = {LAST_APPLIED: json.dumps({"kind": "Pod", "spec": pod["spec"]}).replace(": ", ":")}
    async with open_graph("c1") as graph:
        graph.redact_env = EnvValues(env)
        graph["c1"].put(pod)
        await until(lambda: ("shop", "web") in graph["c1"].objects["Pod"])

        async def found() -> bool:
            return bool((await graph.ask(QUERY))["pod"])

        await until(found)
        answer = (await graph.ask(QUERY))["pod"]
    assert {value for value in (SECRET, "fast") if value in json.dumps(answer["manifest"])} == shown
    assert SECRET not in json.dumps(answer["annotations"])
    assert answer["containers"] == [{"name": "c", "literalSecrets": ["DB_PASSWORD", "DATABASE"]}]


@pytest.mark.parametrize("env", EnvValues)
@pytest.mark.parametrize("kind", ["pod", "node"])
async def test_no_annotation_shows_what_the_manifest_hides_in_it(
    open_graph: OpenGraph, env: EnvValues, kind: str
) -> None:
    secret = json.dumps({"kind": "Secret", "data": {"password": SECRET}})
    environment = json.dumps({"spec": {"containers": [{"env": ENVIRONMENT}]}})
    annotations = {"note": "kept", "tool/secret": secret, "tool/spec": environment, f"tool/{LAST_APPLIED}": environment}
    objects = {"pod": build_pod("shop", "web"), "node": build_plain("Node", "n1")}
    named = {"pod": 'namespace: "shop", name: "web"', "node": 'name: "n1"'}[kind]
    query = f'{{ {kind}(cluster: "c1", {named}) {{ manifest annotations {{ key value }} }} }}'
    objects[kind]["metadata"]["annotations"] = annotations
    async with open_graph("c1") as graph:
        graph.redact_env = env
        graph["c1"].put(objects[kind])

        async def found() -> bool:
            return "tool/spec" in json.dumps((await graph.ask(query))[kind])

        await until(found)
        answer = (await graph.ask(query))[kind]
    shown = {label["key"]: label["value"] for label in answer["annotations"]}
    hidden = {name for name, text in answer["manifest"]["metadata"]["annotations"].items() if text == REDACTED}
    assert shown["note"] == "kept"
    assert "tool/secret" in hidden <= {name for name, text in shown.items() if text == REDACTED}
    assert (SECRET in json.dumps(shown)) is (env is EnvValues.SHOWN)  # of what is no copy


async def test_a_manifest_that_replicas_do_not_share_is_null_and_says_so(open_graph: OpenGraph) -> None:
    pod = build_pod("shop", "web")
    pod["spec"]["containers"][0]["env"] = ENVIRONMENT
    pod["metadata"]["annotations"] = {"note": "kept"}
    record = PODS.build(json.dumps(pod).encode(), "c1")
    async with open_graph("c1") as graph:
        pods = graph.federation._roster.get(EVERYTHING, "c1").stores.pods
        pods.put(decode("pods", encode("pods", record, manifests=False), "c1"))
        result = await graph.execute(QUERY)
    assert result.data == {
        "pod": {
            "manifest": None,
            "annotations": [{"key": "note", "value": "kept"}],
            "containers": [{"name": "c", "literalSecrets": ["DB_PASSWORD", "DATABASE"]}],
        }
    }
    assert result.errors is not None
    (error,) = result.errors
    assert (error.path, (error.extensions or {})["code"]) == (["pod", "manifest"], "NOT_FOUND")
    assert "ask its cluster for it, at /clusters/NAME/api/..." in error.message
