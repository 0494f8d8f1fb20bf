"""Domain errors become statuses and bodies; what nobody expected becomes a masked answer."""

import asyncio
import logging

import aiohttp
import pytest
from fastapi import FastAPI

from auth.errors import AuthError, InvalidCredentials, TooManyLogins, Unauthenticated
from fleet.model import errors as fleet_errors
from fleet.model.errors import (
    ClusterAnswerInvalid,
    ClusterForbidden,
    ClusterNotFound,
    ClusterTimeout,
    ClusterUnauthorized,
    ClusterUnreachable,
    FleetError,
    Forbidden,
    InvalidQuery,
    MetricsUnavailable,
    NotFound,
)
from server.errors import INTERNAL, install_error_handlers, kind_of
from server.request_log import RequestLog
from tests.server.serving import open_serving

SECRET = "the-secret-of-a-traceback"


def build_app(error: Exception) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/fails")
    async def fails(number: int = 0) -> None:
        raise error

    install_error_handlers(app)
    app.add_middleware(RequestLog)
    return app


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidQuery("bad"), 400, "BAD_USER_INPUT"),
        (Unauthenticated("who?"), 401, "UNAUTHENTICATED"),
        (InvalidCredentials(), 401, "UNAUTHENTICATED"),
        (Forbidden("no"), 403, "FORBIDDEN"),
        (NotFound("none"), 404, "NOT_FOUND"),
        (ClusterNotFound("c"), 404, "NOT_FOUND"),
        (TooManyLogins(), 429, "TOO_MANY_LOGINS"),
        (ClusterForbidden("c", "no"), 403, "FORBIDDEN"),
        (ClusterUnauthorized("c", "no"), 502, "CLUSTER_UNAUTHORIZED"),
        (ClusterAnswerInvalid("c", "what"), 502, "CLUSTER_UNREACHABLE"),
        (ClusterUnreachable("c", "gone"), 503, "CLUSTER_UNREACHABLE"),
        (ClusterTimeout("c", "slow"), 504, "CLUSTER_TIMEOUT"),
        (MetricsUnavailable("down"), 503, "METRICS_UNAVAILABLE"),
    ],
)
async def test_an_error_is_answered_by_the_table(error: Exception, status: int, code: str) -> None:
    async with open_serving(build_app(error)) as url, aiohttp.request("GET", f"{url}/fails") as answer:
        body = await answer.json()

    assert (answer.status, body["error"], body["code"]) == (status, str(error), code)
    assert body.get("cluster") == ("c" if isinstance(error, fleet_errors.ClusterError) else None)
    assert answer.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)


def test_every_error_a_caller_can_meet_has_a_row() -> None:
    classes = [cls for cls in vars(fleet_errors).values() if isinstance(cls, type) and issubclass(cls, FleetError)]
    parents = (FleetError, fleet_errors.ClusterError)

    assert [cls for cls in classes if cls not in parents and kind_of(cls.__new__(cls)) is INTERNAL] == []
    assert kind_of(AuthError()) is INTERNAL


async def test_an_unexpected_error_is_masked_under_the_id_that_the_log_has(caplog: pytest.LogCaptureFixture) -> None:
    app = build_app(RuntimeError(SECRET))
    async with open_serving(app) as url, aiohttp.request("GET", f"{url}/fails") as answer:
        body, text = await answer.json(), await answer.text()

    assert (answer.status, body["code"]) == (500, "INTERNAL")
    assert SECRET not in text
    assert body["id"] == answer.headers["X-Request-ID"]
    (record,) = [record for record in caplog.records if record.exc_info]
    assert body["id"] in record.getMessage()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("GET", "/fails/", 404, "NOT_FOUND"),
        ("POST", "/fails", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/fails?number=x", 400, "BAD_USER_INPUT"),
    ],
)
async def test_a_request_nothing_fits_is_answered_in_the_same_shape(
    method: str, path: str, status: int, code: str
) -> None:
    app = build_app(NotFound("unused"))
    app.router.redirect_slashes = False
    async with open_serving(app) as url, aiohttp.request(method, f"{url}{path}", allow_redirects=False) as answer:
        body = await answer.json()

    assert (answer.status, body["code"]) == (status, code)
    assert set(body) == {"error", "code"}


async def test_a_log_line_has_the_path_but_neither_query_nor_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "server.request_log")
    headers = {"Authorization": f"Bearer {SECRET}", "X-Request-ID": "mine-1"}
    app = build_app(NotFound("none"))
    async with (
        open_serving(app) as url,
        aiohttp.request("GET", f"{url}/fails?password={SECRET}", headers=headers) as answer,
    ):
        assert answer.headers["X-Request-ID"] == "mine-1"

    (line,) = [record.getMessage() for record in caplog.records if record.name == "server.request_log"]
    assert line.startswith("GET /fails 404 ")
    assert line.endswith("127.0.0.1 mine-1")
    assert SECRET not in caplog.text


@pytest.mark.parametrize("given", ["a b", "x" * 65, "a\u00e9", "../;"])
async def test_an_id_that_could_harm_is_replaced(given: str) -> None:
    app = build_app(NotFound("none"))
    async with (
        open_serving(app) as url,
        aiohttp.request("GET", f"{url}/fails", headers={"X-Request-ID": given}) as answer,
    ):
        assert answer.headers["X-Request-ID"] != given
        assert len(answer.headers["X-Request-ID"]) == 16


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

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/half", half)
    app.add_middleware(RequestLog)
    async with open_serving(app) as url, aiohttp.request("GET", f"{url}/half") as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with asyncio.timeout(10):
                await answer.read()

    assert any(record.name == "server.request_log" and record.exc_info for record in caplog.records)
