"""How many requests an address may send, before it is asked who it is."""

from starlette.types import ASGIApp, Receive, Scope, Send

from auth.attempts import normalise_address
from fleet.aio.rates import RateLimit
from fleet.model.errors import TooManyRequests
from server.errors import build_error_answer

_PROBES = frozenset({"/healthz", "/readyz"})
_TOO_FAST = 1013  # "try again later"; a handshake that is not accepted is answered 403


class AddressRate:
    """An application that each address may ask so often; probes as often as they like."""

    def __init__(self, app: ASGIApp, a_second: float) -> None:
        self._app = app
        self._rate = RateLimit(a_second, "an address")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client is None:
            await self._app(scope, receive, send)
            return
        host = client[0]
        address = normalise_address(host) if ":" in host else host
        if self._rate.take(address) or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
        else:
            await self._refuse(address, scope, receive, send)

    async def _refuse(self, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._rate.refuse(address)
        except TooManyRequests as error:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": _TOO_FAST})
                return
            headers = {"Retry-After": str(error.retry_after)}
            await build_error_answer(scope, 429, "TooManyRequests", str(error), headers)(scope, receive, send)
