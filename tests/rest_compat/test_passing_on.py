"""What a caller sends arrives at the member, and what the member answers arrives at the caller, byte for byte."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.fakes.waiting import until
from tests.rest_compat.serving import IMPATIENT, Client
from tests.rest_compat.upstream import LIST_BODY, Upstream, answering, hanging, streaming

PODS = "/api/v1/namespaces/shop/pods"


async def test_an_answer_is_the_members_byte_for_byte(client: Client, upstream: Upstream) -> None:
    answer = await client.ask("GET", f"{PODS}?clustername=cluster1")
    assert (answer.status, answer.body) == (200, LIST_BODY)
    assert (answer.headers["content-type"], answer.headers["audit-id"]) == ("application/json", "a1")
    assert "keep-alive" not in answer.headers
    assert "set-cookie" not in answer.headers
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert len(upstream.seen) == 1


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("/api?clustername=cluster1", "/api"),
        ("/apis/?clustername=cluster1", "/apis/"),
        (f"{PODS}/?clustername=", f"{PODS}/"),
        (f"{PODS}?clustername=cluster1&limit=5&continue=a%2Bb", f"{PODS}?limit=5&continue=a%2Bb"),
        (f"{PODS}?labelSelector=app%3Dweb,a:b&clustername=cluster1&x", f"{PODS}?labelSelector=app%3Dweb,a:b&x"),
        (f"{PODS}?cluster%6eame=cluster1&clustername=nowhere&Clustername=y", f"{PODS}?Clustername=y"),
        (f"{PODS}/w%65b?clustername=cluster1", f"{PODS}/w%65b"),
        (f"{PODS}/executor-0?clustername=cluster1", f"{PODS}/executor-0"),
        (f"{PODS}/web:80/proxy/a%3Fb%25?clustername=cluster1", f"{PODS}/web:80/proxy/a%3Fb%25"),
    ],
)
async def test_only_clustername_is_taken_from_the_url(
    client: Client, upstream: Upstream, target: str, sent: str
) -> None:
    answer = await client.ask("GET", target)
    assert answer.status == 200
    assert upstream.seen[-1].target == sent


@pytest.mark.parametrize(
    ("method", "content_type", "body"),
    [
        ("POST", None, b'{"kind":"Pod"}'),
        ("POST", "application/yaml", b"kind: Pod\n# \xc3\xa9\n"),
        ("PUT", "application/yaml", b"kind: Pod\n"),
        ("PATCH", "application/json-patch+json", b'[{"op":"replace"}]\n'),
        ("PATCH", "application/merge-patch+json", b"{}"),
        ("PATCH", "application/strategic-merge-patch+json", b"{}"),
        ("PATCH", "application/apply-patch+yaml", b"a: b"),
    ],
)
async def test_bodies_and_their_types_arrive_as_they_were_sent(
    client: Client, upstream: Upstream, method: str, content_type: str | None, body: bytes
) -> None:
    headers = {} if content_type is None else {"Content_Type": content_type}
    answer = await client.ask(method, f"{PODS}?clustername=cluster1", body=body, **headers)
    assert (answer.status, answer.body) == (201 if method == "POST" else 200, LIST_BODY)
    seen = upstream.seen[0]
    assert (seen.method, seen.header("content-type"), seen.body) == (method, content_type, body)
    assert seen.header("content-length") == str(len(body))


async def test_the_member_never_sees_the_callers_identity(client: Client, upstream: Upstream) -> None:
    answer = await client.ask(
        "GET",
        f"{PODS}?clustername=cluster1",
        Cookie="a=b",
        X_Remote_Group="system:masters",
        X_Forwarded_For="10.0.0.1",
        Forwarded="for=10.0.0.1",
        User_Agent="curl/8.0",
        Connection="keep-alive, x-hop",
        X_Hop="1",
        X_Custom="kept",
        Accept="application/yaml",
    )
    assert answer.status == 200
    seen = upstream.seen[0]
    names = {key.lower() for key, _ in seen.headers}
    assert names == {"host", "accept", "accept-encoding", "user-agent", "via", "x-custom"}
    assert seen.header("user-agent") == "openmcp-apiserver"
    assert seen.header("host") != client.url.removeprefix("http://")


@pytest.mark.parametrize(("wish", "sent"), [(None, "identity"), ("gzip, br", "gzip, br")])
async def test_the_callers_encodings_are_the_members(
    client: Client, upstream: Upstream, wish: str | None, sent: str
) -> None:
    packed = gzip.compress(b"{}", mtime=0)
    upstream.answers["/api/v1/nodes"] = answering(200, packed, **{"Content-Encoding": "gzip"})
    headers = {} if wish is None else {"Accept_Encoding": wish}
    await client.ask("GET", f"{PODS}?clustername=cluster1", **headers)
    assert upstream.seen[0].header("accept-encoding") == sent
    compressed = await client.ask("GET", "/api/v1/nodes?clustername=cluster1", **headers)
    assert (compressed.headers["content-encoding"], compressed.body) == ("gzip", packed)


async def test_head_has_headers_and_no_body(client: Client, upstream: Upstream) -> None:
    answer = await client.ask("HEAD", f"{PODS}?clustername=cluster1")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == str(len(LIST_BODY))
    assert upstream.seen[0].method == "HEAD"


@IMPATIENT
async def test_an_answer_is_passed_on_while_it_arrives(client: Client, upstream: Upstream) -> None:
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
    upstream.answers |= {"/api/v1/pods": streaming(pieces), "/api/v1/nodes": hanging()}
    async with client.open("GET", "/api/v1/pods?clustername=cluster1&watch=1") as answer:
        for piece in (b'{"type":"ADDED"}\n', b'{"type":"DELETED"}\n'):
            await pieces.put(piece)
            assert await answer.content.readany() == piece
        # A watch may be silent for longer than any other answer may take.
        assert (await client.ask("GET", "/api/v1/nodes?clustername=cluster1")).status == 504
        await pieces.put(b"last")
        await pieces.put(None)
        assert await answer.content.read() == b"last"


async def test_a_body_is_passed_on_while_it_arrives(client: Client, upstream: Upstream) -> None:
    arrived: list[bytes] = []

    async def collect(request: aiohttp.web.BaseRequest) -> aiohttp.web.StreamResponse:
        async for chunk in request.content.iter_any():
            arrived.append(chunk)  # noqa: PERF401 - the test looks at them before the last has come
        return aiohttp.web.Response(body=b"{}")

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await until(lambda: arrived == [b"first"], what="the first piece at the member")
        yield b"second"

    upstream.answers[PODS] = collect
    answer = await client.ask("POST", f"{PODS}?clustername=cluster1", body=body())
    assert (answer.status, b"".join(arrived)) == (200, b"firstsecond")


async def test_a_caller_who_leaves_ends_the_members_work(client: Client, upstream: Upstream) -> None:
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
    upstream.answers["/api/v1/pods"] = streaming(pieces)
    await pieces.put(b"{}\n")
    async with client.open("GET", "/api/v1/pods?clustername=cluster1&watch=1") as answer:
        assert await answer.content.readany() == b"{}\n"
        answer.close()

    def ended() -> bool:
        pieces.put_nowait(b"{}\n")
        return upstream.ended == upstream.begun == 1

    await until(ended, what="the end of the member's request")


async def test_half_a_body_is_never_taken_for_a_whole_one(client: Client, upstream: Upstream) -> None:
    completed: list[bytes] = []

    async def collect(request: aiohttp.web.BaseRequest) -> aiohttp.web.StreamResponse:
        completed.append(await request.read())
        return aiohttp.web.Response(body=b"{}")

    upstream.answers[PODS] = collect
    host, _, port = client.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {PODS}?clustername=cluster1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n"
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n".encode())
    await until(lambda: upstream.begun == 1, what="the request at the member")
    writer.close()
    await until(lambda: upstream.ended == 1, what="the end of the member's request")
    assert completed == []


async def test_options_of_a_delete_that_are_compressed_are_the_members_to_read(
    client: Client, upstream: Upstream
) -> None:
    """An API server refuses them; left out, what was a dry run would delete."""
    options = b'{"dryRun":["All"]}'
    headers = {"Content_Type": "application/json", "Content_Encoding": "gzip"}
    await client.ask("DELETE", f"{PODS}/web?clustername=cluster1", body=gzip.compress(options), **headers)
    (seen,) = upstream.seen
    assert (seen.body, seen.header("content-encoding")) == (options, "gzip")  # this upstream unpacks


@pytest.mark.parametrize(
    ("content_type", "body", "forwarded"),
    [
        ("application/json", b'{"kind":"DeleteOptions","gracePeriodSeconds":0}', True),
        (None, b'{"propagationPolicy":"Orphan"}', True),
        ("application/yaml", b"kind: DeleteOptions\npropagationPolicy: Orphan\n", True),
        ("application/yaml", b"dryRun: [All]\n", True),
        ("application/vnd.kubernetes.protobuf", b"k8s\x00...", True),
        ("application/yaml", b"kind: Pod\nmetadata: {name: web}\n", False),
        ("application/json", b'{"kind":"Pod"}', False),
        ("application/yaml", b"kind: Pod\n---\nkind: DeleteOptions\n", False),
        ("application/yaml", b"- kind: DeleteOptions\n", False),
        ("application/json", b"not: [valid", False),
        ("application/yaml", b"# long\n" * 20_000 + b"kind: DeleteOptions\n", False),
    ],
)
async def test_a_delete_passes_on_options_and_drops_manifests(
    client: Client, upstream: Upstream, content_type: str | None, body: bytes, forwarded: bool
) -> None:
    headers = {} if content_type is None else {"Content_Type": content_type}
    answer = await client.ask("DELETE", f"{PODS}/web?clustername=cluster1", body=body, **headers)
    assert answer.status == 200
    assert upstream.seen[0].body == (body if forwarded else b"")
    assert upstream.seen[0].header("content-type") == (content_type if forwarded else None)
