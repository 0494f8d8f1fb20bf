"""Custom resources as they come: their fields may be of any type, and are checked where they are used."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from fleet.kubernetes.codec.depth import read_deep
from fleet.kubernetes.codec.wire import Named
from fleet.model.objects import Pairs

_DEEPEST = 50


class Custom(Struct, frozen=True):
    """`created` is an RFC 3339 time in UTC, `labels` are sorted by key.

    `spec` and `status` are empty where they are no mappings, and where one is nested so deeply that nothing could be
    done with it: `problem` says so.
    """

    namespace: str
    name: str
    created: str
    labels: Pairs
    spec: Mapping[str, Any]
    status: Mapping[str, Any]
    problem: str | None = None


class _Labelled(Named, frozen=True):
    labels: Mapping[str, str] | None = None
    creation_timestamp: str | None = None


class _WireCustom(Struct):
    metadata: _Labelled
    spec: Any = None
    status: Any = None


_CUSTOM = msgspec.json.Decoder(_WireCustom)


def decode_custom(raw: bytes) -> Custom:
    """Reads any custom resource. Raises msgspec.MsgspecError."""
    wire = read_deep(_CUSTOM.decode, raw)
    head = wire.metadata
    named = head.namespace, head.name, head.creation_timestamp or "", tuple(sorted((head.labels or {}).items()))
    if _nests_deeper([wire.spec, wire.status], _DEEPEST):
        return Custom(*named, {}, {}, f"it is nested deeper than {_DEEPEST} levels")
    return Custom(*named, as_mapping(wire.spec), as_mapping(wire.status))


def _nests_deeper(value: object, levels: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(levels == 0 or _nests_deeper(each, levels - 1) for each in inside)


def as_text(value: object) -> str | None:
    """A text that says something, else None."""
    return value.strip() or None if isinstance(value, str) else None


def as_mapping(value: object) -> Mapping[str, Any]:
    """A mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_mappings(value: object) -> Sequence[Mapping[str, Any]]:
    """Those of a list that are mappings."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def condition_says(status: Mapping[str, Any], type: str, verdict: str) -> str | None:  # noqa: A002 - Kubernetes' word
    """What a condition of this type and status says: its message or reason, empty without both; None without it."""
    for condition in as_mappings(status.get("conditions")):
        if condition.get("type") == type and condition.get("status") == verdict:
            return as_text(condition.get("message")) or as_text(condition.get("reason")) or ""
    return None
