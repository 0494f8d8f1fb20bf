"""Objects as deep as API servers keep them, which Python's own JSON can't write."""

import json
from typing import Any

from fleet.ports import Call, Connection
from tests.fakes.waiting import PATIENCE

DEEP = "put-in-here"


def write_deep(manifest: dict[str, Any], levels: int = 5000) -> bytes:
    """The manifest with mappings in one another in the place of DEEP."""
    nested = b'{"f:a":' * levels + b"{}" + b"}" * levels
    return json.dumps(manifest).encode().replace(f'"{DEEP}"'.encode(), nested)


def build_deep_metadata(name: str, **more: Any) -> dict[str, Any]:
    """Metadata whose managed fields are, as whoever writes any object may send them."""
    fields = {"fieldsType": "FieldsV1", "fieldsV1": DEEP}
    managed = {"manager": "m", "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z", **fields}
    return {"name": name, "managedFields": [managed], **more}


async def create_deep(connection: Connection, path: str, manifest: dict[str, Any]) -> None:
    json_type = ((b"Content-Type", b"application/json"),)
    answer = await connection.request(Call("POST", path, PATIENCE, headers=json_type, body=write_deep(manifest)))
    assert answer.status == 201, answer.body[:500]
