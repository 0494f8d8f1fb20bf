"""Whole objects: compressed, and redacted when they are read back."""

import functools
import json
from typing import Any, cast

import orjson
import pytest

from fleet.model.manifests import (
    TOO_DEEP,
    ManifestCodec,
    compress,
    load_manifest,
    load_object,
    load_raw_manifest,
)
from fleet.model.redaction import LAST_APPLIED, REDACTED, redact


def test_what_goes_in_comes_out() -> None:
    raw = json.dumps({"kind": "Pod", "metadata": {"name": "\u00fc" * 1000}}).encode()
    blob = compress(raw)
    assert len(blob) < len(raw) / 10
    assert load_raw_manifest(blob) == raw
    assert load_manifest(blob) == json.loads(raw)


@pytest.mark.parametrize("blob", [b"", b"nonsense", compress(b"[1]"), compress(b"{")])
def test_what_is_no_manifest_is_a_value_error(blob: bytes) -> None:
    with pytest.raises(ValueError):
        load_manifest(blob)


def test_a_dictionary_is_for_both_sides() -> None:
    codec = ManifestCodec(b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"')
    assert codec.decompress(codec.compress(b'{"kind":"Pod"}')) == b'{"kind":"Pod"}'


SECRET = {
    "kind": "Secret",
    "metadata": {"name": "s", "annotations": {LAST_APPLIED: "x", "other": "y"}},
    "data": {"token": "dG9w"},
    "stringData": {"token": "top"},
}
REDACTED_SECRET = {
    "kind": "Secret",
    "metadata": {"name": "s", "annotations": {LAST_APPLIED: REDACTED, "other": "y"}},
    "data": {"token": REDACTED},
    "stringData": {"token": REDACTED},
}


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (SECRET, REDACTED_SECRET),
        ({"kind": "SecretList", "items": [SECRET]}, {"kind": "SecretList", "items": [REDACTED_SECRET]}),
        ({"kind": "List", "items": [SECRET]}, {"kind": "List", "items": [REDACTED_SECRET]}),
        (
            {"kind": "SecretList", "items": [{"data": {"a": "b"}}]},
            {"kind": "SecretList", "items": [{"data": {"a": REDACTED}}]},
        ),
        ({"kind": "Secret", "data": "odd"}, {"kind": "Secret", "data": REDACTED}),
        (
            {"kind": "OpenMCPCluster", "spec": {"kubeconfigInfo": "abc", "joinStatus": "JOIN"}},
            {"kind": "OpenMCPCluster", "spec": {"kubeconfigInfo": REDACTED, "joinStatus": "JOIN"}},
        ),
        (
            {"kind": "OpenMCPSecret", "spec": {"clusters": ["a"], "template": {"data": {"a": "b"}, "type": "Opaque"}}},
            {"kind": "OpenMCPSecret", "spec": {"clusters": ["a"], "template": {"data": REDACTED, "type": "Opaque"}}},
        ),
        (
            {"kind": "FederatedSecret", "spec": {"overrides": [1]}},
            {"kind": "FederatedSecret", "spec": {"overrides": REDACTED}},
        ),
        ({"kind": "ConfigMap", "data": {"a": "b"}}, {"kind": "ConfigMap", "data": {"a": "b"}}),
        (
            {"kind": "ConfigMap", "metadata": {"labels": {"OWNER": "TILLER"}}, "data": {"release": "b"}},
            {"kind": "ConfigMap", "metadata": {"labels": {"OWNER": "TILLER"}}, "data": {"release": REDACTED}},
        ),
        (
            {"kind": "Work", "spec": {"manifests": [SECRET]}},
            {"kind": "Work", "spec": {"manifests": [REDACTED_SECRET]}},
        ),
        (
            {"kind": "Table", "rows": [{"cells": ["s"], "object": SECRET}]},
            {"kind": "Table", "rows": [{"cells": ["s"], "object": REDACTED_SECRET}]},
        ),
        ({"type": "ADDED", "object": SECRET}, {"type": "ADDED", "object": REDACTED_SECRET}),
        (
            {"kind": "Gateway", "spec": {"certificateRefs": [{"kind": "Secret", "name": "s"}]}},
            {"kind": "Gateway", "spec": {"certificateRefs": [{"kind": "Secret", "name": "s"}]}},
        ),
        ({"data": {"a": "b"}}, {"data": {"a": "b"}}),
    ],
)
def test_redaction(manifest: dict[str, Any], expected: dict[str, Any]) -> None:
    assert redact(json.loads(json.dumps(manifest))) == expected


@pytest.mark.parametrize("levels", [190, 230, 900])
def test_an_object_that_no_answer_could_hold_is_shortened(levels: int) -> None:
    deep = b'{"kind":"X","number":%d,"near":{"a":[1]},"far":%s}' % (2**70, b"[" * levels + b"7" + b"]" * levels)
    found = load_object(deep)
    assert (found["number"], found["near"]) == (float(2**70), {"a": [1]})
    around = functools.reduce(lambda inner, _: [inner], range(60), cast("Any", found))
    assert TOO_DEEP.encode() in orjson.dumps(around)


def test_what_an_answer_can_hold_is_left_alone() -> None:
    raw = b'{"kind":"X","number":%d,"far":%s}' % (2**64 - 1, b"[" * 180 + b"7" + b"]" * 180)
    assert load_object(raw) == json.loads(raw)


def test_managed_fields_are_passed_over_where_the_api_server_keeps_them() -> None:
    """It lets nothing in there but names of fields; anywhere else the word means nothing."""
    own: dict[str, Any] = {"fieldsV1": {"f:spec": {}}}
    manifest = {"metadata": {"managedFields": [own]}, "spec": {"metadata": {"managedFields": [SECRET]}}}
    expected = {"metadata": {"managedFields": [own]}, "spec": {"metadata": {"managedFields": [REDACTED_SECRET]}}}
    assert redact(json.loads(json.dumps(manifest))) == expected
