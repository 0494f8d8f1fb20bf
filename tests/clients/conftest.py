"""Servers, Node with the clients' packages, and what Relay's compiler persists."""

import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tests.clients.npm import SOURCES, install_packages
from tests.clients.running import Node
from tests.clients.serving import open_quiet_server
from tests.processes import RunningServer, free_port, open_server
from tests.required import need

SCHEMA = SOURCES.parents[1] / "schema.graphql"


@pytest.fixture(scope="session")
def packages() -> Path:
    """The installed npm packages."""
    return install_packages(need("npm"))


@pytest.fixture
def node(packages: Path, tmp_path: Path) -> Node:
    """Node in a folder of this test."""
    return Node(need("node"), packages, tmp_path)


@pytest.fixture(scope="session")
async def quiet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """A server whose clusters nothing changes."""
    async with open_quiet_server(tmp_path_factory.mktemp("quiet")) as server:
        yield server


@pytest.fixture(scope="session")
async def endpoint(quiet: RunningServer) -> Mapping[str, str]:
    """What a script needs to ask it: URL (of the server) and TOKEN."""
    return {"URL": quiet.url, "TOKEN": await quiet.sign_in()}


@pytest.fixture(scope="session")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """The demo: pods come and go, and the last of its three members does not answer."""
    port = free_port()
    log = tmp_path_factory.mktemp("demo") / "demo.log"
    async with open_server("demo", "--port", str(port), environment={}, port=port, log=log) as server:
        yield server


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
    folder, manifest = tmp_path_factory.mktemp("trusting"), str(compiled / "persisted.json")
    async with open_quiet_server(folder, OPENMCP_TRUSTED_DOCUMENTS=manifest) as server:
        yield server
