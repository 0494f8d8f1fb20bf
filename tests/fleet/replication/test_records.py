"""Records as they travel: what is read of a body is what was written, and shares what decoded JSON shares."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.cache.stores import Stores
from fleet.kubernetes.codec.codec import EVENTS, NAMESPACES, NODES, PODS, WORKLOADS, Codec
from fleet.kubernetes.codec.pods import annotations_of, pod_details
from fleet.model.errors import NotFound
from fleet.model.kinds import ResourceName
from fleet.model.manifests import load_manifest
from fleet.model.objects import Resources
from fleet.model.unreadable import UNREADABLE
from fleet.replication.records import NEWEST, RecordUnreadable, decode, encode
from fleet.replication.subjects import Unpublishable
from tests.fuzz.hostile import spoilt_json
from tests.fuzz.members import EVENT, META, NODE, POD, WORKLOAD

NAMESPACE = {"metadata": META, "status": {"phase": "Active"}}
KINDS: tuple[tuple[ResourceName, Codec[Any], Any], ...] = (
    ("pods", PODS, POD),
    ("nodes", NODES, NODE),
    ("namespaces", NAMESPACES, NAMESPACE),
    ("events", EVENTS, EVENT),
    *(("workloads", codec, WORKLOAD) for codec in WORKLOADS.values()),
)
EACH_KIND = pytest.mark.parametrize(("kind", "codec", "sample"), KINDS, ids=[codec.kind for _, codec, _ in KINDS])


def build(codec: Codec[Any], sample: Any) -> Any:
    return codec.build(json.dumps(sample).encode(), "c")


def travelled(kind: ResourceName, record: Any) -> Any:
    return decode(kind, encode(kind, record, manifests=True), "c")


@EACH_KIND
@settings(deadline=None)
@given(st.data())
def test_what_is_written_is_read(kind: ResourceName, codec: Codec[Any], sample: Any, data: st.DataObject) -> None:
    try:
        record = codec.build(data.draw(spoilt_json(sample)), "c")
        body = encode(kind, record, manifests=True)
    except UNREADABLE:  # it is no such object, or none that an API server would serve
        return
    assert decode(kind, body, "c") == record


@EACH_KIND
def test_a_sample_of_each_is_written(kind: ResourceName, codec: Codec[Any], sample: Any) -> None:
    record = build(codec, sample)
    assert travelled(kind, record) == record


@pytest.mark.parametrize("name", ["cluster", "namespace", "phase", "status", "labels", "owner", "images", "node_name"])
def test_a_pod_shares_what_decoded_json_shares(name: str) -> None:
    pod = build(PODS, POD)
    assert getattr(travelled("pods", pod), name) is getattr(pod, name)


def test_pods_share_their_amounts() -> None:
    one, other = (travelled("pods", build(PODS, POD | {"metadata": META | {"name": name}})) for name in "ab")
    assert one.requests is other.requests
    assert one.missing is other.missing


def test_a_pod_that_came_the_other_way_marks_no_workload() -> None:
    """As where a follower becomes the writer: what was followed, and what is watched then, is compared by identity."""
    stores, pod = Stores(), build(PODS, POD)
    stores.pods.put(travelled("pods", pod))
    assert len(stores.workloads) == 1
    for version in ("8", "9"):
        watched = build(PODS, POD | {"metadata": META | {"resourceVersion": version}})
        stores.pods.put(watched if version == "8" else travelled("pods", watched))
        assert stores.marked_workloads.marks == 0
    stores.pods.put(replace(travelled("pods", pod), restarts=99))
    assert stores.marked_workloads.marks == 1


def test_a_workload_shares_labels_and_owner() -> None:
    workload = build(WORKLOADS["Job", "batch/v1"], WORKLOAD | {"status": {}})
    again = travelled("workloads", workload)
    assert again.labels is workload.labels
    assert again.owner is workload.owner


def test_an_amount_of_any_size_is_written() -> None:
    pod = build(PODS, POD)
    large = replace(pod, requests=Resources(1e40, 10**40, None, 10**20, (("a/b", 10**30),)))
    assert travelled("pods", large) == large


def test_a_workload_travels_without_what_its_pods_come_to() -> None:
    workload = build(WORKLOADS["Deployment", "apps/v1"], WORKLOAD | {"status": {}})
    summed = replace(workload, pod_count=3, restarts=2, requests=Resources(1.0))
    assert travelled("workloads", summed) == workload


def test_a_record_too_large_travels_without_its_manifest(caplog: pytest.LogCaptureFixture) -> None:
    pod = PODS.build(json.dumps(POD | {"data": "".join(map(str, range(9_999)))}).encode(), "large")
    body = encode("pods", pod, manifests=True, most=2_000)
    assert replace(decode("pods", body, "large"), manifest=pod.manifest) == pod
    assert encode("pods", pod, manifests=True, most=2_000) == body
    assert caplog.text.count("shared without its manifest") == 1
    assert encode("pods", pod, manifests=False) == body
    with pytest.raises(Unpublishable, match="bytes"):
        encode("pods", pod, manifests=True, most=100)


def test_details_are_read_without_manifests() -> None:
    for kind, codec, sample in KINDS[:2]:
        annotated = sample | {"metadata": META | {"annotations": {"a": "b"}}, "kind": codec.kind, "data": "x"}
        record = build(codec, annotated)
        shared = decode(kind, encode(kind, record, manifests=False), "c")
        assert annotations_of(shared.manifest) == (("a", "b"),)
        assert kind == "nodes" or pod_details(shared) == pod_details(record)
        with pytest.raises(NotFound, match="ask its cluster"):
            load_manifest(shared.manifest)


def test_amounts_of_more_than_64_bits_travel() -> None:
    amounts = Resources(memory_bytes=10**30, extended=(("example.com/gpu", 2**70),))
    node = replace(build(NODES, NODE), capacity=amounts, allocatable=amounts)
    pod = replace(build(PODS, POD), requests=amounts)
    assert (travelled("nodes", node), travelled("pods", pod)) == (node, pod)


def test_a_number_that_no_api_server_serves_is_named() -> None:
    with pytest.raises(Unpublishable, match="more than 64 bits"):
        encode("pods", replace(build(PODS, POD), restarts=-(2**70)), manifests=True)


def test_a_newer_form_says_to_upgrade() -> None:
    body = encode("pods", build(PODS, POD), manifests=True, form=NEWEST + 1)
    with pytest.raises(RecordUnreadable, match=f"form {NEWEST + 1}, .* reads {NEWEST} .*: upgrade this replica"):
        decode("pods", body, "c")


def test_a_form_of_long_ago_says_what_mends_it() -> None:
    with pytest.raises(RecordUnreadable, match="delete the member's stream"):
        decode("pods", b"\x00x", "c")


def test_a_field_more_or_less_is_no_new_form() -> None:
    pod = build(PODS, POD)
    newer = encode_as(NEWEST, [*unpacked("pods", pod), "a field of the next version"])
    assert decode("pods", newer, "c") == pod
    event = build(EVENTS, EVENT)
    assert decode("events", encode_as(NEWEST, unpacked("events", event) | {"added": 1}), "c") == event
    workload = build(WORKLOADS["CronJob", "batch/v1"], WORKLOAD)
    older = unpacked("workloads", workload)
    del older["selector"]  # as if it had been added since, with a default
    assert decode("workloads", encode_as(NEWEST, older), "c") == workload


def unpacked(kind: ResourceName, record: Any) -> Any:
    return msgspec.msgpack.decode(encode(kind, record, manifests=True)[1:])


def encode_as(form: int, fields: Any) -> bytes:
    return bytes((form,)) + msgspec.msgpack.encode(fields)


@EACH_KIND
@settings(deadline=None)
@given(st.data())
def test_other_bytes_are_unreadable(kind: ResourceName, codec: Codec[Any], sample: Any, data: st.DataObject) -> None:
    body = encode(kind, build(codec, sample), manifests=True) if codec.kind != "Job" else b"\x01"
    start = data.draw(st.integers(0, len(body)))
    spoilt = body[:start] + data.draw(st.binary(max_size=4)) + body[data.draw(st.integers(start, len(body))) :]
    for each in (spoilt, data.draw(st.binary(max_size=40))):
        with contextlib.suppress(RecordUnreadable):
            decode(kind, each, "c")
