"""Nothing that answers hide leaves the process with a record, and answers made of what leaves are the same."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.kubernetes.codec.codec import NODES, PODS
from fleet.kubernetes.codec.pods import annotations_of, pod_details
from fleet.model.manifests import compress, load_manifest, load_raw_manifest
from fleet.model.objects import Node, Pod
from fleet.model.redaction import LAST_APPLIED, EnvValues, redact_annotations
from fleet.replication.manifests import share_manifest
from fleet.replication.records import decode, encode
from realfleet.nats import NatsServer
from tests.fakes.waiting import PATIENCE
from tests.fleet.replication.writing import (
    CLUSTER,
    build_member,
    fill,
    fill_all,
    open_client,
    open_writer,
    read_stream,
)
from tests.fuzz.members import NODE, POD

PLANTED = "hunter2"
URL = f"postgres://ann:{PLANTED}@db/shop"
VARIABLES = [
    {"name": "DB_PASSWORD", "value": PLANTED},
    {"name": "DATABASE", "value": URL},
    {"name": "API_TOKEN", "value": ""},
    {"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
    {"name": "MODE", "value": "fast"},
    {"name": "MODE", "value": ""},
    {"value": URL},
]
SECRETS = [
    {"kind": "Secret", "metadata": {"name": "s"}, "data": {"a": PLANTED}},
    {"kind": "SecretList", "items": [{"stringData": {"a": PLANTED}}]},
    {"kind": "FederatedSecret", "spec": {"template": {"data": PLANTED}}},
    {"kind": "OpenMCPCluster", "spec": {"kubeconfigInfo": PLANTED}},
    {"kind": "ConfigMap", "metadata": {"labels": {"owner": "helm"}}, "data": {"release": PLANTED}},
]
COPIES = [
    "plain text",
    *map(json.dumps, SECRETS),
    json.dumps({"spec": {"containers": [{"env": VARIABLES}]}}),
    json.dumps({"metadata": {"annotations": {LAST_APPLIED: json.dumps(SECRETS[0])}}}),
]
NAMES = [
    "note",
    LAST_APPLIED,
    f"tool/{LAST_APPLIED}",
    "objectset.rio.cattle.io/applied",
    "x/last-handled-configuration",
]
ANNOTATIONS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(COPIES), max_size=3)
ENVIRONMENTS = st.lists(st.sampled_from(VARIABLES), max_size=3)


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@st.composite
def pods(draw: st.DrawFn) -> Pod:
    """Pods with secrets in each place that may have one."""
    containers = [{"name": name, "env": draw(ENVIRONMENTS)} for name in "ab"]
    claim = {"ephemeral": {"volumeClaimTemplate": {"metadata": {"annotations": draw(ANNOTATIONS)}}}}
    spec = {"containers": containers, "initContainers": [{"name": "i", "env": draw(ENVIRONMENTS)}], "volumes": [claim]}
    if draw(st.booleans()):
        spec["embedded"] = draw(st.sampled_from(SECRETS))
    metadata = POD["metadata"] | {"annotations": draw(ANNOTATIONS)}
    return PODS.build(as_json(POD | {"metadata": metadata, "spec": POD["spec"] | spec}), "c")


def answers(record: Pod | Node, env: EnvValues) -> tuple[Any, ...]:
    """All that is made of a manifest."""
    return load_manifest(record.manifest, env), *details_of(record, env)


def details_of(record: Pod | Node, env: EnvValues) -> tuple[Any, ...]:
    annotations = redact_annotations(annotations_of(record.manifest), env)
    return annotations, replace(pod_details(record), annotations=()) if isinstance(record, Pod) else None


@pytest.mark.parametrize("env", EnvValues)
@settings(max_examples=300, deadline=None)
@given(pod=pods())
def test_answers_of_what_is_shared_are_those_of_the_object(env: EnvValues, pod: Pod) -> None:
    body = encode("pods", pod, manifests=True, env=env)
    shared = decode("pods", body, "c")
    assert answers(shared, env) == answers(pod, env)
    assert encode("pods", shared, manifests=True, env=env) == body  # by the next writer, who has followed
    shown = PLANTED in json.dumps(answers(pod, env)[:2])
    assert (PLANTED in load_raw_manifest(shared.manifest).decode()) is shown
    reduced = decode("pods", encode("pods", pod, manifests=False, env=env), "c")
    assert details_of(reduced, env) == details_of(pod, env)
    shown = PLANTED in json.dumps(details_of(pod, env)[0])
    assert (PLANTED in load_raw_manifest(reduced.manifest).decode()) is shown


def planted(sample: dict[str, Any]) -> bytes:
    annotations = {f"{number}/{LAST_APPLIED}": text for number, text in enumerate(COPIES)}
    metadata = sample["metadata"] | {"annotations": annotations}
    spec = sample["spec"] | {"containers": [{"name": "c", "env": VARIABLES}]}
    return as_json(sample | {"metadata": metadata, "spec": spec, "embedded": SECRETS})


@pytest.mark.parametrize(
    ("env", "manifests"), [(EnvValues.SECRETS, True), (EnvValues.ALL, True), (EnvValues.SHOWN, False)]
)
async def test_no_planted_secret_is_in_a_stream(nats_server: NatsServer, env: EnvValues, manifests: bool) -> None:
    pod, node = PODS.build(planted(POD), CLUSTER), NODES.build(planted(NODE), CLUSTER)
    member = build_member()
    fill_all(member, [pod])
    fill(member.nodes, [node])
    url = nats_server.url
    async with open_writer(url, member, manifests=manifests, redact_env=env) as writer, open_client(url) as client:
        await writer.publisher.drain(PATIENCE)
        held = await read_stream(client)
    shared_pod, shared_node = held.of("pods")[pod.name], held.of("nodes")[node.name]
    for shared, record in ((shared_pod, pod), (shared_node, node)):
        assert load_raw_manifest(record.manifest).decode().count(PLANTED) > 10
        assert PLANTED not in load_raw_manifest(shared.manifest).decode()
        read = answers if manifests else details_of
        assert read(shared, env) == read(record, env)
    assert not any(PLANTED.encode() in body for body in held.bodies.values())


def test_what_is_no_object_is_not_shared() -> None:
    for blob in (b"", b"x", compress(b'{"kind":"Secret"'), compress(b'["kind":"Secret"]')):
        assert share_manifest(blob, EnvValues.SHOWN, whole=True) == b""
