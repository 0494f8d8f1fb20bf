"""urql."""

from collections.abc import Mapping

from tests.clients.running import Node


async def test_urql_merges_pages_and_names_queries_by_their_hash(node: Node, endpoint: Mapping[str, str]) -> None:
    seen = await node.run(node.place("urql.mjs"), endpoint)
    assert seen["firstPage"] == 5
    assert len(set(seen["names"])) == 10
    assert seen["names"] == sorted(seen["names"])
    assert seen["sent"] == [
        {"method": "GET", "text": False, "status": 400},
        {"method": "GET", "text": True, "status": 200},
        {"method": "GET", "text": False, "status": 200},
    ]
    assert (seen["cluster"], seen["code"]) == ("cluster1", "NOT_FOUND")
