"""Pages of other origins: which may read answers, and which may open a WebSocket.

Source: the Fetch standard, section 3.3 (https://fetch.spec.whatwg.org/#http-cors-protocol). Browsers keep to it for
answers, event streams among them; WebSockets and other upgrades are exempt, so their Origin is looked at here (RFC
6455, section 10.2). No answer allows credentials: a token is sent by the page's own hand, never by the browser.
"""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rest_compat.errors import build_error_shape
from rest_compat.upgrades import EXTENSION

EXPOSED = ("ETag", "Retry-After", "Warning", "WWW-Authenticate", "X-Request-ID")

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_PREFLIGHT_SECONDS = 600


class CrossOrigin:
    """Lets pages of `origins` in: each exactly as browsers write it, or `*` for all."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._answering = CORSMiddleware(
            app,
            allow_origins=frozenset(origins),
            allow_methods=_METHODS,
            allow_headers=("*",),
            allow_private_network="*" not in origins,
            expose_headers=EXPOSED,
            max_age=_PREFLIGHT_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        upgrades = scope["type"] == "websocket" or EXTENSION in scope.get("extensions", ())
        if not upgrades:
            await self._answering(scope, receive, send)
        elif self._may_upgrade(Headers(scope=scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: 403
        else:
            message = "pages of this origin may open no connection here: OPENMCP_CORS_ORIGINS names those that may"
            body = build_error_shape(scope).build_status(403, "Forbidden", message)
            await Response(body, 403, media_type="application/json")(scope, receive, send)

    def _may_upgrade(self, headers: Headers) -> bool:
        """Whether no page asks, one of this host, or one of the origins."""
        origin = headers.get("origin")
        own = origin is None or origin.partition("://")[2] == headers.get("host")
        return own or self._answering.is_allowed_origin(str(origin))
