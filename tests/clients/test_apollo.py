"""Apollo Client."""

from collections.abc import Mapping

from tests.clients.running import Node


async def test_pages_are_merged_in_a_normalised_cache(node: Node, endpoint: Mapping[str, str]) -> None:
    seen = await node.run(node.place("apollo.mjs"), endpoint)
    assert seen["firstPage"] == 5
    assert len(set(seen["names"])) == 10
    assert seen["names"] == sorted(seen["names"])
    assert seen["totalCount"] >= 30
    assert seen["alone"]["name"] == seen["names"][7]
    assert seen["sameObject"]
    assert seen["clusters"] == ['Cluster:{"name":"cluster1"}']
    assert seen["code"] == "NOT_FOUND"


async def test_a_query_is_sent_once_and_named_after_that(node: Node, endpoint: Mapping[str, str]) -> None:
    seen = await node.run(node.place("apollo_persisted.mjs"), endpoint)
    assert seen["answers"] == ["openmcp", "openmcp"]
    assert seen["sent"] == [
        {"method": "GET", "text": False, "status": 400},
        {"method": "POST", "text": True, "status": 200},
        {"method": "GET", "text": False, "status": 200},
    ]
