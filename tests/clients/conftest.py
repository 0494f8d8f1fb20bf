"""The demo's server, and Node with the clients' packages."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tests.clients.npm import install_packages
from tests.clients.running import Node
from tests.processes import RunningServer, free_port, open_server
from tests.required import need


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
