"""What is followed is cut off, with a reason, when the caller's credential or rights end, and when the server does.

No operation gets a last message, so that clients come back for it.
"""

import time

import pytest
from msgspec.structs import replace

from auth.principal import Principal
from fleet.model.visibility import Role, Scope
from graph.subscriptions.hub import LiveOptions
from tests.graph.conftest import ADMIN
from tests.graph.subscriptions.serving import Live, open_live

PODS = "subscription { podEvents { type pod { name } } }"
OFTEN = LiveOptions(recheck_seconds=0.05)
SHRUNK = replace(ADMIN, scope=Scope(Role.VIEW, namespaces=("shop",)))


def change(live: Live, to: Principal | None) -> None:
    if to is None:
        del live.users.known["ann"]
    else:
        live.users.known["ann"] = to


@pytest.mark.parametrize(
    ("to", "words"),
    [
        (SHRUNK, "your rights have changed: subscribe again"),
        (replace(ADMIN, groups=()), "your rights have changed: subscribe again"),
        (None, "no token, or one that does not count"),
    ],
)
async def test_rights_that_changed_close_a_websocket(to: Principal | None, words: str) -> None:
    async with open_live("c1", pods=1, options=OFTEN) as live, live.ready(PODS) as socket:
        await socket.next()
        change(live, to)
        assert await socket.closing() == (4403, words)


async def test_rights_that_changed_end_a_stream_of_events() -> None:
    async with open_live("c1", pods=1, options=OFTEN) as live, live.events(PODS) as stream:
        await stream.next()
        change(live, SHRUNK)
        assert await stream.ending() == "your rights have changed: subscribe again"


async def test_a_token_that_expires_ends_both() -> None:
    async with open_live("c1", pods=1) as live:
        live.users.known["ann"] = replace(ADMIN, expires_at=time.time() + 1.0)
        async with live.ready(PODS) as socket, live.events(PODS) as stream:
            await socket.next()
            await stream.next()
            assert await stream.ending() == "token expired"
            assert await socket.closing() == (4403, "token expired")


async def test_rights_that_stay_end_nothing() -> None:
    async with open_live("c1", pods=1, options=OFTEN) as live, live.ready(PODS) as socket:
        await socket.next()
        live.users.known["ann"] = replace(ADMIN)
        for _ in range(5):
            await socket.send({"type": "ping"})
            assert await socket.receive() == {"type": "pong"}
        assert len(live.hub.sessions) == 1


async def test_a_server_that_shuts_down_says_so() -> None:
    async with open_live("c1", pods=1) as live, live.ready(PODS) as socket, live.events(PODS) as stream:
        await socket.next()
        await stream.next()
        live.hub.shut_down()
        assert await stream.ending() == "the server is shutting down: subscribe again"
        assert await socket.closing() == (1012, "the server is shutting down: subscribe again")
