"""The event loop of every command."""

import asyncio
import sys


def new_event_loop() -> asyncio.AbstractEventLoop:
    """One of uvloop, where there is uvloop."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()
