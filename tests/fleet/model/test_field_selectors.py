"""Field selectors are read and matched as the API server does it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.model.errors import InvalidQuery
from fleet.model.selectors import parse_node_field_selector, parse_pod_field_selector
from tests.fleet.model.records import CORDONED, NODE, PENDING, POD


@pytest.mark.parametrize(
    ("selector", "running", "pending"),
    [
        ("", True, True),
        (",,", True, True),
        ("metadata.name=web-1", True, False),
        ("metadata.name==web-2", False, True),
        ("metadata.name!=web-1", False, True),
        ("metadata.namespace=shop,", True, True),
        ("spec.nodeName=n1", True, False),
        ("spec.nodeName=", False, True),
        ("spec.nodeName!=", True, False),
        ("status.phase=Pending", False, True),
        ("status.phase!=Running,spec.nodeName=n1", False, False),
        ("status.podIP=10.0.0.1", True, False),
        ("spec.restartPolicy=Always,spec.schedulerName=default-scheduler", True, True),
        ("spec.serviceAccountName!=default", False, False),
        ("status.phase=running", False, False),
    ],
)
def test_pods_are_selected_by_their_fields(selector: str, running: bool, pending: bool) -> None:
    parsed = parse_pod_field_selector(selector)
    assert (parsed.matches(POD), parsed.matches(PENDING)) == (running, pending)


@pytest.mark.parametrize(
    ("selector", "plain", "cordoned"),
    [
        ("metadata.name=n1", True, False),
        ("spec.unschedulable=true", False, True),
        ("spec.unschedulable!=true", True, False),
        ("spec.unschedulable=True", False, False),
    ],
)
def test_nodes_are_selected_by_their_fields(selector: str, plain: bool, cordoned: bool) -> None:
    parsed = parse_node_field_selector(selector)
    assert (parsed.matches(NODE), parsed.matches(CORDONED)) == (plain, cordoned)


@pytest.mark.parametrize(
    ("selector", "position", "expected"),
    [
        ("metadata.name", 1, "FIELD=VALUE"),
        ("status.phase=Running,spec.nodeName in (a)", 22, "FIELD=VALUE"),
        ("spec.hostname=a", 1, "supported: metadata.name, metadata.namespace"),
        (" metadata.name=a", 1, "supported:"),
        ("=a", 1, "supported:"),
        ("metadata.name===a", 16, "for these characters"),
        ("metadata.name=a=b", 16, "for these characters"),
        (r"metadata.name=a\b", 16, "for these characters"),
        ("metadata.name=a\\", 16, "for these characters"),
    ],
)
def test_what_the_api_server_refuses_is_refused_at_its_place(selector: str, position: int, expected: str) -> None:
    with pytest.raises(InvalidQuery, match=f"character {position}:.*{re.escape(expected)}"):
        parse_pod_field_selector(selector)


@given(st.text(max_size=12))
def test_escaped_values_are_read_back(value: str) -> None:
    escaped = re.sub(r"([\\,=])", r"\\\1", value)
    selector = parse_pod_field_selector(f"status.phase=Running,metadata.name={escaped}")
    assert selector.matches(replace(POD, name=value))
    assert selector.required_equal() == (("status.phase", "Running"), ("metadata.name", value))


def test_selectors_are_equal_and_hash_by_their_text() -> None:
    texts = ("status.phase=Running", "status.phase=Running", "status.phase!=Running")
    assert len({parse_pod_field_selector(text) for text in texts}) == 2
