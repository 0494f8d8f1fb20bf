"""Paths that are served without the framework's routing, which costs them more than all else of an empty request."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from server.asgi.compression import compressing

Handler = Callable[[Request], Awaitable[Response]]

_METHODS = frozenset({"GET", "POST"})


class FastPath:
    """Answers GET and POST of exact paths by their handlers, and `apis` by path or by what is below a first segment.

    The framework's application has everything else, other methods of the handlers' paths too.
    """

    def __init__(self, app: ASGIApp, handlers: Mapping[str, Handler], apis: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._handlers = handlers
        self._apis = apis

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        handler = self._handlers.get(path)
        if handler is None or scope["method"] not in _METHODS:
            api = self._apis.get(path) or self._apis.get(path[1:].partition("/")[0], self._app)
            await api(scope, receive, send)
            return
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, compressing(scope, send))
