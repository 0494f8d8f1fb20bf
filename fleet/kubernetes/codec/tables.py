"""Lists and objects of any kind, as the API server's table with the whole objects in it, or plain where it has none.

Source: Kubernetes API concepts, "Receiving resources as Tables".
"""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw, Struct

from fleet.kubernetes.codec.codec import Codec
from fleet.kubernetes.codec.convert import as_conditions, as_owner, as_pairs, seconds
from fleet.kubernetes.codec.depth import read_deep
from fleet.kubernetes.codec.wire import DecodeError, ListMetadata, Metadata, Wire, WireCondition, WireList
from fleet.kubernetes.discovery import Served
from fleet.model.kube_objects import KubeObject, TableColumn, redact_cell
from fleet.model.objects import Condition
from fleet.model.unreadable import UNREADABLE

TABLE = b"application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
TABLE_QUERY = "includeObject=Object"


class ObjectPage(Struct, frozen=True):
    """One answer to a list; no `continue_token` on the last."""

    objects: tuple[KubeObject, ...]
    continue_token: str | None


def decode_objects(body: bytes, served: Served, cluster: str) -> ObjectPage:
    """Reads a list, or a table of one. Raises DecodeError."""
    try:
        page = read_deep(_PAGE.decode, body)
        if page.kind == "Table":
            rows = [(bytes(row.object), row.cells or []) for row in page.rows or ()]
            built = [_build(raw, served, cluster, page.column_definitions or [], cells) for raw, cells in rows if raw]
        elif page.kind == f"{served.kind}List" or (page.kind.endswith("List") and page.items is not None):
            built = [_build(bytes(item), served, cluster, None, []) for item in page.items or ()]
        else:
            built = [_build(body, served, cluster, None, [])]
    except UNREADABLE as error:
        raise DecodeError(f"the list of {served.resource} can't be read: {error}") from error
    return ObjectPage(tuple(built), page.metadata.continue_token or None)


class TableCodec:
    """How any kind is listed and watched, as tables where the server makes them. Raises DecodeError only.

    A watch names its columns in its first line alone, so those of a connection's last list or line are kept.
    """

    accept = TABLE
    query: Mapping[str, str] = dict([TABLE_QUERY.split("=")])

    def __init__(self, served: Served) -> None:
        self.path = served.path()
        self._served = served
        self._definitions: list[_Definition] = []
        version_of = attrgetter("resource_version")
        self._rows: Codec[KubeObject] = Codec(served.kind, self.path, self._build_row, version_of)
        self._events: Codec[KubeObject] = Codec(served.kind, self.path, self._build_watched, version_of)
        self.build_records = self._rows.build_records
        self.decode_event = self._events.decode_event

    def read_list(self, body: bytes) -> WireList:
        """A list's answer with its objects, or the rows of its table, as they came."""
        try:
            page = read_deep(_RAW_PAGE.decode, body)
        except UNREADABLE as error:
            raise DecodeError(f"the answer to {self.path} is not a Kubernetes list: {error}") from error
        if page.kind == "Table":
            self._definitions = page.column_definitions or self._definitions
        elif not page.kind.endswith("List"):
            raise DecodeError(f"the answer to {self.path} is not a list but {page.kind[:100] or 'unnamed'!r}")
        return WireList(page.kind, page.metadata, page.rows if page.kind == "Table" else page.items)

    def _build_row(self, raw: bytes, cluster: str) -> KubeObject:
        row = _ROW.decode(raw)
        if row.object:
            return _build(bytes(row.object), self._served, cluster, self._definitions, row.cells or [])
        return _build(raw, self._served, cluster, None, [])

    def _build_watched(self, raw: bytes, cluster: str) -> KubeObject:
        page = _RAW_PAGE.decode(raw) if _KINDED.decode(raw).kind == "Table" else None
        if page is None:
            return _build(raw, self._served, cluster, None, [])
        self._definitions = page.column_definitions or self._definitions
        (row,) = page.rows or []
        return self._build_row(bytes(row), cluster)


def conditions_of(raw: bytes) -> tuple[Condition, ...]:
    """An object's `status.conditions`; none where the kind has something else there."""
    try:
        status = _CONDITIONED.decode(raw).status
    except UNREADABLE:  # a custom kind may call anything its conditions
        return ()
    return as_conditions(status.conditions)


def _build(
    raw: bytes, served: Served, cluster: str, definitions: "list[_Definition] | None", cells: list[Any]
) -> KubeObject:
    head = read_deep(_HEAD.decode, raw)
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
        resource_version=metadata.resource_version,
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


class _RawPage(Wire, frozen=True):
    kind: str = ""
    metadata: ListMetadata = ListMetadata()
    column_definitions: list[_Definition] | None = None
    rows: list[Raw] | None = None
    items: list[Raw] | None = None


class _Kinded(Wire, frozen=True):
    kind: str = ""


_METADATA_COLUMNS = [_Definition("Name"), _Definition("Created At", "date")]
_PAGE = msgspec.json.Decoder(_Page)
_RAW_PAGE = msgspec.json.Decoder(_RawPage)
_ROW = msgspec.json.Decoder(_Row)
_KINDED = msgspec.json.Decoder(_Kinded)
_HEAD = msgspec.json.Decoder(_Head)
_CONDITIONED = msgspec.json.Decoder(_Conditioned)
