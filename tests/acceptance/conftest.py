"""The server in front of the session's real fleet, and the demo."""

from collections.abc import AsyncIterator

import pytest

from realfleet.fleet import Fleet
from tests.processes import RunningServer, free_port, open_server

MEMBER_TIMEOUT = 3.0


@pytest.fixture(scope="session")
async def served(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """`openmcp-apiserver serve` with the environment that `make fleet` writes, on free ports."""
    port = free_port()
    environment = {
        **real_fleet.environment(),
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(port),
        "OPENMCP_OPS_PORT": str(free_port()),
        "OPENMCP_MEMBER_TIMEOUT": f"{MEMBER_TIMEOUT:g}s",
    }
    log = tmp_path_factory.mktemp("serve") / "serve.log"
    async with open_server("serve", environment=environment, port=port, log=log) as server:
        yield server


@pytest.fixture(scope="session")
async def token(served: RunningServer) -> str:
    """A token of the fleet's user."""
    return await served.sign_in()


@pytest.fixture(scope="session")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """`openmcp-apiserver demo`, as it comes."""
    port = free_port()
    log = tmp_path_factory.mktemp("demo") / "demo.log"
    async with open_server("demo", "--port", str(port), environment={}, port=port, log=log) as server:
        yield server
