"""Requests of an address are bounded by the second: of IPv6 those of its network, and never a probe."""

from collections import Counter
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from server.address_rate import AddressRate


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("ok")(scope, receive, send)


async def ask(app: AddressRate, address: str | None, path: str = "/graphql") -> Any:
    """The first message of the answer."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    client = None if address is None else (address, 4711)
    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"accept", b"*/*")], "client": client}
    await app(scope, receive, send)
    return sent[0]


@pytest.mark.parametrize(
    ("addresses", "passing"),
    [
        (["192.0.2.1"] * 20, 5),
        ([f"192.0.2.{number}" for number in range(20)], 20),
        ([f"2001:db8::{number:x}" for number in range(20)], 5),
        ([f"2001:db8:0:{number:x}::1" for number in range(20)], 20),
        (["::ffff:192.0.2.1", "192.0.2.1"] * 10, 5),
        ([None] * 20, 20),
    ],
)
async def test_each_address_has_its_own_and_ipv6_a_network(addresses: list[str | None], passing: int) -> None:
    app = AddressRate(serve, 1)
    answers = [await ask(app, address) for address in addresses]
    assert Counter(answer["status"] for answer in answers)[200] == passing
    for answer in answers:
        assert answer["status"] == 200 or (b"retry-after", b"1") in answer["headers"]


async def test_probes_are_always_answered() -> None:
    app = AddressRate(serve, 1)
    assert {(await ask(app, "192.0.2.1", "/readyz"))["status"] for _ in range(20)} == {200}
