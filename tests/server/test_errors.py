"""Domain errors become statuses and bodies; what nobody expected becomes a masked answer."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from fastapi import FastAPI

from auth.errors import AuthError, InvalidCredentials, TooManyLogins, Unauthenticated
from fleet.aio.stopping import Stopping
from fleet.model import errors as fleet_errors
from fleet.model.errors import (
    Busy,
    ClusterAnswerInvalid,
    ClusterForbidden,
    ClusterNotFound,
    ClusterTimeout,
    ClusterUnauthorized,
    ClusterUnreachable,
    FleetError,
    Forbidden,
    InvalidQuery,
    MetricsTooCostly,
    MetricsUnavailable,
    NotFound,
    Overloaded,
    TooManyRequests,
)
from rest_compat.errors import find_status
from server.errors import install_error_handlers
from server.logs import TextLines
from server.request_log import RequestLog
from tests.fakes.waiting import PATIENCE
from tests.server.serving import open_serving

SECRET = "the-secret-of-a-traceback"


@asynccontextmanager
async def open_state(_app: FastAPI) -> AsyncIterator[dict[str, Stopping]]:
    yield {"stopping": Stopping()}


def build_app(error: Exception) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=open_state)

    @app.get("/fails")
    async def fails(number: int = 0) -> None:
        raise error

    install_error_handlers(app)
    app.add_middleware(RequestLog)
    return app


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (InvalidQuery("bad"), 400, "BadRequest"),
        (Unauthenticated("who?"), 401, "Unauthorized"),
        (InvalidCredentials(), 401, "Unauthorized"),
        (Forbidden("no"), 403, "Forbidden"),
        (NotFound("none"), 404, "NotFound"),
        (ClusterNotFound("c"), 404, "NotFound"),
        (TooManyLogins(), 429, "TooManyRequests"),
        (ClusterForbidden("c", "no"), 403, "Forbidden"),
        (ClusterUnauthorized("c", "no"), 502, "BadGateway"),
        (ClusterAnswerInvalid("c", "what"), 502, "BadGateway"),
        (ClusterUnreachable("c", "gone"), 503, "ServiceUnavailable"),
        (ClusterTimeout("c", "slow"), 504, "Timeout"),
        (MetricsUnavailable("down"), 503, "ServiceUnavailable"),
        (MetricsTooCostly('a step of "1m" would do'), 400, "BadRequest"),
        (Overloaded("later"), 503, "ServiceUnavailable"),
        (TooManyRequests("fewer"), 429, "TooManyRequests"),
    ],
)
async def test_an_error_is_answered_by_the_table(error: Exception, status: int, reason: str) -> None:
    async with open_serving(build_app(error)) as url, aiohttp.request("GET", f"{url}/fails") as answer:
        body = await answer.json()

    assert (answer.status, body["code"], body["message"], body["reason"]) == (status, status, str(error), reason)
    assert (body["kind"], body["status"]) == ("Status", "Failure")
    assert answer.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)
    assert answer.headers.get("Retry-After") == ("1" if isinstance(error, Busy) or status == 429 else None)


def test_every_error_a_caller_can_meet_has_a_row() -> None:
    classes = [cls for cls in vars(fleet_errors).values() if isinstance(cls, type) and issubclass(cls, FleetError)]
    parents = (FleetError, fleet_errors.ClusterError, fleet_errors.Busy)

    assert [cls for cls in classes if cls not in parents and find_status(cls.__new__(cls))[0] == 500] == []
    assert find_status(AuthError())[0] == 500


async def test_an_unexpected_error_is_masked_under_the_id_that_the_log_has(caplog: pytest.LogCaptureFixture) -> None:
    app = build_app(RuntimeError(SECRET))
    async with open_serving(app) as url, aiohttp.request("GET", f"{url}/fails") as answer:
        body, text = await answer.json(), await answer.text()

    assert (answer.status, body["code"], body["reason"]) == (500, 500, "InternalError")
    assert SECRET not in text
    assert answer.headers["X-Request-ID"] in body["message"]
    (record,) = [record for record in caplog.records if record.exc_info]
    assert answer.headers["X-Request-ID"] in record.getMessage()


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/nowhere", 404, "NotFound"),
        ("GET", "/fails/", 404, "NotFound"),
        ("POST", "/fails", 405, "MethodNotAllowed"),
        ("GET", "/fails?number=x", 400, "BadRequest"),
    ],
)
async def test_a_request_nothing_fits_is_answered_in_the_same_shape(
    method: str, path: str, status: int, reason: str
) -> None:
    app = build_app(NotFound("unused"))
    app.router.redirect_slashes = False
    async with open_serving(app) as url, aiohttp.request(method, f"{url}{path}", allow_redirects=False) as answer:
        body = await answer.json()

    assert (answer.status, body["code"], body["reason"]) == (status, status, reason)
    assert (body["kind"], body["status"]) == ("Status", "Failure")
    assert "/fails?number" in path or path in body["message"]


async def test_a_log_line_has_the_path_but_neither_query_nor_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "server.request_log")
    headers = {"Authorization": f"Bearer {SECRET}", "X-Request-ID": "mine-1"}
    app = build_app(NotFound("none"))
    async with (
        open_serving(app) as url,
        aiohttp.request("GET", f"{url}/fails?password={SECRET}", headers=headers) as answer,
    ):
        assert answer.headers["X-Request-ID"] == "mine-1"

    (line,) = [TextLines().format(record) for record in caplog.records if record.name == "server.request_log"]
    assert " info server.request_log: GET /fails 404 " in line
    assert line.endswith("client=127.0.0.1 id=mine-1")
    assert SECRET not in caplog.text


@pytest.mark.parametrize("given", ["a b", "x" * 65, "a\u00e9", "../;"])
async def test_an_id_that_could_harm_is_replaced(given: str) -> None:
    app = build_app(NotFound("none"))
    async with (
        open_serving(app) as url,
        aiohttp.request("GET", f"{url}/fails", headers={"X-Request-ID": given}) as answer,
    ):
        assert answer.headers["X-Request-ID"] != given
        assert len(answer.headers["X-Request-ID"]) == 36


async def test_every_answer_has_the_headers_that_keep_browsers_careful() -> None:
    app = build_app(NotFound("none"))
    async with open_serving(app) as url, aiohttp.request("GET", f"{url}/fails") as answer:
        pass

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_half_an_answer_that_fails_is_cut_off_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def half(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b"half", "more_body": True})  # type: ignore[operator]
        raise RuntimeError(SECRET)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=open_state)
    app.mount("/half", half)
    app.add_middleware(RequestLog)
    async with open_serving(app) as url, aiohttp.request("GET", f"{url}/half") as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with asyncio.timeout(PATIENCE):
                await answer.read()

    assert any(record.name == "server.request_log" and record.exc_info for record in caplog.records)
