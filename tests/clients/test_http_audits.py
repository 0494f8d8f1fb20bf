"""GraphQL over HTTP to the letter: the audits of the npm package `graphql-http`."""

from collections.abc import Mapping

from tests.clients.running import Node

AUDITS = 61


async def test_every_audit_passes(node: Node, endpoint: Mapping[str, str]) -> None:
    results = await node.run(node.place("audits.mjs"), endpoint)
    assert [result for result in results if result["status"] != "ok"] == []
    assert len(results) == AUDITS
