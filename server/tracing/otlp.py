"""Spans on the wire: messages of `opentelemetry/proto`, in protobuf.

Written here, since OpenTelemetry's own encoder takes ten times as long, of the one processor that answers requests: see
`docs/decisions/0130-spans-of-our-own.md`. Source: opentelemetry-proto 1.9, `trace/v1/trace.proto`.
"""

import struct
from collections.abc import Iterable, Mapping
from functools import lru_cache

from fleet.aio.tracing import Span, Value

MOST_CHARACTERS = 1_024
"""Of a text; what is longer is cut."""

_BYTES = 2
_IDS = struct.Struct(">2sQQ2sQ2sQ")
"""`trace_id`, `span_id`, `parent_span_id`."""

_ROOT_IDS = struct.Struct(">2sQQ2sQ")
_TIMES = struct.Struct("<cQcQ")
"""`start_time_unix_nano`, `end_time_unix_nano`."""

_DOUBLE = struct.Struct("<d")
_SHORT = 0x80 - 4
"""Bytes of a key and a text of which each length is one byte."""

_UNLIKE = frozenset({"openmcp.request.id", "url.full", "url.path"})
"""Attributes whose values hardly repeat: what is made of the others is remembered."""

_FAILED = b"\x7a\x02\x18\x02"
"""`status`: a code of 2, `STATUS_CODE_ERROR`."""


def encode_span(span: Span) -> bytes:
    """The field `spans` of a `ScopeSpans`, so that a batch is its spans one behind the other."""
    high, low = divmod(span.trace_id, 1 << 64)
    if span.parent_id:
        ids = _IDS.pack(b"\x0a\x10", high, low, b"\x12\x08", span.span_id, b"\x22\x08", span.parent_id)
    else:
        ids = _ROOT_IDS.pack(b"\x0a\x10", high, low, b"\x12\x08", span.span_id)
    parts = [
        _encode_attribute(key, value) if key not in _UNLIKE else _build_attribute(key, value)
        for key, value in span.attributes.items()
    ]
    parts += (ids, _encode_name(span.name, span.kind), _TIMES.pack(b"\x39", span.start_ns, b"\x41", span.end_ns))
    if span.state:
        parts.append(_encode(3, span.state))
    if span.failed:
        parts.append(_FAILED)
    return _encode(2, b"".join(parts))


def encode_resource(attributes: Mapping[str, Value]) -> bytes:
    """The field `resource` of a `ResourceSpans`."""
    return _encode(1, b"".join(_build_attribute(key, value, 1) for key, value in attributes.items()))


def encode_request(resource: bytes, scope: str, version: str, spans: Iterable[bytes]) -> bytes:
    """An `ExportTraceServiceRequest` of spans as `encode_span` gives them."""
    named = _encode(1, _encode(1, scope.encode()) + _encode(2, version.encode()))
    return _encode(1, resource + _encode(2, named + b"".join(spans)))


@lru_cache(1_024)
def _encode_name(name: str, kind: int) -> bytes:
    return _encode(5, name[:MOST_CHARACTERS].encode(errors="replace")) + b"\x30%c" % kind


@lru_cache(256)
def _encode_key(key: str) -> bytes:
    return _encode(1, key.encode())


def _build_attribute(key: str, value: Value, number: int = 9) -> bytes:
    """A `KeyValue`; `number` is the field's."""
    if isinstance(value, str):
        text = value[:MOST_CHARACTERS].encode(errors="replace")
        named, size = _encode_key(key), len(text)
        if len(named) + size < _SHORT:  # most are, and most of the time goes here
            return b"%c%c%b\x12%c\x0a%c%b" % (number << 3 | _BYTES, len(named) + size + 4, named, size + 2, size, text)
        written = _encode(1, text)
    elif isinstance(value, bool):
        written = b"\x10%c" % value
    elif isinstance(value, int):
        written = b"\x18" + _encode_number(value % (1 << 64))
    else:
        written = b"\x21" + _DOUBLE.pack(value)
    return _encode(number, _encode_key(key) + _encode(2, written))


_encode_attribute = lru_cache(2_048, typed=True)(_build_attribute)


def _encode(number: int, content: bytes) -> bytes:
    """A field of bytes; numbers of fields here are below 16."""
    size = len(content)
    if size < 0x80:
        return b"%c%c%b" % (number << 3 | _BYTES, size, content)
    if size < 0x4000:
        return b"%c%c%c%b" % (number << 3 | _BYTES, size & 0x7F | 0x80, size >> 7, content)
    return b"%c%b%b" % (number << 3 | _BYTES, _encode_number(size), content)


def _encode_number(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
