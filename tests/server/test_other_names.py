"""Contexts that lead to one cluster as one user: it is found by each name, and rights are of its own."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from auth.passwords import hash_password
from auth.users import User, save_users
from demo.simulator import open_simulated_fleet
from fleet.model.visibility import Role, Scope
from tests.processes import COMMAND, RunningServer, free_port, open_server

OTHER = "shop/cluster1/kube:admin"
# What each may reach: the cluster's own name, or only one that it is also called.
REACH = {"ann": "*", "own": "cluster1", "other": "shop/*"}


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    folder = tmp_path_factory.mktemp("others")
    save_users(
        folder / "users",
        [User(name, hash_password("secret"), Scope(Role.ADMIN, (reach,))) for name, reach in REACH.items()],
    )
    async with open_simulated_fleet(clusters=2, pods=10) as fleet:
        document = json.loads(fleet.kubeconfig.read_bytes())
        own = next(entry for entry in document["contexts"] if entry["name"] == "cluster1")
        document["contexts"].append({**own, "name": OTHER})
        (folder / "config").write_text(json.dumps(document))
        port = free_port()
        environment = {
            "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
            "OPENMCP_KUBECONFIG": str(folder / "config"),
            "OPENMCP_EMBEDDED_FILE": str(folder / "usage.sqlite"),
            "OPENMCP_USERS_FILE": str(folder / "users"),
            "OPENMCP_SIGNING_KEY": "a key for the tests of other names",
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(free_port()),
        }
        async with open_server("serve", environment=environment, port=port, log=folder / "log") as started:
            yield started


async def _get(server: RunningServer, user: str, path: str) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {await server.sign_in(user, 'secret')}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(server.url + path) as answer:
        return answer.status, await answer.json(content_type=None)


PATHS = (
    "/clusters/{}/api/v1/nodes",
    "/api/v1/nodes?clustername={}",
    "/metrics/nodes/kube1-worker1?clustername={}",
    "/status?clustername={}",
)


@pytest.mark.parametrize("user", ["ann", "own"])
@pytest.mark.parametrize("path", PATHS)
async def test_a_url_with_another_name_leads_to_the_cluster(server: RunningServer, user: str, path: str) -> None:
    own, other = [await _get(server, user, path.format(name)) for name in ("cluster1", OTHER)]
    assert own == other
    assert own[0] == 200


@pytest.mark.parametrize("path", PATHS)
async def test_a_pattern_of_another_name_reaches_nothing(server: RunningServer, path: str) -> None:
    for name in ("cluster1", OTHER, "cluster2"):
        status, _ = await _get(server, "other", path.format(name))
        assert status in (403, 404), name
    # Nor does it tell a name that leads somewhere from one that is none.
    there, nowhere = [await _get(server, "other", path.format(name)) for name in (OTHER, "shop/cluster2/kube:admin")]
    assert json.dumps(there).replace("cluster1", "cluster2") == json.dumps(nowhere)


QUERY = """
query ($name: String!) {
  cluster(name: $name) { name requested { memoryBytes } pods(first: 100, filter: { clusters: [$name] }) { totalCount } }
  clusters(filter: { name: { eq: $name } }) { name }
  pods(first: 100, filter: { clusters: [$name] }) { totalCount items { id cluster { name } } clusters { name state } }
  nodes(filter: { clusters: [$name] }) { totalCount items { id } clusters { name } }
  node(cluster: $name, name: "kube1-worker1") { id }
  resource(cluster: $name, apiVersion: "v1", kind: "Node", name: "kube1-worker1") { id }
  resources(apiVersion: "v1", kind: "Node", filter: { clusters: [$name, "cluster1"] }) {
    items { id } clusters { name } }
}
"""


async def test_the_graph_finds_the_cluster_by_each_name(server: RunningServer) -> None:
    token = await server.sign_in("own", "secret")
    own, other = [await server.ask(token, QUERY, {"name": name}, {"cost": True}) for name in ("cluster1", OTHER)]
    assert "errors" not in own
    assert other == own
    assert "cost" in str(own["extensions"])
    data: Any = other["data"]
    assert all((data["node"], data["resource"], data["resources"]["items"]))
    assert data["pods"]["totalCount"] == data["cluster"]["pods"]["totalCount"] > 0


async def test_a_name_that_is_only_another_ones_gives_nobody_the_graph(server: RunningServer) -> None:
    token = await server.sign_in("other", "secret")
    answer = await server.ask(token, "query ($name: String!) { cluster(name: $name) { name } }", {"name": OTHER})
    nowhere = await server.ask(token, "query ($name: String!) { cluster(name: $name) { name } }", {"name": "shop/x"})
    assert json.dumps(answer).replace(OTHER, "shop/x") == json.dumps(nowhere)
    assert (await server.ask(token, "{ clusters { name } pods { totalCount } }"))["data"] == {
        "clusters": [],
        "pods": {"totalCount": 0},
    }


async def test_a_subscription_follows_the_cluster_by_each_name(server: RunningServer) -> None:
    token = await server.sign_in("own", "secret")
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    asked = f'subscription {{ nodeEvents(filter: {{ clusters: ["{OTHER}"] }}) {{ node {{ cluster {{ name }} }} }} }}'
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{server.url}/graphql", json={"query": asked}) as answer,
    ):
        async for line in answer.content:
            if line.startswith(b"data:"):
                assert json.loads(line[5:])["data"]["nodeEvents"]["node"] == {"cluster": {"name": "cluster1"}}
                return


async def test_a_kubeconfig_comes_with_the_names_that_kubectl_cleans_away(tmp_path: Path) -> None:
    async with open_simulated_fleet(clusters=2, pods=1) as fleet:
        fleet.kubeconfig.write_text(fleet.kubeconfig.read_text().replace('"cluster1"', '"a//b"'))
        port = free_port()
        environment = {
            "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
            "OPENMCP_KUBECONFIG": str(fleet.kubeconfig),
            "OPENMCP_EMBEDDED_FILE": str(tmp_path / "usage.sqlite"),
            "API_USER_NAME": "ann",
            "API_USER_PW": "a long password",
            "OPENMCP_SIGNING_KEY": "a key for the tests of other names",
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(free_port()),
        }
        async with open_server("serve", environment=environment, port=port, log=tmp_path / "log") as server:
            process = await asyncio.create_subprocess_exec(
                *(COMMAND, "kubeconfig", "--server", server.url, "--user", "ann"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={"PATH": os.environ["PATH"], "OPENMCP_PASSWORD": "a long password"},
            )
            output, said = await process.communicate()
    assert b"/clusters/a%2F%2Fb" in output
    assert [line.partition(":")[0] for line in said.decode().splitlines() if "can't be led" in line] == [
        "kubectl can't be led to 'a//b'"
    ]


async def test_check_tells_a_name_that_kubectl_cleans_away(tmp_path: Path) -> None:
    async with open_simulated_fleet(clusters=1, pods=1) as fleet:
        (tmp_path / "config").write_text(fleet.kubeconfig.read_text().replace('"cluster1"', '"a//b"'))
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            "check",
            stdout=asyncio.subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
                "OPENMCP_KUBECONFIG": str(tmp_path / "config"),
                "OPENMCP_EMBEDDED_FILE": str(tmp_path / "usage.sqlite"),
                "OPENMCP_SIGNING_KEY": "a key for the tests of other names",
            },
        )
        output, _ = await process.communicate()
    rows = [line for line in output.decode().splitlines() if "can't be led" in line]
    assert [row.split()[:2] for row in rows] == [["member", "a//b"]]
