"""Parsers of what callers send: credentials, paths and queries, selectors, cursors, scalars, headers, documents."""

import asyncio
import base64
import time
from typing import Any, cast

import jwt
import orjson
from graphql import GraphQLError
from hypothesis import strategies as st
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from auth.attempts import normalise_address
from auth.errors import Unauthenticated
from auth.oidc.tokens import _peek
from auth.token_review import _read_times
from auth.tokens import Tokens, bearer_token
from fleet.model.errors import InvalidQuery, NotFound
from fleet.model.label_selector import parse_requirements
from fleet.model.request_info import parse_request
from fleet.model.selectors import (
    parse_label_selector,
    parse_node_field_selector,
    parse_object_field_selector,
    parse_pod_field_selector,
)
from fleet.objects.pages import ResourceQuestion, parse_cursor
from fleet.reads.paging import unpack_cursor
from graph.extensions import read_asked
from graph.http.coding import pick_coding, refuses_identity
from graph.http.export import pick_row_type
from graph.http.persisted import Documents
from graph.http.protocol import pick_answer_type, pick_weights
from graph.http.sse import takes_events, wants_events
from graph.http.ws import _Close, read_message
from graph.ids import decode_id
from graph.operation import Refused, build_operation
from graph.scalars import _parse_big_int, parse_date_time, parse_duration
from graph.types.inputs import parse_cluster_selector
from graph.types.problem import parse_place
from rest_compat.clusters import split_target
from rest_compat.delete_options import is_delete_options
from rest_compat.errors import NotReadable
from rest_compat.parameters import read_parameter, split_clustername
from rest_compat.request import Request
from rest_compat.self_reviews import read_namespace
from rest_compat.times import parse_time
from rest_compat.upgrades import read_subprotocol_token, read_upgrade, select_upgrade_headers
from tests.fuzz.hostile import ODD_VALUES, as_json, blobs, spoilt, spoilt_json, texts, yaml_of
from tests.fuzz.parsers import Parser

KEY = b"0123456789abcdef0123456789abcdef"
TOKENS = Tokens(KEY)
DOCUMENTS = Documents(max_bytes=1_000_000)
QUESTION = ResourceQuestion("v1", "Pod")
NOW = int(time.time())
REQUEST = {
    "query": "{ viewer { name } }",
    "variables": {"a": [{"b": 1}]},
    "operationName": "a",
    "extensions": {"explain": True, "persistedQuery": {"version": 1, "sha256Hash": "ab" * 32}},
    "documentId": "sha256:" + "ab" * 32,
}
MESSAGE = {"id": "1", "type": "subscribe", "payload": {"query": "{ a }", "variables": {}}}
WORDS = ("bearer ", "Bearer", "a.b.c", ".", "omcp_", " ", "\t")
MEDIA = (
    "text/csv",
    "application/json",
    "*/*",
    "application/*",
    ";q=",
    "1",
    "0",
    "nan",
    "inf",
    ",",
    ";",
    "gzip",
    "*",
    "=",
)
SELECTOR = (
    "app",
    "a.io/b",
    "=",
    "==",
    "!=",
    "!",
    " in ",
    " notin ",
    "(",
    ")",
    ",",
    "<",
    ">",
    "metadata.name",
    "\\",
    '"',
)
PATH = (
    "/",
    "api",
    "apis",
    "v1",
    "apps",
    "namespaces",
    "pods",
    "watch",
    "proxy",
    "%2F",
    "%",
    "%25",
    "..",
    "log",
    "?",
    "clusters",
)
QUERY = ("clustername", "=", "&", "%63lustername", "+", "watch", "true", "fieldSelector", "metadata.name=a", "%ff", ";")
CLOCK = (
    "2026",
    "-01",
    "-31",
    "_",
    "T",
    ":59",
    ".",
    "123",
    "Z",
    "+00:00",
    "00:00:00",
    "24:00:00",
    "1h",
    "90s",
    "5",
    "m",
    "ms",
)


