"""`/token`: a user's name and password in, a token out. Asked in every way its clients ever asked."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import parse_qsl

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import Response
from starlette.types import ASGIApp

from auth.errors import InvalidCredentials
from fleet.aio.bounded import read_bounded
from fleet.model.errors import InvalidQuery
from rest_compat.disconnect import Caller, DisconnectWatcher
from rest_compat.errors import BodyTooLarge, NotReadable, find_status
from rest_compat.headers import has_body
from rest_compat.request import Request
from rest_compat.routing import build_open_route

MAX_BODY = 64 * 1024

_NAMES = ("username", "password")


def build_token_routes() -> dict[str, ASGIApp]:
    # Flat, always: omcpctl reads any answer of this route into a map of strings.
    return {
        "/token": build_open_route(
            issue_token, lambda _, error: _build_json({"error": str(error)}, find_status(error)[0])
        )
    }


async def issue_token(request: Request) -> Response:
    """Signs the user in; who sends a token, and no name and password, has it renewed.

    What the body says goes before what the query says.
    """
    given = _read_query(request)
    if has_body(request.scope["headers"]):
        try:
            async with asyncio.timeout(request.state["request_timeout"]):
                given |= await _read_body(request)
        except TimeoutError as error:
            raise InvalidQuery("the body did not arrive in time") from error
    authenticator, authorization = request.state["authenticator"], request.headers.get("authorization")
    if authorization and not given:
        return _build_json({"token": authenticator.renew(authorization)}, 200)
    if not all(given.get(name) for name in _NAMES):
        raise InvalidQuery(
            "username and password are needed: in the query, as JSON or as a form; or a token to be renewed, as Bearer"
        )
    host = request.client.host if request.client else ""
    watcher = DisconnectWatcher(Caller(request.receive))
    try:
        token = await authenticator.login(given["username"], given["password"], address=host)
        request.scope["sign_in"] = given["username"]
    except InvalidCredentials as error:
        request.scope["sign_in"] = error.user
        raise
    except asyncio.CancelledError:
        if not watcher.was_interrupted():
            raise
        return Response()  # there is nobody to answer: a password that still waits for its turn is not looked at
    finally:
        watcher.stop()
    return _build_json({"token": token}, 200)


def _build_json(content: Mapping[str, str], status: int) -> Response:
    body = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return Response(body, status, {"Cache-Control": "no-store"}, "application/json")


def _read_query(request: Request) -> dict[str, str]:
    return _first_values(request.scope["query_string"].decode("latin-1"))


async def _read_body(request: Request) -> dict[str, str]:
    coding = request.headers.get("content-encoding", "identity").strip()
    if coding.lower() not in ("", "identity"):
        raise NotReadable(f"the body is read as it is, this one is in {coding[:100]}: send it uncompressed")
    too_large = f"the body may have {MAX_BODY} bytes at most"
    body = await read_bounded(request.stream(), MAX_BODY, lambda: BodyTooLarge(too_large))
    if not body.strip():
        return {}
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await _read_multipart(request, body)
    text = body.decode("utf-8-sig", errors="replace").lstrip()
    return _read_json(text) if text.startswith("{") else _first_values(text)


def _read_json(text: str) -> dict[str, str]:
    """The members of the first JSON value, found by their names in any case."""
    try:
        content, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise InvalidQuery("the body begins as JSON but is none") from error
    named = {key.lower(): value for key, value in content.items() if key.lower() in _NAMES}
    if not all(isinstance(value, str) for value in named.values()):
        raise InvalidQuery("username and password must be strings")
    return named


def _first_values(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=1000)
    except ValueError as error:
        raise InvalidQuery("there are more than 1000 parameters") from error
    # A later pair would win: the first one is to.
    return {name: value for name, value in reversed(pairs) if name in _NAMES and value}


async def _read_multipart(request: Request, body: bytes) -> dict[str, str]:
    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(request.headers, once(), max_files=0, max_fields=100, max_part_size=MAX_BODY)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise InvalidQuery("the body is not the form its content type names") from error
    return {name: value for name in _NAMES if isinstance(value := form.get(name), str)}
