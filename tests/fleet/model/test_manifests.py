"""Whole objects: compressed, and redacted when they are read back."""

import json
from typing import Any

import pytest

from fleet.model.manifests import (
    LAST_APPLIED,
    REDACTED,
    ManifestCodec,
    compress,
    load_manifest,
    load_raw_manifest,
    redact,
)


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
        ({"data": {"a": "b"}}, {"data": {"a": "b"}}),
    ],
)
def test_redaction(manifest: dict[str, Any], expected: dict[str, Any]) -> None:
    assert redact(json.loads(json.dumps(manifest))) == expected