def encoded(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[str]:
    """As cursors and ids are written."""
    whole = values.map(lambda value: base64.urlsafe_b64encode(value).rstrip(b"=").decode())
    return whole | texts("e", "W", "A", "-", "_", "=", "+", "/")


def signed(claims: Any) -> str:
    """A token with right signature and odd claims; the text alone where claims can't be written."""
    try:
        return jwt.encode(claims, KEY, algorithm="HS256", headers={"kid": "x", "entry": claims.get("entry")})
    except (TypeError, ValueError, AttributeError):
        return str(claims)


def headers(*names: str) -> st.SearchStrategy[list[tuple[bytes, bytes]]]:
    values = texts(*MEDIA, "websocket", "upgrade", "base64url.bearer.authorization.k8s.io.", "v4.channel.k8s.io").map(
        lambda text: text.encode("latin-1", "ignore")
    )
    return st.lists(st.tuples(st.sampled_from([name.encode() for name in names]), values), max_size=4)


def is_dict(value: object) -> bool:
    return isinstance(value, dict)


def request(given: list[tuple[bytes, bytes]]) -> Request:
    return Request(
        {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": given}, cast("Any", None)
    )


def read(raw: bytes) -> Any:
    """A body as the graph reads it."""
    return orjson.loads(raw)


def read_forwarded(value: str) -> None:
    """What a trusted proxy says of who calls, as it is counted by."""
    seen: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["client"])

    named = [(b"x-forwarded-for", value.encode("latin-1", "ignore")), (b"x-forwarded-proto", b"https")]
    scope: Any = {"type": "http", "client": ("127.0.0.1", 1), "scheme": "http", "headers": named}
    asyncio.run(ProxyHeadersMiddleware(app, ["127.0.0.1", "10.0.0.0/8"])(scope, cast("Any", None), cast("Any", None)))
    normalise_address(seen[0][0])


CALLERS = (
    Parser(
        read_forwarded,
        texts("10.0.0.1", "203.0.113.9", "::1", "[::1]:80", ",", " ", "unknown", "_hidden", '"', "%"),
        (),
        ("uvicorn.ProxyHeadersMiddleware",),
    ),
    Parser(bearer_token, texts(*WORDS), (Unauthenticated,)),
    Parser(
        TOKENS.verify,
        spoilt({"user": "a", "iat": NOW, "exp": NOW + 60, "auth_time": NOW, "entry": "e"}).map(signed)
        | texts("e30.", "."),
        (Unauthenticated,),
    ),
    *(
        Parser(read, encoded(spoilt_json({"iss": "a", "iat": 1, "exp": 2})).map(lambda text: f"e30.{text}.e30"))
        for read in (_peek, _read_times)
    ),
    Parser(normalise_address, texts("10.0.0.1", "::1", "%eth0", "/", ":", "ffff")),
    Parser(
        lambda given: parse_request(*given),
        st.tuples(texts("GET", "POST"), texts(*PATH), texts(*QUERY)),
        (InvalidQuery,),
        ("fleet.model.request_info.parse_request",),
    ),
    Parser(parse_requirements, texts(*SELECTOR), (InvalidQuery,)),
    *(
        Parser(parse, texts(*SELECTOR), (InvalidQuery,))
        for parse in (
            parse_label_selector,
            parse_node_field_selector,
            parse_object_field_selector,
            parse_pod_field_selector,
            parse_cluster_selector,
        )
    ),
    Parser(
        lambda cursor: parse_cursor(QUESTION, cursor),
        encoded(spoilt_json([1, QUESTION.digest, ["", "", ""]])),
        (InvalidQuery,),
        ("fleet.objects.pages.parse_cursor",),
    ),
    Parser(
        lambda cursor: unpack_cursor("problems", cursor),
        encoded(spoilt_json([1, "problems", [1, 2, 3, "a"]])),
        (InvalidQuery,),
        ("fleet.reads.paging.unpack_cursor",),
    ),
    Parser(parse_place, encoded(spoilt_json([1, "problems", [1, 2, 3, "a"]])) | st.none(), (InvalidQuery,)),
    Parser(decode_id, encoded(spoilt_json(["Resource", "c", "v1", "Pod", "n", "p"])), (InvalidQuery,)),
    Parser(parse_duration, texts(*CLOCK) | st.sampled_from(ODD_VALUES), (GraphQLError,)),
    Parser(parse_date_time, texts(*CLOCK) | st.sampled_from(ODD_VALUES), (GraphQLError,)),
    Parser(_parse_big_int, texts("1", "-", "0") | st.sampled_from(ODD_VALUES), (GraphQLError,)),
    Parser(pick_answer_type, texts(*MEDIA), (Refused,)),
    *(
        Parser(pick, texts(*MEDIA))
        for pick in (pick_weights, pick_row_type, wants_events, takes_events, refuses_identity)
    ),
    Parser(lambda text: pick_coding(text, ("zstd", "gzip")), texts(*MEDIA), (), ("graph.http.coding.pick_coding",)),
    Parser(
        lambda given: read_asked(*given),
        st.tuples(st.fixed_dictionaries({"x-explain": texts("true")}), spoilt(REQUEST["extensions"]).filter(is_dict)),
        (InvalidQuery,),
        ("graph.extensions.read_asked",),
    ),
    Parser(
        lambda raw: build_operation(DOCUMENTS.complete(read(raw)), {}),
        spoilt(REQUEST).filter(is_dict).map(as_json),
        (Refused, orjson.JSONDecodeError),
        ("graph.operation.build_operation", "graph.http.persisted.Documents.complete"),
    ),
    Parser(
        lambda raw: read_message(raw.decode(errors="surrogateescape")),
        spoilt_json(MESSAGE),
        (_Close,),
        ("graph.http.ws.read_message",),
    ),
    Parser(parse_time, texts(*CLOCK), (InvalidQuery,)),
    Parser(split_clustername, texts(*QUERY), (InvalidQuery,)),
    Parser(lambda text: read_parameter(text, "watch"), texts(*QUERY), (), ("rest_compat.parameters.read_parameter",)),
    Parser(
        lambda path: split_target(path, lambda name: len(name) % 2 == 0),
        texts(*PATH, "/clusters/", "/api", "/version").map(lambda text: f"/clusters/{text}") | texts(*PATH),
        (InvalidQuery, NotFound),
        ("rest_compat.clusters.split_target",),
    ),
    Parser(
        lambda given: (
            read_upgrade(request(given)),
            read_subprotocol_token(request(given)),
            select_upgrade_headers(given),
        ),
        headers("upgrade", "connection", "sec-websocket-protocol", "authorization"),
        (),
        (
            "rest_compat.upgrades.read_upgrade",
            "rest_compat.upgrades.read_subprotocol_token",
            "rest_compat.upgrades.select_upgrade_headers",
        ),
    ),
    Parser(
        read_namespace,
        spoilt_json({"spec": {"namespace": "a"}})
        | blobs(b"k8s\0", b"\x12\x04", b"\x0a\x02", b"\xff")
        | yaml_of("spec: {namespace: a}", "spec:", "  namespace: a"),
        (NotReadable,),
    ),
    Parser(
        lambda body: is_delete_options("", body),
        spoilt_json({"kind": "DeleteOptions"}) | yaml_of("kind: DeleteOptions", "apiVersion: v1"),
        (),
        ("rest_compat.delete_options.is_delete_options",),
    ),
)
