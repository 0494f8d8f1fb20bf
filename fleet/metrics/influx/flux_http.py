"""Flux over HTTP: `/api/v2/query` of an InfluxDB 2.x, with its refusals in the fleet's words.

Source: the HTTP API of InfluxDB 2.7. A missing bucket is a 404, a missing organisation or a wrong query a 400.
"""

import logging
import re
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct, field

from fleet.metrics.influx.layout import Names, Query, Value
from fleet.metrics.influx.options import InfluxOptions
from fleet.metrics.pool import Call
from fleet.model.errors import MetricsUnavailable
from fleet.model.told import Told, tell
from fleet.model.unreadable import UNREADABLE

logger = logging.getLogger(__name__)

_HEADERS = {"Accept": "application/csv", "Content-Type": "application/json"}
# Times to the nanosecond, and the types of columns: nothing else is needed to read an answer.
_DIALECT = {"header": True, "delimiter": ",", "annotations": ["datatype"], "dateTimeFormat": "RFC3339Nano"}
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


class _Refusal(Struct):
    code: str = ""
    message: str = ""


class _Rule(Struct):
    shard_seconds: int = field(name="shardGroupDurationSeconds")


class _Bucket(Struct, rename="camel"):
    retention_rules: list[_Rule]


class _Buckets(Struct):
    buckets: list[_Bucket]


def build_call(options: InfluxOptions, query: Query) -> Call:
    """One query; the bucket is bound beside what it names."""
    extern = build_extern(Query(query.text, {"bucket": options.database, **query.params}))
    body = {"query": query.text, "type": "flux", "dialect": _DIALECT, "extern": extern}
    return Call(f"/api/v2/query?org={quote(options.org, safe='')}", _HEADERS, msgspec.json.encode(body))


def build_bucket_call(options: InfluxOptions) -> Call:
    named = urlencode({"org": options.org, "name": options.database})
    return Call(f"/api/v2/buckets?{named}", {"Accept": "application/json"}, b"", "GET")


def decode_shard_seconds(body: bytes) -> int:
    """How long a shard of the bucket is. Raises MetricsUnavailable."""
    try:
        return msgspec.json.decode(body, type=_Buckets).buckets[0].retention_rules[0].shard_seconds
    except (*UNREADABLE, IndexError) as error:
        raise MetricsUnavailable("InfluxDB does not say how long the shards of the bucket are") from error


def build_extern(query: Query) -> dict[str, Any]:
    """The parameters as a file of options, which is a syntax tree: no value can become a part of the text.

    As the client library binds its `params`, which have no regular expressions.
    """
    return {"imports": [], "body": [_option(name, value) for name, value in query.params.items()], "type": "File"}


def _option(name: str, value: Value) -> dict[str, Any]:
    identifier = {"type": "Identifier", "name": name}
    assignment = {"type": "VariableAssignment", "id": identifier, "init": _literal(value)}
    return {"type": "OptionStatement", "assignment": assignment}


def _literal(value: Value) -> dict[str, str]:
    if isinstance(value, Names):
        quoted = "|".join(_META.sub(r"\\\g<0>", _sound(name)) for name in value.values)
        return {"type": "RegexpLiteral", "value": f"^(?:{quoted})$"}
    if isinstance(value, int):
        return {"type": "IntegerLiteral", "value": str(value)}
    return {"type": "StringLiteral", "value": _sound(value)}


def _sound(text: str) -> str:
    # A half of a surrogate pair is no text to the parser there; no stored name has what it becomes.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def explain_refusal(options: InfluxOptions, status: int, body: bytes) -> MetricsUnavailable:
    """What an answer other than 200 means; its own words may hold a part of the query."""
    server, bucket = options.server, options.database
    try:
        said = msgspec.json.decode(body, type=_Refusal)
    except UNREADABLE:
        said = _Refusal()
    if status == 401:
        text = tell("{} refuses this server's token (401): check the token", server)
    elif "organization" in said.message and "not found" in said.message:
        text = tell("{} has no organisation {!r}: check its name", server, options.org)
    elif "could not find bucket" in said.message:
        where = f"in organisation {options.org!r} that this server's token may read"
        text = tell("{} has no bucket {!r} {}", server, bucket, where)
    elif status == 403 and said.code:
        text = tell("{} does not let this server's token read {!r} (403)", server, bucket)
    elif status == 404 and not said.code:
        text = Told("there is no InfluxDB 2.x (404)", f"there is no InfluxDB 2.x at {options.place} (404)")
    elif said.message:
        text = explain_error(said.message)
    else:
        text = tell("{} answered {} to a query", server, status)
    return MetricsUnavailable(text)


def explain_error(text: str) -> str:
    """A message for an error of a query. Its own words may hold a part of the query, so only the log gets them."""
    if "memory allocation limit" in text or "limit exceeded" in text:
        return "the query reached a limit of InfluxDB (memory): ask for less, or raise its limit"
    logger.warning("InfluxDB reports an error: %.200r", text)
    return "InfluxDB reports an error for the query; the log has its words"
