"""What versions before this one have published stays readable: bodies as they once were written, and what they say."""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet.model.manifests import load_raw_manifest
from fleet.replication.marks import decode_mark
from fleet.replication.records import NEWEST, decode


def shown(record: Any) -> dict[str, Any]:
    """A record as JSON values, its manifest as it was before it was compressed."""
    fields: dict[str, Any] = json.loads(msgspec.json.encode(record, order="deterministic"))
    if fields.get("manifest"):
        fields["manifest"] = load_raw_manifest(record.manifest).decode()
    return fields


@pytest.mark.parametrize("form", range(max(1, NEWEST - 1), NEWEST + 1))
def test_bodies_of_each_form_are_read(form: int) -> None:
    """Where this fails, a new form is due: the old one is still in streams, and written by others."""
    for line in Path(__file__).with_name(f"form_{form}.jsonl").read_text().splitlines():
        kept = json.loads(line)
        body = base64.b64decode(kept["body"])
        read = shown(decode_mark(body) if kept["kind"] == "mark" else decode(kept["kind"], body, "c"))
        assert {name: read[name] for name in kept["record"]} == kept["record"]
