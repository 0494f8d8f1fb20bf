"""The event loop of every command."""

import asyncio
import sys
from typing import Any

HANDSHAKE_SECONDS = 10.0
"""How long a caller's TLS handshake may take: until it ends, its connection is among none that are counted."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """One of uvloop, where there is uvloop."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    class Loop(uvloop.Loop):
        async def create_server(self, *args: Any, **named: Any) -> Any:
            """As asyncio's; uvicorn, who calls it, leaves the time of handshakes to the loop: a minute."""
            if named.get("ssl") is not None:
                named["ssl_handshake_timeout"] = HANDSHAKE_SECONDS
            return await super().create_server(*args, **named)

    return Loop()
