"""Selectors choose what a real API server chooses, and refuse what it refuses."""

import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from fleet.kubernetes.codec.codec import NODES, PODS, Codec
from fleet.model.errors import InvalidQuery
from fleet.model.objects import Node, Pod
from fleet.model.selectors import parse_label_selector, parse_node_field_selector, parse_pod_field_selector
from realfleet.fleet import Fleet

pytestmark = pytest.mark.real

LABELS = [
    *("", " ", "app=nginx", "app==nginx", "app = nginx", "app!=nginx", "app", "!app", "! app", "absent!=x", "!absent"),
    *("app in (nginx,cart)", "app in(nginx)", "app notin (nginx, cart)", "absent notin (x)", "app in ()", "app in (,)"),
    *("app notin (,nginx)", "app=", "app!=", "team=shop,app!=cart", "app>1", "app<1", "in", "app=in", "!in,!notin"),
    *("app in (in,notin)", "pod-template-hash", "app.kubernetes.io/name=x", "app=nginx,app=cart", "app > 1 , team"),
    *("app,", ",app", "app,,team", "app===x", "app=x=y", "app nginx", "app in nginx", "app in (nginx", "app in (a b)"),
    *(
        "!app in (x)",
        "!app=x",
        "!!app",
        "!",
        "app>x",
        "app>",
        "app=-x",
        "app>-1",
        "app=x-",
        "a/b/c=1",
        "/a=1",
        "A.b/c=1",
    ),
    *(
        "example.com/=1",
        "app=w\u00e9b",
        "app in (=)",
        "app<9223372036854775808",
        "app<9223372036854775807",
        "(",
        "app=(",
    ),
    *(f"{'a' * 64}=1", f"app={'a' * 64}", f"app={'a' * 63}", f"{'a' * 253}/b", f"{'a' * 254}/b", "app\t=\nnginx"),
]
POD_FIELDS = [
    *("", ",,", "status.phase=Running", "status.phase!=Running", "status.phase==Running,", "metadata.namespace=shop"),
    *(
        "metadata.namespace!=shop,status.phase=Running",
        "spec.nodeName=kube1-worker1",
        "spec.nodeName=",
        "status.podIP=",
    ),
    *("spec.nodeName!=", "spec.restartPolicy=Always", "spec.schedulerName!=default-scheduler", "status.phase=running"),
    *("spec.serviceAccountName=default", r"metadata.name=a\,b", r"metadata.name!=a\=b", r"metadata.name!=a\\b"),
    *("metadata.name", "foo=bar", " metadata.name=a", "metadata.name===a", "metadata.name=a=b", r"metadata.name=a\b"),
    *("metadata.name=a\\", "=a", "spec.nodeName in (a)", "metadata.name != a", "spec.unschedulable=true"),
]
NODE_FIELDS = [
    *("", "metadata.name=kube1-worker1", "metadata.name!=kube1-worker1", "spec.unschedulable=true", "metadata.name="),
    *("spec.unschedulable=false", "spec.unschedulable!=true", "spec.unschedulable=True", "spec.nodeName=a", "x"),
]


def _chosen(fleet: Fleet, codec: Codec[Pod] | Codec[Node], **parameters: str) -> set[str] | int:
    """The uids the API server answers, or the status of its refusal."""
    status, body = fleet.members[0].client.read("GET", f"{codec.path}?{urlencode(parameters)}")
    return {item["metadata"]["uid"] for item in json.loads(body)["items"]} if status == 200 else status


def _matching(records: list[Pod] | list[Node], parse: Callable[[], Callable[[Pod | Node], bool]]) -> set[str] | int:
    try:
        matches = parse()
    except InvalidQuery:
        return 400
    return {record.uid for record in records if matches(record)}


def _all(fleet: Fleet, codec: Codec[Pod] | Codec[Node]) -> list[Pod] | list[Node]:
    _, body = fleet.members[0].client.read("GET", codec.path)
    records = codec.decode_list(body, fleet.members[0].name).records
    assert records
    return records


def _by_labels(selector: str) -> Callable[[Pod | Node], bool]:
    parsed = parse_label_selector(selector)
    return lambda record: parsed.matches(record.labels)


@pytest.mark.parametrize("selector", LABELS)
def test_label_selectors(real_fleet: Fleet, selector: str) -> None:
    for codec in (PODS, NODES):
        records = _all(real_fleet, codec)
        expected = _chosen(real_fleet, codec, labelSelector=selector)
        assert _matching(records, lambda: _by_labels(selector)) == expected


@pytest.mark.parametrize("selector", POD_FIELDS)
def test_pod_field_selectors(real_fleet: Fleet, selector: str) -> None:
    expected = _chosen(real_fleet, PODS, fieldSelector=selector)
    assert _matching(_all(real_fleet, PODS), lambda: parse_pod_field_selector(selector).matches) == expected


@pytest.mark.parametrize("selector", NODE_FIELDS)
def test_node_field_selectors(real_fleet: Fleet, selector: str) -> None:
    expected = _chosen(real_fleet, NODES, fieldSelector=selector)
    assert _matching(_all(real_fleet, NODES), lambda: parse_node_field_selector(selector).matches) == expected
