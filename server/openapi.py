"""`/openapi.json`: the URLs of the main port in OpenAPI 3.1, for whoever has a token.

It is written by hand in `openapi.yaml`, and held to the routes by tests.
"""

import hashlib
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.responses import Response

from auth.dependencies import get_principal
from fleet.model.unreadable import load_yaml
from graph.http.graphiql_page import is_known
from server.lifespan import StateRequest


def build_openapi_router() -> APIRouter:
    router = APIRouter()

    @router.api_route("/openapi.json", methods=["GET", "HEAD"], include_in_schema=False)
    async def serve_openapi(request: StateRequest) -> Response:
        await get_principal(request)
        body, etag = _dump()
        headers = {"cache-control": "private, no-cache", "etag": etag}
        if is_known(request, etag):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    return router


def load_openapi() -> dict[str, Any]:
    text = (files("server") / "openapi.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = load_yaml(text)
    document["info"]["version"] = version("openmcp-apiserver")
    return document


@cache
def _dump() -> tuple[bytes, str]:
    body = orjson.dumps(load_openapi())
    return body, f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
