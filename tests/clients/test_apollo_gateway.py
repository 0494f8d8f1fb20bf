"""This server as a subgraph: composed with a second one by Apollo's composition, served by Apollo's gateway."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from tests.clients.running import Node
from tests.processes import RunningServer

PODS = '{ pods(filter: { clusters: ["cluster1", "cluster2"] }, first: 40) { items { id name cluster { name } } } }'


class Gateway:
    """A running gateway, and the pods that the second subgraph knows by their ids."""

    def __init__(self, url: str, token: str, pods: list[dict[str, Any]]) -> None:
        self.url = url
        self.token = token
        self.pods = pods

    async def ask(self, query: str, token: str | None = None) -> dict[str, Any]:
        """The answer, and in `sent` what the gateway asked of this server for it."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(self.url, json={"query": query}) as answer,
        ):
            body: dict[str, Any] = await answer.json()
            return body


@pytest.fixture
async def gateway(node: Node, quiet: RunningServer, endpoint: Mapping[str, str]) -> AsyncIterator[Gateway]:
    answer: Any = await quiet.ask(endpoint["TOKEN"], PODS)
    pods = answer["data"]["pods"]["items"]
    environment = {**endpoint, "PODS": json.dumps([pod["id"] for pod in pods])}
    async with node.serving(node.place("gateway.mjs"), environment) as started:
        yield Gateway(started["url"], endpoint["TOKEN"], pods)


async def test_fields_of_both_subgraphs_are_one_query(gateway: Gateway) -> None:
    answer = await gateway.ask('{ pods(filter: { clusters: ["cluster1"] }, first: 3) { items { id name team } } }')
    items = answer["data"]["pods"]["items"]
    assert len(items) == 3
    assert all(item["team"] == f"owners of {item['id']}" for item in items)
    assert len(answer["sent"]) == 1


async def test_entities_that_another_subgraph_names_are_one_request(gateway: Gateway) -> None:
    answer = await gateway.ask(
        "{ teams { clusters { name team health } pods { id name cluster { name } node { ready } usage { time } } } }"
    )
    (team,) = answer["data"]["teams"]
    assert "errors" not in answer
    assert [cluster["name"] for cluster in team["clusters"]] == ["cluster1", "cluster2"]
    assert all(cluster["health"] for cluster in team["clusters"])
    assert len(team["pods"]) == 40
    found = [{key: pod[key] for key in ("id", "name", "cluster")} for pod in team["pods"]]
    assert found == gateway.pods
    assert any(pod["node"] for pod in team["pods"])
    assert all("_entities" in query for query in answer["sent"])
    assert len(answer["sent"]) <= 2


async def test_the_callers_token_reaches_this_server(gateway: Gateway) -> None:
    mine = await gateway.ask("{ viewer { name } }")
    nobody = await gateway.ask("{ viewer { name } }", token="none")
    assert mine["data"] == {"viewer": {"name": "openmcp"}}
    assert (nobody.get("data") or {}).get("viewer") is None
    assert "401" in json.dumps(nobody["errors"])
