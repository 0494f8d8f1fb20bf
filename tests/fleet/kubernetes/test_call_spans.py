"""What members are told of the trace that a call is of, and what is told of the call."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from fleet.aio.tracing import Kind
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.errors import ClusterError
from fleet.ports import Call, Headers
from server.tracing.sampling import Sampler
from tests.fakes.tracing import keeping
from tests.fleet.kubernetes.servers import open_http_server

PATH = "/api/v1/namespaces/shop/pods/web"
GIVEN: Headers = [(b"traceparent", b"of the caller"), (b"TraceState", b"of=the-caller"), (b"accept", b"a/b")]


class Member:
    """An API server that answers with a status of the test's, and keeps the headers of what it is asked."""

    def __init__(self) -> None:
        self.status = 200
        self.seen: list[tuple[str, ...]] = []

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.seen.append((*request.headers.getall("traceparent", []), *request.headers.getall("tracestate", [])))
        return web.Response(status=self.status)


@pytest.fixture
def member() -> Member:
    return Member()


@pytest.fixture
async def connection(member: Member) -> AsyncIterator[HttpConnection]:
    async with open_http_server(member.answer) as url:
        opened = HttpConnection("one", Target(url))
        yield opened
        await opened.close()


async def request(connection: HttpConnection, call: Call) -> None:
    await connection.request(call)


async def stream(connection: HttpConnection, call: Call) -> None:
    async with connection.open_stream(call) as answer:
        async for _ in answer.chunks():
            pass


async def upgrade(connection: HttpConnection, call: Call) -> None:
    async with connection.open_upgrade(call):
        pass


EACH = pytest.mark.parametrize("send", [request, stream, upgrade])
Send = Callable[[HttpConnection, Call], Awaitable[None]]


def build_call(query: str = "") -> Call:
    return Call("GET", PATH, 10.0, query, GIVEN, upgrade="websocket")


@EACH
async def test_a_member_gets_the_calls_own_span_in_the_place_of_the_callers(
    connection: HttpConnection, member: Member, send: Send
) -> None:
    with keeping() as tracer, tracer.begin("request", Kind.SERVER, {}) as outer:
        outer.state = b"kept=1"
        await send(connection, build_call("command=a-secret"))
    call, _ = tracer.spans
    assert member.seen == [(call.traceparent.decode(), "kept=1")]
    assert (call.parent_id, call.kind, call.failed) == (outer.span_id, Kind.CLIENT, False)
    assert call.name == "GET /api/v1/namespaces/{namespace}/pods/{name}"
    assert call.attributes["k8s.cluster.name"] == "one"
    assert call.attributes["http.response.status_code"] == 200
    assert str(call.attributes["url.full"]).endswith(PATH)


@EACH
async def test_a_status_and_an_error_are_told(connection: HttpConnection, member: Member, send: Send) -> None:
    with keeping() as tracer, tracer.begin("request", Kind.SERVER, {}):
        member.status = 404
        await send(connection, build_call())
        await connection.close()
        with pytest.raises(ClusterError):
            await send(HttpConnection("away", Target("http://127.0.0.1:1")), build_call())
    refused, away, _ = tracer.spans
    assert (refused.failed, refused.attributes["error.type"]) == (True, "404")
    assert away.failed
    assert away.attributes["k8s.cluster.name"] == "away"


@EACH
async def test_who_is_not_sampled_tells_members_so(connection: HttpConnection, member: Member, send: Send) -> None:
    with keeping(Sampler(0.0)) as tracer, tracer.begin("request", Kind.SERVER, {}) as outer:
        await send(connection, build_call())
    assert member.seen == [(outer.traceparent.decode(),)]
    assert tracer.spans == []


async def test_what_is_no_requests_is_of_no_trace(connection: HttpConnection, member: Member) -> None:
    with keeping() as tracer:
        await connection.request(Call("GET", PATH, 10.0))
    assert (member.seen, tracer.spans) == ([()], [])


async def test_without_a_tracer_the_callers_context_goes_on(connection: HttpConnection, member: Member) -> None:
    await connection.request(build_call())
    assert member.seen == [("of the caller", "of=the-caller")]
