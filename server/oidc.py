"""`/oidc`: how people sign in at an issuer from a page or a command, and a page's code exchanged for a token."""

import asyncio

import msgspec
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from auth.dependencies import note_principal
from auth.errors import AuthError, TooManyLogins
from auth.oidc.sign_in import SignInRefused
from fleet.aio.bounded import read_bounded
from fleet.model.errors import InvalidQuery
from fleet.model.unreadable import UNREADABLE
from rest_compat.errors import BodyTooLarge, BodyTooSlow
from server.lifespan import StateRequest

MAX_BODY = 64 * 1024
_NO_STORE = {"Cache-Control": "no-store"}


def build_oidc_router() -> APIRouter:
    router = APIRouter()

    @router.api_route("/oidc", methods=["GET", "HEAD", "POST"], include_in_schema=False)
    async def serve_oidc(request: StateRequest) -> Response:
        if request.method == "POST":
            answer = await _exchange(request)
            outcome = {200: "ok", 429: "delayed"}.get(answer.status_code, "refused")
            request.state["authenticator"].sign_ins.note(outcome)
            return answer
        offers = request.state["authenticator"].desk.list_offers()
        return JSONResponse({"issuers": msgspec.to_builtins(offers)}, headers=_NO_STORE)

    return router


async def _exchange(request: StateRequest) -> Response:
    given = await _read_texts(request)
    authenticator = request.state["authenticator"]
    address = request.client.host if request.client else ""
    try:
        grant = await authenticator.desk.redeem(given.pop("issuer", ""), given, address)
        principal = await authenticator.authenticate(f"Bearer {grant.id_token}")
    except TooManyLogins as error:
        return _refuse(429, error, {"Retry-After": str(error.retry_after)})
    except SignInRefused as error:
        return _refuse(400, error)
    except AuthError as error:  # what the issuer gave does not count here
        return _refuse(401, error)
    note_principal(request, principal)
    said = {"user": principal.name, "token": grant.id_token}
    if grant.refresh_token is not None:
        said["refreshToken"] = grant.refresh_token
    return JSONResponse(said, headers=_NO_STORE)


def _refuse(status: int, error: Exception, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": str(error)}, status, _NO_STORE | (headers or {}))


async def _read_texts(request: StateRequest) -> dict[str, str]:
    too_large = f"the body may have {MAX_BODY} bytes at most"
    try:
        async with asyncio.timeout(request.state["request_timeout"]):
            body = await read_bounded(request.stream(), MAX_BODY, lambda: BodyTooLarge(too_large))
    except TimeoutError as error:
        raise BodyTooSlow("the body did not arrive in time") from error
    try:
        return msgspec.json.decode(body, type=dict[str, str])
    except UNREADABLE as error:
        raise InvalidQuery("the body must be a JSON object of texts") from error
