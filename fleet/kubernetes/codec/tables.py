"""Lists and objects of any kind, as the API server's table with the whole objects in it, or plain where it has none.

Source: Kubernetes API concepts, "Receiving resources as Tables".
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from fleet.kubernetes.codec.convert import as_conditions, as_owner, as_pairs, seconds
from fleet.kubernetes.codec.wire import DecodeError, ListMetadata, Metadata, Wire, WireCondition
from fleet.kubernetes.discovery import Served
from fleet.model.kube_objects import KubeObject, TableColumn, redact_cell
from fleet.model.objects import Condition

TABLE = b"application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
TABLE_QUERY = "includeObject=Object"


class ObjectPage(Struct, frozen=True):
    """One answer to a list; no `continue_token` on the last."""

    objects: tuple[KubeObject, ...]
    continue_token: str | None


def decode_objects(body: bytes, served: Served, cluster: str) -> ObjectPage:
    """Reads a list, or a table of one. Raises DecodeError."""
    try:
        page = _PAGE.decode(body)
        if page.kind == "Table":
            rows = [(bytes(row.object), row.cells or []) for row in page.rows or ()]
            built = [_build(raw, served, cluster, page.column_definitions or [], cells) for raw, cells in rows if raw]
        elif page.kind == f"{served.kind}List" or (page.kind.endswith("List") and page.items is not None):
            built = [_build(bytes(item), served, cluster, None, []) for item in page.items or ()]
        else:
            built = [_build(body, served, cluster, None, [])]
    except (msgspec.MsgspecError, ValueError) as error:
        raise DecodeError(f"the list of {served.resource} can't be read: {error}") from error
    return ObjectPage(tuple(built), page.metadata.continue_token or None)


def conditions_of(raw: bytes) -> tuple[Condition, ...]:
    """An object's `status.conditions`; none where the kind has something else there."""
    try:
        status = _CONDITIONED.decode(raw).status
    except msgspec.MsgspecError:  # a custom kind may call anything its conditions
        return ()
    return as_conditions(status.conditions)


def _build(
    raw: bytes, served: Served, cluster: str, definitions: "list[_Definition] | None", cells: list[Any]
) -> KubeObject:
    head = _HEAD.decode(raw)
    metadata = head.metadata
    created_at = seconds(metadata.creation_timestamp)
    if not head.kind:  # items of a plain list lack it; with it a manifest reads the same however the object came
        api_version, kind = msgspec.json.encode(served.api_version), msgspec.json.encode(served.kind)
        raw = b'{"apiVersion":%s,"kind":%s,%s' % (api_version, kind, raw.lstrip()[1:])
    if definitions is None:
        created = metadata.creation_timestamp
        definitions, cells = _METADATA_COLUMNS, [metadata.name, created and f"{created:%Y-%m-%dT%H:%M:%SZ}"]
    columns = tuple(
        TableColumn(
            name=definition.name,
            type=definition.type,
            description=definition.description or None,
            priority=definition.priority,
            value=redact_cell(served.kind, definition.name, value),
        )
        for definition, value in zip(definitions, cells, strict=False)  # a row may be short: the rest is empty
    )
    return KubeObject(
        cluster=cluster,
        api_version=served.api_version,
        kind=served.kind,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        created_at=created_at,
        labels=as_pairs(metadata.labels),
        owner=as_owner(metadata.owner_references),
        columns=columns,
        raw=raw,
    )


class _Head(Wire, frozen=True):
    metadata: Metadata
    kind: str = ""


class _Definition(Wire, frozen=True):
    name: str
    type: str = "string"
    description: str = ""
    priority: int = 0


class _Row(Wire, frozen=True):
    cells: list[Any] | None = None
    object: Raw = Raw()


class _Page(Wire, frozen=True):
    kind: str = ""
    metadata: ListMetadata = ListMetadata()
    column_definitions: list[_Definition] | None = None
    rows: list[_Row] | None = None
    items: list[Raw] | None = None


class _Status(Wire, frozen=True):
    conditions: list[WireCondition] | None = None


class _Conditioned(Wire, frozen=True):
    status: _Status = _Status()


_METADATA_COLUMNS = [_Definition("Name"), _Definition("Created At", "date")]
_PAGE = msgspec.json.Decoder(_Page)
_HEAD = msgspec.json.Decoder(_Head)
_CONDITIONED = msgspec.json.Decoder(_Conditioned)
