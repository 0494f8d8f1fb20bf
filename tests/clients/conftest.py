"""The demo's server, Node with the clients' packages, and a server that trusts what Relay's compiler persisted."""

import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from demo.run import HOST_CONTEXT
from demo.simulator import open_simulated_fleet
from tests.clients.npm import SOURCES, install_packages
from tests.clients.running import Node
from tests.processes import RunningServer, free_port, open_server
from tests.required import need

SCHEMA = SOURCES.parents[1] / "schema.graphql"
SIGNED = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="session")
def packages() -> Path:
    """The installed npm packages."""
    return install_packages(need("npm"))


@pytest.fixture
def node(packages: Path, tmp_path: Path) -> Node:
    """Node in a folder of this test."""
    return Node(need("node"), packages, tmp_path)


@pytest.fixture(scope="session")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """A server in front of three members of 30 pods, of which the last one does not answer."""
    port = free_port()
    log = tmp_path_factory.mktemp("demo") / "demo.log"
    command = ("demo", "--port", str(port), "--pods", "30")
    async with open_server(*command, environment={}, port=port, log=log) as server:
        yield server


@pytest.fixture(scope="session")
async def endpoint(demo: RunningServer) -> Mapping[str, str]:
    """What a script needs to ask the demo: URL (of the server) and TOKEN."""
    return {"URL": demo.url, "TOKEN": await demo.sign_in()}


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
