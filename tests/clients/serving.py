"""A server as `serve` starts it, in front of a simulated fleet that nothing changes by itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from demo.run import HOST_CONTEXT
from demo.simulator import open_simulated_fleet
from tests.processes import RunningServer, free_port, open_server

PODS = 30
SIGNING_KEY = "0123456789abcdef0123456789abcdef"


@asynccontextmanager
async def open_quiet_server(folder: Path, **settings: str) -> AsyncIterator[RunningServer]:
    """Two members of `PODS` pods; the user openmcp, as the demo has it."""
    port = free_port()
    async with open_simulated_fleet(clusters=2, pods=PODS) as fleet:
        environment = {
            "OPENMCP_KUBECONFIG": str(fleet.kubeconfig),
            "OPENMCP_HOST_CONTEXT": HOST_CONTEXT,
            "OPENMCP_EMBEDDED_FILE": str(folder / "usage.sqlite"),
            "OPENMCP_SIGNING_KEY": SIGNING_KEY,
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(free_port()),
            "API_USER_NAME": "openmcp",
            "API_USER_PW": "keti",
            **settings,
        }
        async with open_server("serve", environment=environment, port=port, log=folder / "serve.log") as server:
            yield server
