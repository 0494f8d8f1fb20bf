"""Routers of legacy routes: called with whatever method, and answering errors in shapes of their own."""

import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from auth.errors import AuthError
from fleet.model.errors import FleetError
from rest_compat.errors import build_auth_answer, find_status

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

Endpoint = Callable[..., Awaitable[Response]]
ErrorAnswer = Callable[[str, FleetError], Response]
"""The answer to an error at a path."""


def build_router(endpoints: Mapping[str, Endpoint], answer: ErrorAnswer) -> APIRouter:
    """Each endpoint at its path. A refused credential is answered as everywhere, other errors by `answer`."""

    class ErrorRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handle_or_answer(request: Request) -> Response:
                try:
                    return await handle(request)
                except AuthError as error:
                    return build_auth_answer(error)
                except FleetError as error:
                    return answer(request.url.path, error)

            return handle_or_answer

    router = APIRouter(route_class=ErrorRoute, include_in_schema=False)
    for path, endpoint in endpoints.items():
        router.add_api_route(path, endpoint, methods=METHODS, response_model=None)
    return router


def build_json(content: object, status: int = 200) -> Response:
    """JSON as the original's encoder indents it."""
    return Response(json.dumps(content, indent="\t", ensure_ascii=False), status, media_type="application/json")


def build_null(member: str, error: FleetError) -> Response:
    """`null` where clients look for a list, and the error beside it."""
    return build_json({member: None, "error": str(error)}, find_status(error)[0])
