"""Queries and subscriptions over both live transports, with the packages that web developers use for them.

Each script follows the pods of a cluster until it has the same ones as a fresh query.
"""

import time
from collections.abc import Mapping

import jwt
import pytest

from tests.clients.running import Node
from tests.clients.serving import SIGNING_KEY

LEAST_PODS = 20


async def test_graphql_ws_asks_and_follows(node: Node, endpoint: Mapping[str, str]) -> None:
    seen = await node.run(node.place("live_ws.mjs"), endpoint)
    assert seen["viewer"] == "openmcp"
    assert seen["pods"] >= LEAST_PODS
    assert "ADDED" in seen["types"]
    assert seen["refused"] == {"code": 4403, "reason": "Forbidden"}


async def test_graphql_sse_asks_and_follows(node: Node, endpoint: Mapping[str, str]) -> None:
    seen = await node.run(node.place("live_sse.mjs"), endpoint)
    assert seen["viewer"] == "openmcp"
    assert seen["pods"] >= LEAST_PODS
    assert "ADDED" in seen["types"]
    assert seen["refused"] == {"status": 401}


@pytest.mark.parametrize(("transport", "closed"), [("ws", {"code": 4403, "reason": "token expired"}), ("sse", None)])
async def test_a_subscription_goes_on_with_a_new_token(
    node: Node, endpoint: Mapping[str, str], transport: str, closed: Mapping[str, object] | None
) -> None:
    now = int(time.time())
    ending = jwt.encode({"user": "openmcp", "iat": now, "exp": now + 4}, SIGNING_KEY, algorithm="HS256")
    environment = {**endpoint, "TRANSPORT": transport, "ENDING_TOKEN": ending}

    seen = await node.run(node.place("live_renewal.mjs"), environment)

    assert seen["asked"] == ["ending", "new"]
    assert [sorted(names) for names in seen["told"]] == [["cluster1", "cluster2", "openmcp"]] * 2
    assert (seen["errors"], seen["first"]) == ([], closed)
