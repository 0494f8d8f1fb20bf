"""Errors have their real status and a body that no known client breaks on."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.rest_compat.serving import IMPATIENT, Client
from tests.rest_compat.upstream import NOT_FOUND, Upstream, answering, hanging, streaming

POD = "/api/v1/namespaces/shop/pods/web"
JSON = "application/json"
WIDE: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": {}, "items": []}
GENUINE: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}


async def test_a_read_without_accept_gets_a_status_that_looks_like_any_object(
    client: Client, upstream: Upstream
) -> None:
    upstream.answers[POD] = answering(404, NOT_FOUND, **{"Audit-Id": "a1"})
    answer = await client.ask("GET", f"{POD}?clustername=cluster1")
    message = {"message": 'pods "web" not found', "reason": "NotFound", "code": 404}
    assert (answer.status, json.loads(answer.body)) == (404, WIDE | message)
    assert (answer.headers["content-type"], answer.headers["audit-id"]) == (JSON, "a1")


@pytest.mark.parametrize(
    ("method", "headers"),
    [("GET", {"Accept": "*/*"}), ("GET", {"Accept": JSON}), ("POST", {}), ("PATCH", {}), ("DELETE", {}), ("PUT", {})],
)
async def test_everybody_else_gets_the_members_own_bytes(
    client: Client, upstream: Upstream, method: str, headers: dict[str, str]
) -> None:
    upstream.answers[POD] = answering(404, NOT_FOUND)
    answer = await client.ask(method, f"{POD}?clustername=cluster1", **headers)
    assert (answer.status, answer.body) == (404, NOT_FOUND)


async def test_readers_of_openmcpclusters_get_a_spec_as_well(client: Client, upstream: Upstream) -> None:
    path = "/apis/openmcp.k8s.io/v1alpha1/namespaces/openmcp/openmcpclusters/cluster9"
    upstream.answers[path] = answering(404, NOT_FOUND)
    answer = await client.ask("GET", f"{path}?clustername=openmcp")
    assert json.loads(answer.body)["spec"] == {}


@pytest.mark.parametrize(
    ("status", "content_type", "body", "reason", "message"),
    [
        (404, "text/plain; charset=utf-8", b"404 page not found\n", "NotFound", "404 page not found"),
        (500, "text/html", b"<h1>no</h1>", "InternalError", "<h1>no</h1>"),
        (429, "text/plain", b"", "TooManyRequests", "Too Many Requests"),
        (502, JSON, b"[1]", "", "[1]"),
        (503, JSON, b"{" * 100_000, "ServiceUnavailable", "{" * 1000),
    ],
)
async def test_errors_that_are_no_status_become_one(
    client: Client, upstream: Upstream, status: int, content_type: str, body: bytes, reason: str, message: str
) -> None:
    upstream.answers[POD] = answering(status, body, content_type, **{"Retry-After": "1"})
    expected = {"message": message, "reason": reason, "code": status}
    for headers, shape in (({}, WIDE), ({"Accept": "*/*"}, GENUINE)):
        answer = await client.ask("GET", f"{POD}?clustername=cluster1", **headers)
        assert (answer.status, json.loads(answer.body)) == (status, shape | expected)
        assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("content_type", ["application/yaml", "application/vnd.kubernetes.protobuf"])
async def test_errors_in_an_encoding_that_was_asked_for_are_left_alone(
    client: Client, upstream: Upstream, content_type: str
) -> None:
    upstream.answers[POD] = answering(409, b"k8s\x00", content_type)
    answer = await client.ask("GET", f"{POD}?clustername=cluster1", Accept=content_type)
    assert (answer.status, answer.headers["content-type"], answer.body) == (409, content_type, b"k8s\x00")


async def test_errors_of_a_service_behind_the_member_are_left_alone(client: Client, upstream: Upstream) -> None:
    upstream.answers[f"{POD}/proxy/"] = answering(401, b"who?", "text/plain")
    answer = await client.ask("GET", f"{POD}/proxy/?clustername=cluster1")
    assert (answer.status, answer.body) == (401, b"who?")


async def test_a_head_of_an_error_has_no_body(client: Client, upstream: Upstream) -> None:
    upstream.answers[POD] = answering(404, NOT_FOUND)
    answer = await client.ask("HEAD", f"{POD}?clustername=cluster1")
    assert (answer.status, answer.body) == (404, b"")


async def test_a_member_that_refuses_this_servers_credential_is_not_the_callers_fault(
    client: Client, upstream: Upstream
) -> None:
    upstream.answers[POD] = answering(401, b'{"kind":"Status"}')
    answer = await client.ask("GET", f"{POD}?clustername=cluster1")
    assert answer.status == 502
    assert "refused this server's credential" in json.loads(answer.body)["message"]


@IMPATIENT
@pytest.mark.parametrize(
    ("target", "status", "reason", "message"),
    [
        ("/api/v1/pods", 400, "BadRequest", "add ?clustername=NAME"),
        ("/api/v1/pods?clustername=nowhere", 404, "NotFound", "no cluster is named 'nowhere'; clusters: openmcp"),
        ("/api/v1/pods?clustername=down", 503, "ServiceUnavailable", "cluster down"),
        ("/api/v1/hung?clustername=cluster1", 504, "Timeout", "cluster1"),
        ("/api/v1/pods/%2e%2e/secrets?clustername=cluster1", 400, "BadRequest", "segments are not accepted"),
        ("/api/v1/pods/a%2fb?clustername=cluster1", 400, "BadRequest", "can't be part of a segment"),
        ("/api//v1/pods?clustername=cluster1", 400, "BadRequest", "segments are not accepted"),
    ],
)
async def test_this_servers_own_errors_have_the_same_shapes(
    client: Client, upstream: Upstream, target: str, status: int, reason: str, message: str
) -> None:
    upstream.answers["/api/v1/hung"] = hanging()
    for headers, shape in (({}, WIDE), ({"Accept": "*/*"}, GENUINE)):
        answer = await client.ask("GET", target, **headers)
        body = json.loads(answer.body)
        assert message in body.pop("message")
        assert (answer.status, body) == (status, shape | {"reason": reason, "code": status})
    assert upstream.seen == []


@IMPATIENT
async def test_a_silence_in_the_middle_cuts_the_answer_off(client: Client, upstream: Upstream) -> None:
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
    upstream.answers["/api/v1/pods"] = streaming(pieces)
    await pieces.put(b'{"items":[')
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.ask("GET", "/api/v1/pods?clustername=cluster1", Accept="*/*")


@IMPATIENT
@pytest.mark.parametrize("status", [200, 500])
async def test_clients_that_break_on_half_an_answer_get_an_error_in_time(
    client: Client, upstream: Upstream, status: int
) -> None:
    """Also where the member is never silent for long, but never done."""

    async def drip(request: aiohttp.web.BaseRequest) -> aiohttp.web.StreamResponse:
        response = aiohttp.web.StreamResponse(status=status, headers={"Content-Type": JSON})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.05)

    upstream.answers["/api/v1/pods"] = drip
    answer = await client.ask("GET", "/api/v1/pods?clustername=cluster1")
    content = json.loads(answer.body)
    assert (answer.status, content["status"], content["items"]) == (504, {}, [])


async def test_a_large_answer_is_still_passed_on_while_it_arrives(client: Client, upstream: Upstream) -> None:
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
    upstream.answers["/api/v1/pods"] = streaming(pieces)
    await pieces.put(b"a" * 1024 * 1024)
    async with client.open("GET", "/api/v1/pods?clustername=cluster1") as answer:
        assert len(await answer.content.readexactly(1024 * 1024)) == 1024 * 1024
        await pieces.put(b"last")
        await pieces.put(None)
        assert await answer.content.read() == b"last"


@IMPATIENT
@pytest.mark.parametrize(("method", "target"), [("DELETE", f"{POD}?"), ("POST", f"{POD}/exec?podname=web&")])
async def test_a_body_that_does_not_arrive_ends_a_request_in_time(
    client: Client, upstream: Upstream, method: str, target: str
) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b'{"kind":'
        await asyncio.Event().wait()

    answer = await client.ask(method, f"{target}clustername=cluster1", body=stalled())
    assert (answer.status, json.loads(answer.body)["reason"], upstream.seen) == (408, "Timeout", [])


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
async def test_nothing_is_passed_on_without_a_token(client: Client, upstream: Upstream, method: str) -> None:
    answer = await client.ask(method, f"{POD}?clustername=cluster1", Authorization="")
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.body == b"Required authorization token not found\n"
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/api/v1/namespaces/shop/pods?clustername=cluster1", 200),
        ("GET", "/api?clustername=cluster1", 200),
        ("GET", "/api/v1/namespaces/other/pods?clustername=cluster1", 403),
        ("GET", "/api/v1/pods?clustername=cluster1", 403),
        ("GET", "/api/v1/namespaces/shop/secrets?clustername=cluster1", 403),
        ("GET", "/api/v1/namespaces/shop/%73ecrets?clustername=cluster1", 403),
        ("GET", f"{POD}/log?clustername=cluster1", 403),
        ("DELETE", f"{POD}?clustername=cluster1", 403),
        ("POST", "/api?clustername=cluster1", 403),
        ("GET", "/api/v1/namespaces/shop/pods?clustername=openmcp", 404),
        ("GET", "/api/v1/namespaces/shop/pods?clustername=nowhere", 404),
    ],
)
async def test_a_callers_rights_end_where_the_policy_says(
    client: Client, upstream: Upstream, viewer: str, method: str, target: str, status: int
) -> None:
    answer = await client.ask(method, target, token=viewer)
    assert answer.status == status
    assert len(upstream.seen) == (1 if status == 200 else 0)
    if status == 403:
        assert json.loads(answer.body)["reason"] == "Forbidden"


async def test_a_manifest_without_end_is_not_read_for_a_delete(client: Client, upstream: Upstream) -> None:
    answer = await client.ask("DELETE", f"{POD}?clustername=cluster1", body=io.BytesIO(b"a" * (1024 * 1024 + 1)))
    assert (answer.status, json.loads(answer.body)["reason"]) == (413, "RequestEntityTooLarge")
    assert upstream.seen == []
