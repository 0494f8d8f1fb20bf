"""Lists and watch lines, from bytes to models."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from fleet.kubernetes.codec.codec import NAMESPACES, NODES, PODS, EventType
from fleet.kubernetes.codec.convert import parse_time
from fleet.kubernetes.codec.pods import annotations_of, pod_details
from fleet.kubernetes.codec.wire import DecodeError
from fleet.model.errors import ClusterAnswerInvalid
from fleet.model.manifests import load_manifest
from fleet.model.objects import ContainerState, NodeAddress, Owner, PodPhase, Resources, Taint
from tests.fleet.kubernetes.codec.objects import list_of, pod, running, terminated


def event(kind: str, manifest: Any) -> bytes:
    return json.dumps({"type": kind, "object": manifest}).encode()


def as_servers_write(kind: str, manifest: Any) -> bytes:
    """Without a space, which is read in a shorter way."""
    return json.dumps({"type": kind, "object": manifest}, separators=(",", ":")).encode()


def node(status: dict[str, Any] | None = None, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "n1", "labels": labels or {}}, "spec": spec, "status": status or {}}


def ready(status: str) -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": status}]}


def test_pod_fields() -> None:
    owners = [
        {"apiVersion": "v1", "kind": "A", "name": "a", "uid": "1"},
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "2", "controller": True},
    ]
    manifest = pod(
        "Running",
        [running()],
        metadata={"labels": {"b": "2", "a": "1"}, "ownerReferences": owners},
        spec={"nodeName": "n1", "serviceAccountName": "sa", "restartPolicy": "Always", "schedulerName": "s"},
        podIP="10.0.0.1",
        hostIP="10.1.0.1",
        qosClass="BestEffort",
    )
    (record,) = PODS.decode_list(list_of("Pod", manifest), "cluster1").records
    assert record.key == ("cluster1", "default", "pod1")
    assert (record.uid, record.resource_version, record.created_at) == ("u1", "7", 1767225600.0)
    assert (record.phase, record.status, record.ready_containers) == (PodPhase.RUNNING, "Running", 1)
    assert (record.node_name, record.pod_ip, record.host_ip, record.qos_class) == (
        "n1",
        "10.0.0.1",
        "10.1.0.1",
        "BestEffort",
    )
    assert (record.service_account, record.restart_policy, record.scheduler_name) == ("sa", "Always", "s")
    assert record.labels == (("a", "1"), ("b", "2"))
    assert record.owner == Owner("apps/v1", "ReplicaSet", "rs", "2")


def test_repeated_strings_are_shared() -> None:
    manifest = pod(metadata={"labels": {"app": "web-front-end"}}, spec={"nodeName": "a-node-name"})
    one, two = PODS.decode_list(list_of("Pod", manifest, manifest), "cluster1").records
    assert one.node_name is two.node_name
    assert one.namespace is two.namespace
    assert one.labels[0][1] is two.labels[0][1]


@pytest.mark.parametrize("phase", ["", "Unknown", "Sleeping"])
def test_an_unknown_phase_is_unknown(phase: str) -> None:
    (record,) = PODS.decode_list(list_of("Pod", pod(phase)), "c").records
    assert record.phase is PodPhase.UNKNOWN


def test_a_malformed_object_is_reported_and_the_others_are_kept() -> None:
    bad = [
        {"metadata": {"name": "x", "namespace": "y"}, "spec": 1},
        pod(metadata={"name": "z"}, spec={"overhead": {"cpu": "lots"}}),
        7,
    ]
    page = PODS.decode_list(list_of("Pod", pod(), *bad, pod(), token="next"), "c")
    assert (len(page.records), page.continue_token, page.resource_version) == (2, "next", "100")
    assert [complaint.split(" can't be read")[0] for complaint in page.malformed] == [
        "Pod y/x",
        "Pod default/z",
        "Pod without a name",
    ]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"<html>", b'{"kind":"Status","code":500}', list_of("Node"), b'{"kind":"PodList","items":3}'],
)
def test_what_is_no_list_of_pods_is_an_error(body: bytes) -> None:
    with pytest.raises(DecodeError):
        PODS.decode_list(body, "c")


@pytest.mark.parametrize("items", [b"null", b"[]"])
def test_an_empty_list(items: bytes) -> None:
    page = PODS.decode_list(b'{"kind":"PodList","metadata":{"resourceVersion":"5"},"items":%s}' % items, "c")
    assert (page.records, page.resource_version, page.continue_token) == ([], "5", None)


@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED"])
def test_events_carry_the_object(kind: str) -> None:
    found = PODS.decode_event(event(kind, {"kind": "Pod", **pod()}), "c")
    assert found.record is not None
    assert (found.type, found.record.name, found.resource_version) == (EventType(kind), "pod1", "7")


def test_a_bookmark_carries_its_version() -> None:
    found = PODS.decode_event(event("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "12"}}), "c")
    assert (found.type, found.record, found.resource_version) == (EventType.BOOKMARK, None, "12")


def test_an_error_carries_its_code() -> None:
    found = PODS.decode_event(event("ERROR", {"kind": "Status", "code": 410, "message": "too old"}), "c")
    assert (found.type, found.code, found.message) == (EventType.ERROR, 410, "too old")


def test_an_event_of_a_malformed_object_says_which() -> None:
    found = PODS.decode_event(event("ADDED", {"metadata": {"name": "x", "resourceVersion": "9"}, "spec": 1}), "c")
    assert (found.record, found.resource_version) == (None, "9")
    assert found.message is not None
    assert found.message.startswith("Pod x can't be read")


@pytest.mark.parametrize(
    "manifest",
    [
        {"kind": "Pod", **pod("Running", [running()], metadata={"labels": {"a": "}"}})},
        {"metadata": {"name": "x", "resourceVersion": "9"}, "spec": 1},
        {"metadata": {"name": "x", "labels": {"a": 1}}},
        {"metadata": {"name": "x", "ownerReferences": 1}},
        {"metadata": {"name": "x"}, "spec": {"containers": [{"resources": {"requests": {"cpu": "lots"}}}]}},
        {"metadata": {"name": "x"}, "spec": {"initContainers": [{"name": "i", "resources": 1}]}},
        7,
    ],
)
@pytest.mark.parametrize("kind", ["ADDED", "MODIFIED", "DELETED"])
def test_a_line_reads_the_same_with_and_without_spaces(kind: str, manifest: Any) -> None:
    short, long = (PODS.decode_event(write(kind, manifest), "c") for write in (as_servers_write, event))
    assert (short.type, short.resource_version, short.message, short.name) == (
        long.type,
        long.resource_version,
        long.message,
        long.name,
    )
    if short.record is not None and long.record is not None:
        assert load_manifest(short.record.manifest) == load_manifest(long.record.manifest) == manifest
        assert replace(short.record, manifest=b"") == replace(long.record, manifest=b"")
    assert (short.record is None) is (long.record is None)


@pytest.mark.parametrize("rest", [b',"object":{}}', b"}}", b"", b',"type":"DELETED"}', b"]"])
def test_what_follows_the_object_is_not_taken_for_a_part_of_it(rest: bytes) -> None:
    line = as_servers_write("ADDED", {"kind": "Pod", **pod()})[:-1] + rest
    try:
        found = PODS.decode_event(line, "c")
    except DecodeError:
        return
    assert found == PODS.decode_event(line.replace(b'"type":"ADDED",', b'"type": "ADDED",', 1), "c")
    assert found.type is EventType.DELETED or found.record is None


@pytest.mark.parametrize("text", ["SchedulingGated", "\\u0053chedulingGated"])
def test_a_gate_is_seen_however_its_name_is_written(text: str) -> None:
    line = as_servers_write("ADDED", pod("Pending", conditions=[{"type": "PodScheduled", "reason": "GATE"}]))
    found = PODS.decode_event(line.replace(b"GATE", text.encode()), "c").record
    assert found is not None
    assert found.status == "SchedulingGated"


@pytest.mark.parametrize("line", [b"", b"{}", b'{"type":"OTHER","object":{}}', b'{"type":"ADDED"}'])
def test_what_is_no_event_is_an_error(line: bytes) -> None:
    with pytest.raises(DecodeError):
        PODS.decode_event(line, "c")


def test_a_manifest_reads_the_same_from_a_list_and_from_a_watch() -> None:
    whole = {"kind": "Pod", "apiVersion": "v1", **pod(metadata={"annotations": {"a": "b"}})}
    (listed,) = PODS.decode_list(list_of("Pod", pod(metadata={"annotations": {"a": "b"}})), "c").records
    watched = PODS.decode_event(event("ADDED", whole), "c").record
    assert watched is not None
    assert load_manifest(listed.manifest) == load_manifest(watched.manifest) == whole
    assert annotations_of(listed.manifest) == (("a", "b"),)


def test_details_join_spec_and_status() -> None:
    manifest = pod(
        "Running",
        [running(state={"running": {"startedAt": "2026-01-01T00:00:10Z"}}, lastState=terminated(1, "Error")["state"])],
        init=[terminated(0, "Completed", restartCount=2)],
        conditions=[{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:11Z"}],
    )
    (record,) = PODS.decode_list(list_of("Pod", manifest), "c").records
    details = pod_details(record)
    first, second = details.containers
    assert (first.name, first.init, first.restarts, first.ready) == ("i0", True, 2, False)
    assert (second.name, second.init, second.image, second.ready) == ("c", False, "i", True)
    assert second.state == ContainerState("running", started_at=1767225610.0)
    assert second.last_state == ContainerState("terminated", "Error", exit_code=1)
    assert details.conditions[0].last_transition_at == 1767225611.0


def test_what_only_details_need_is_an_error_of_the_details() -> None:
    manifest = pod(conditions=[{"type": "Ready", "status": "True", "lastTransitionTime": 7}])
    (record,) = PODS.decode_list(list_of("Pod", manifest), "c").records
    assert record.status == "Running"
    with pytest.raises(ClusterAnswerInvalid, match=r"pod default/pod1 of c can't be read: .*lastTransitionTime"):
        pod_details(record)


@pytest.mark.parametrize(
    ("manifest", "status", "is_ready"),
    [
        (node(ready("True")), "Ready", True),
        (node(ready("False")), "NotReady", False),
        (node(ready("Unknown")), "NotReady", False),
        (node(), "Unknown", False),
        (node(ready("True"), unschedulable=True), "Ready,SchedulingDisabled", True),
        (node(ready("False"), unschedulable=True), "NotReady,SchedulingDisabled", False),
    ],
)
def test_node_status(manifest: dict[str, Any], status: str, is_ready: bool) -> None:
    (record,) = NODES.decode_list(list_of("Node", manifest), "c").records
    assert (record.status, record.ready) == (status, is_ready)


def test_node_roles_and_topology() -> None:
    labels = {
        "node-role.kubernetes.io/worker": "",
        "node-role.kubernetes.io/control-plane": "",
        "node-role.kubernetes.io/": "",
        "kubernetes.io/role": "edge",
        "failure-domain.beta.kubernetes.io/region": "old",
        "topology.kubernetes.io/zone": "new",
        "failure-domain.beta.kubernetes.io/zone": "older",
    }
    (record,) = NODES.decode_list(list_of("Node", node(labels=labels)), "c").records
    assert record.roles == ("control-plane", "edge", "worker")
    assert (record.region, record.zone) == ("old", "new")


def test_node_fields() -> None:
    status = {
        "capacity": {"cpu": "8", "memory": "16Gi", "ephemeral-storage": "1k", "pods": "110", "other.io/gpu": "1"},
        "allocatable": {"cpu": "7900m"},
        "addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.2"}],
        "nodeInfo": {"kubeletVersion": "v1.36.3", "osImage": "Debian", "architecture": "arm64"},
    }
    taints = [{"key": "k", "effect": "NoSchedule"}, {"key": "l", "value": "v", "effect": "NoExecute"}]
    (record,) = NODES.decode_list(list_of("Node", node(status, taints=taints)), "c").records
    assert record.capacity == Resources(8.0, 16 * 1024**3, 1000, 110, (("other.io/gpu", 1),))
    assert record.allocatable == Resources(7.9)
    assert record.addresses[1] == NodeAddress("InternalIP", "10.0.0.2")
    assert record.internal_ip == "10.0.0.2"
    assert record.taints == (Taint("k", None, "NoSchedule"), Taint("l", "v", "NoExecute"))
    assert (record.kubelet_version, record.os_image, record.architecture) == ("v1.36.3", "Debian", "arm64")


def test_namespace_fields() -> None:
    manifest = {"metadata": {"name": "ns", "labels": {"a": "b"}}, "status": {"phase": "Terminating"}}
    (record,) = NAMESPACES.decode_list(list_of("Namespace", manifest), "c").records
    assert (record.name, record.phase, record.labels) == ("ns", "Terminating", (("a", "b"),))


def test_an_object_nobody_has_looked_at_yet_needs_no_status() -> None:
    bare = {"metadata": {"name": "bare", "namespace": "default"}}
    seen = PODS.decode_event(event("ADDED", {**bare, "spec": {"containers": [{"name": "c"}]}}), "c").record
    assert seen is not None
    assert (seen.phase, seen.status, seen.ready_containers, seen.total_containers) == (
        PodPhase.PENDING,
        "Pending",
        0,
        1,
    )
    assert [container.state for container in pod_details(seen).containers] == [None]
    assert PODS.decode_event(event("ADDED", bare), "c").record is not None
    assert [record.status for record in NODES.decode_list(list_of("Node", bare), "c").records] == ["Unknown"]
    assert [record.phase for record in NAMESPACES.decode_list(list_of("Namespace", bare), "c").records] == [""]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-01T00:00:00Z", 1_767_225_600.0),
        ("2026-01-01T09:00:00.123456789+09:00", 1_767_225_600.123456),
        ("0000-01-01T00:00:00Z", None),
        ("2026-01-01", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_that_is_none_costs_itself_alone(text: str | None, seconds: float | None) -> None:
    assert parse_time(text) == seconds
    read = NODES.decode_list(
        list_of("Node", node({"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": text}]})), "c"
    )
    assert [(record.status, record.conditions[0].last_transition_at) for record in read.records] == [("Ready", seconds)]
