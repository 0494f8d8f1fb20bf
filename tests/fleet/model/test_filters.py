"""What each part of a filter lets through."""

import time
from typing import Any

import pytest
from msgspec.structs import replace

from fleet.model.bounds import build_bounds
from fleet.model.images import ImageFilter, registry_of, tag_of
from fleet.model.objects import Condition, MissingAmount, Owner, PodPhase, Taint
from fleet.model.queries import Filter, NameFilter, NodeFilter, PodFilter, TaintFilter
from fleet.model.selectors import parse_label_selector
from tests.fleet.model.records import NODE, POD

CRASHING = replace(
    POD,
    status="CrashLoopBackOff",
    ready_containers=0,
    restarts=12,
    images=("shop/web:1.2", "docker.io/envoy@sha256:00"),
    owner=Owner("apps/v1", "ReplicaSet", "web", "u"),
    missing=frozenset({MissingAmount.CPU_LIMIT, MissingAmount.CPU_REQUEST}),
    labels=(("app", "web"),),
    created_at=1000.0,
)
WORN = replace(
    NODE,
    status="NotReady,SchedulingDisabled",
    roles=("control-plane", "etcd"),
    taints=(Taint("gpu", "yes", "NoSchedule"), Taint("alone", None, "NoExecute")),
    kubelet_version="v1.36.3-gke.1",
    zone="z1",
    conditions=(Condition("Ready", "False"), Condition("DiskPressure", "True"), Condition("PIDPressure", "Unknown")),
)
PODS: list[tuple[dict[str, Any], bool]] = [
    ({"statuses": frozenset({"Running", "CrashLoopBackOff"})}, True),
    ({"statuses": frozenset({"CrashLoop"})}, False),
    ({"statuses": frozenset()}, False),
    ({"ready": False}, True),
    ({"ready": True}, False),
    ({"restarts": build_bounds("restarts", gte=12)}, True),
    ({"restarts": build_bounds("restarts", gt=12)}, False),
    ({"images": ImageFilter(contains="web:")}, True),
    ({"images": ImageFilter(contains="web", tag="1.2", registry="docker.io")}, True),
    ({"images": ImageFilter(contains="envoy", tag="1.2")}, False),
    ({"images": ImageFilter(tag="latest")}, False),
    ({"created": build_bounds("createdAt", gte=1000, lt=1001)}, True),
    ({"created": build_bounds("createdAt", gt=1000)}, False),
    ({"age": build_bounds("age", gt=time.time() - 1001)}, True),
    ({"age": build_bounds("age", lt=60)}, False),
    ({"has_owner": True}, True),
    ({"has_owner": False}, False),
    ({"missing": frozenset({MissingAmount.CPU_LIMIT, MissingAmount.MEMORY_LIMIT})}, True),
    ({"missing": frozenset({MissingAmount.MEMORY_REQUEST})}, False),
    ({"missing": frozenset()}, False),
    ({"qos_classes": frozenset({"Burstable"})}, True),
    ({"qos_classes": frozenset({"BestEffort", "Guaranteed"})}, False),
    ({"excluded": PodFilter()}, False),
    ({"excluded": PodFilter(statuses=frozenset({"Running"}))}, True),
    ({"excluded": PodFilter(clusters=frozenset({"cluster1"}), ready=False)}, False),
    ({"excluded": PodFilter(labels=parse_label_selector("app=web"))}, False),
    ({"excluded": PodFilter(nodes=frozenset({"n2"}))}, True),
    ({"excluded": PodFilter(namespaces=frozenset({"shop"}))}, False),
    ({"any_of": ()}, False),
    ({"any_of": (PodFilter(ready=True), PodFilter(has_owner=True))}, True),
    ({"any_of": (PodFilter(ready=True), PodFilter(phases=frozenset({PodPhase.FAILED})))}, False),
    ({"any_of": (PodFilter(excluded=PodFilter(any_of=(PodFilter(name=NameFilter(eq="other")),))),)}, True),
]
NODES: list[tuple[dict[str, Any], bool]] = [
    *(({"statuses": frozenset({status})}, True) for status in ("NotReady", "SchedulingDisabled", WORN.status)),
    ({"statuses": frozenset({"Ready", "Unknown"})}, False),
    ({"roles": frozenset({"etcd", "worker"})}, True),
    ({"roles": frozenset({"worker"})}, False),
    ({"taints": TaintFilter()}, True),
    ({"taints": TaintFilter("gpu", "yes", "NoSchedule")}, True),
    ({"taints": TaintFilter("gpu", effect="NoExecute")}, False),
    ({"taints": TaintFilter(value="")}, True),
    *(({"kubelet_versions": frozenset({version})}, True) for version in ("v1", "v1.36", "v1.36.3", "v1.36.3-gke.1")),
    *(({"kubelet_versions": frozenset({version})}, False) for version in ("v1.3", "v1.36.", "1.36")),
    ({"zones": frozenset({"z1"})}, True),
    ({"zones": frozenset({"z2"})}, False),
    ({"conditions": frozenset({"DiskPressure", "MemoryPressure"})}, True),
    ({"conditions": frozenset({"Ready", "PIDPressure"})}, False),
    ({"excluded": NodeFilter(roles=frozenset({"etcd"}))}, False),
    ({"any_of": (NodeFilter(ready=True), NodeFilter(zones=frozenset({"z1"})))}, True),
]


def passes(wanted: Filter[Any], entry: Any) -> bool:
    return all(test(entry) for test in wanted.build_all_tests())


@pytest.mark.parametrize(("parts", "passing"), PODS, ids=[" ".join(parts) for parts, _ in PODS])
def test_a_pod_passes(parts: dict[str, Any], passing: bool) -> None:
    assert passes(PodFilter(**parts), CRASHING) is passing


@pytest.mark.parametrize(("parts", "passing"), NODES, ids=[" ".join(parts) for parts, _ in NODES])
def test_a_node_passes(parts: dict[str, Any], passing: bool) -> None:
    assert passes(NodeFilter(**parts), WORN) is passing


@pytest.mark.parametrize(
    ("image", "registry", "tag"),
    [
        ("nginx", "docker.io", "latest"),
        ("nginx:1.27", "docker.io", "1.27"),
        ("library/nginx", "docker.io", "latest"),
        ("index.docker.io/library/nginx", "docker.io", "latest"),
        ("quay.io/org/app:v1", "quay.io", "v1"),
        ("registry:5000/app", "registry:5000", "latest"),
        ("registry:5000/app:2", "registry:5000", "2"),
        ("[::1]:5000/app:2", "[::1]:5000", "2"),
        ("localhost/app", "localhost", "latest"),
        ("Upper/app", "Upper", "latest"),
        ("app@sha256:0123", "docker.io", None),
        ("registry:5000/app:2@sha256:0123", "registry:5000", "2"),
    ],
)
def test_an_image_has_the_registry_and_the_tag_that_a_runtime_reads(image: str, registry: str, tag: str | None) -> None:
    assert (registry_of(image), tag_of(image)) == (registry, tag)
