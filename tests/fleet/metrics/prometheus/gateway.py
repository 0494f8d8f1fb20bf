"""A gateway in front of a metric server, as people have them: it asks for a credential and a tenant."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, web


@dataclass
class Gateway:
    """`needs` are headers that a caller must have, and `says` is added to each answer.

    With `leads_to` it redirects, and with `refuses` it answers a status and an error instead.
    """

    needs: dict[str, str] = field(default_factory=dict)
    says: dict[str, Any] = field(default_factory=dict)
    leads_to: str = ""
    refuses: tuple[int, str] | None = None
    seen: list[dict[str, str]] = field(default_factory=list)


@asynccontextmanager
async def open_gateway(url: str) -> AsyncIterator[tuple[str, Gateway]]:
    """Its base URL, with a prefix that is its own, and what it does now."""
    gateway = Gateway()

    async def pass_on(request: web.Request) -> web.Response:
        gateway.seen.append(dict(request.headers))
        if any(request.headers.get(name) != value for name, value in gateway.needs.items()):
            return web.Response(status=401)
        if gateway.leads_to:
            return web.Response(status=307, headers={"Location": gateway.leads_to})
        if gateway.refuses:
            status, error = gateway.refuses
            return web.json_response({"status": "error", "errorType": "execution", "error": error}, status=status)
        headers = {"Content-Type": request.headers.get("Content-Type", "text/plain")}
        path = request.match_info["path"]
        async with session.request(
            request.method, f"{url}/{path}", data=await request.read(), headers=headers
        ) as answer:
            said = json.loads(await answer.read())
            return web.json_response({**said, **gateway.says}, status=answer.status)

    application = web.Application(client_max_size=1 << 24)
    application.router.add_route("*", "/behind/{path:.*}", pass_on)
    runner = web.AppRunner(application)
    async with ClientSession() as session:
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/behind", gateway
        finally:
            await runner.cleanup()
