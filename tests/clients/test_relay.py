"""Relay's compiler on the printed schema, and what it persisted as the documents that a server trusts."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from demo.run import HOST_CONTEXT
from demo.simulator import open_simulated_fleet
from graph.persisted_manifest import read_manifest
from tests.clients.npm import SOURCES
from tests.clients.running import Node
from tests.processes import RunningServer, free_port, open_server

SCHEMA = SOURCES.parents[1] / "schema.graphql"
SIGNED = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def compiled(node: Node) -> Path:
    """The folder in which Relay's compiler has run: `generated/` and `persisted.json`."""
    shutil.copytree(SOURCES / "relay", node.folder, dirs_exist_ok=True)
    shutil.copy(SCHEMA, node.folder / "schema.graphql")
    for folder in ("src", "generated"):
        (node.folder / folder).mkdir()
    (node.folder / "App.ts").rename(node.folder / "src" / "App.ts")
    (node.folder / "persisted.json").write_text("{}")  # the compiler wants it to be there
    compiler = node.place("compile.mjs", (SOURCES / "relay" / "compile.mjs").read_text())
    ran = await node.run(compiler, {})
    assert ran["status"] == 0, ran["said"]
    return node.folder


@pytest.fixture
async def trusting(compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """A server that runs nothing but what the compiler persisted."""
    port, folder = free_port(), tmp_path_factory.mktemp("trusting")
    async with open_simulated_fleet(clusters=1, pods=12) as fleet:
        environment = {
            "OPENMCP_TRUSTED_DOCUMENTS": str(compiled / "persisted.json"),
            "OPENMCP_KUBECONFIG": str(fleet.kubeconfig),
            "OPENMCP_HOST_CONTEXT": HOST_CONTEXT,
            "OPENMCP_EMBEDDED_FILE": str(folder / "usage.sqlite"),
            "OPENMCP_SIGNING_KEY": SIGNED,
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(free_port()),
            "API_USER_NAME": "openmcp",
            "API_USER_PW": "keti",
        }
        async with open_server("serve", environment=environment, port=port, log=folder / "serve.log") as server:
            yield server


async def ask(server: RunningServer, token: str, body: dict[str, object]) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{server.url}/graphql", json=body) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def test_the_compiler_takes_the_schema_with_pages_and_fragments(compiled: Path) -> None:
    names = {path.name for path in (compiled / "generated").iterdir()}
    assert {"AppQuery.graphql.ts", "AppPageQuery.graphql.ts", "AppOneQuery.graphql.ts"} <= names
    assert "memoryBytes: number | null" in (compiled / "generated" / "App_pod.graphql.ts").read_text()
    assert len(read_manifest(compiled / "persisted.json")) == 3


async def test_a_server_runs_what_the_compiler_persisted_and_nothing_else(
    compiled: Path, trusting: RunningServer
) -> None:
    texts = json.loads((compiled / "persisted.json").read_text())
    ids = {name: next(key for key, text in texts.items() if f"query {name}" in text) for name in ("AppPageQuery",)}
    token = await trusting.sign_in()
    first = await ask(trusting, token, {"documentId": ids["AppPageQuery"], "variables": {"first": 5}})
    after = first[1]["data"]["pods"]["pageInfo"]["endCursor"]
    second = await ask(trusting, token, {"documentId": ids["AppPageQuery"], "variables": {"first": 5, "after": after}})
    own = await ask(trusting, token, {"query": "{ viewer { name } }"})
    pages = [[edge["node"]["name"] for edge in page["data"]["pods"]["edges"]] for _, page in (first, second)]
    assert [len(page) for page in pages] == [5, 5]
    assert not set(pages[0]) & set(pages[1])
    assert (own[0], own[1]["errors"][0]["extensions"]) == (403, {"code": "FORBIDDEN"})


async def test_a_manifest_that_is_none_stops_the_start_and_says_why(tmp_path: Path) -> None:
    manifest, port = tmp_path / "manifest.json", free_port()
    manifest.write_text("[]")
    environment = {"OPENMCP_TRUSTED_DOCUMENTS": str(manifest), "OPENMCP_SIGNING_KEY": SIGNED}
    with pytest.raises(AssertionError, match=r"OPENMCP_TRUSTED_DOCUMENTS is '.*manifest.json', which is neither"):
        async with open_server("serve", environment=environment, port=port, log=tmp_path / "log"):
            raise RuntimeError("it has started")
