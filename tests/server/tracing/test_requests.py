"""Requests as spans: names, what is told of them and what is not."""

import subprocess
import sys
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from fleet.aio.request_context import current_request
from fleet.aio.stopping import Stopping
from fleet.aio.tracing import Span, current_span
from fleet.model.request_info import parse_request
from server.asgi.requests import Routes
from server.request_log import RequestLog
from server.tracing.requests import RequestSpans
from server.tracing.sampling import Sampler
from tests.fakes.tracing import Keeping, keeping

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
MEMBER = "/api/v1/namespaces/shop/pods/web/log"


class Answering:
    """An application; `scope` is added to what it is asked with, as routes do."""

    def __init__(self, status: int = 200, error: Exception | None = None, **scope: Any) -> None:
        self.status, self.error, self.scope = status, error, scope
        self.seen: list[Span | None] = []

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.seen.append(current_span())
        scope.update(self.scope)
        if self.error is not None:
            raise self.error
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def ask(app: Answering, path: str = "/graphql", method: str = "POST", *headers: tuple[bytes, bytes]) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        pass

    routes = Routes(["/graphql"])
    scope: Scope = {"type": "http", "method": method, "path": path, "scheme": "http", "client": ("192.0.2.1", 1)}
    scope["headers"] = [(b"x-request-id", b"request-1"), *headers]
    scope["state"] = {"stopping": Stopping()}
    await RequestLog(app, routes, RequestSpans(routes))(scope, receive, send)


@pytest.fixture
def tracer() -> Any:
    with keeping() as opened:
        yield opened


async def test_a_request_is_a_span_of_the_callers_trace(tracer: Keeping) -> None:
    app = Answering()
    await ask(app, "/graphql", "POST", (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode()), (b"tracestate", b"a=b"))
    (span,) = tracer.spans
    assert (span.name, f"{span.trace_id:032x}", f"{span.parent_id:016x}") == ("POST /graphql", TRACE, PARENT)
    assert span.state == b"a=b"
    assert app.seen == [span]
    request = current_request()
    assert request is not None
    assert request.trace_id == TRACE
    assert span.attributes == {
        "http.request.method": "POST",
        "url.path": "/graphql",
        "url.scheme": "http",
        "client.address": "192.0.2.1",
        "openmcp.request.id": "request-1",
        "http.response.status_code": 200,
        "http.route": "/graphql",
    }


@pytest.mark.parametrize(
    ("path", "name", "told"),
    [
        (MEMBER, "GET /api/v1/namespaces/{namespace}/pods/{name}/log", MEMBER),
        (f"/clusters/one{MEMBER}", "GET /clusters/{cluster}/api/v1/namespaces/{namespace}/pods/{name}/log", None),
        ("/api/v1/namespaces/shop/services/web/proxy/login/of/bob", None, "/api/v1/namespaces/shop/services/web"),
    ],
)
async def test_a_call_is_named_by_its_kind_and_not_by_its_object(
    tracer: Keeping, path: str, name: str | None, told: str | None
) -> None:
    call = ("one", parse_request("GET", path.removeprefix("/clusters/one"), ""))
    await ask(Answering(call=call), path, "GET")
    (span,) = tracer.spans
    assert name is None or span.name == name
    assert span.attributes["url.path"] == told or path
    assert span.attributes["k8s.cluster.name"] == "one"
    assert "bob" not in str(span.attributes)


@pytest.mark.parametrize(
    ("app", "failed", "told"),
    [
        (Answering(404), False, {"http.response.status_code": 404}),
        (Answering(503), True, {"http.response.status_code": 503, "error.type": "503"}),
        (Answering(error=ValueError("a secret")), True, {"http.response.status_code": 500, "error.type": "500"}),
    ],
)
async def test_what_went_wrong_is_told(tracer: Keeping, app: Answering, failed: bool, told: dict[str, Any]) -> None:
    await ask(app)
    (span,) = tracer.spans
    assert span.failed is failed
    assert told.items() <= span.attributes.items()
    assert "a secret" not in str(span.attributes)


async def test_a_method_of_ones_own_names_no_span(tracer: Keeping) -> None:
    await ask(Answering(405), "/none", "BREW" * 1_000)
    (span,) = tracer.spans
    assert (span.name, span.attributes["http.request.method"]) == ("HTTP", "_OTHER")


async def test_probes_are_no_spans(tracer: Keeping) -> None:
    for path in ("/healthz", "/readyz"):
        await ask(Answering(), path, "GET")
    assert tracer.spans == []


async def test_who_is_not_sampled_is_still_followed_down(tracer: Keeping) -> None:
    with keeping(Sampler(0.0)) as sparse:
        app = Answering()
        await ask(app)
    (span,) = app.seen
    assert span is not None
    assert (span.traceparent[-2:], span.attributes, sparse.spans) == (b"00", {}, [])
    request = current_request()
    assert request is not None
    assert request.trace_id is None


def test_nothing_of_it_is_imported_where_nothing_is_traced() -> None:
    code = "import sys, server.serve; print([name for name in sys.modules if name.startswith('server.tracing')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
