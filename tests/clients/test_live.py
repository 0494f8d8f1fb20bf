"""Queries and subscriptions over both live transports, with the packages that web developers use for them.

Each script follows the pods of a cluster until it has the same ones as a fresh query.
"""

from collections.abc import Mapping

from tests.clients.running import Node

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
