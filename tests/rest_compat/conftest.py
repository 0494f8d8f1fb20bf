"""The served routes and what is behind them, for one test at a time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from auth.authenticator import Authenticator, AuthOptions, open_authenticator
from auth.passwords import hash_password
from auth.users import User, save_users
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.redaction import EnvValues
from fleet.model.visibility import Role, Scope
from realfleet.fleet import Fleet
from tests.fakes.waiting import PATIENCE
from tests.fleet.kubernetes.servers import open_http_server
from tests.processes import RunningServer, free_port, open_server
from tests.rest_compat.hostile import Raw, open_raw
from tests.rest_compat.serving import Client, Clusters, Points, open_client, open_served
from tests.rest_compat.upstream import Upstream

KEY = b"a key for these tests and nothing else, long enough"


@pytest.fixture(scope="session")
async def authenticator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Authenticator]:
    users: Path = tmp_path_factory.mktemp("users") / "users.yaml"
    viewer = User("vera", hash_password("vera's password"), Scope(Role.VIEW, ("cluster*",), ("shop",)))
    edits = Scope(Role.EDIT, ("cluster*",))
    save_users(users, [viewer, User("edgar", hash_password("edgar's password"), edits, writes=("*.work.karmada.io",))])
    options = AuthOptions(signing_key=KEY, users_file=users, administrator=("openmcp", "keti"))
    async with open_authenticator(options) as opened:
        yield opened


@pytest.fixture(scope="session")
async def viewer(authenticator: Authenticator) -> str:
    """The token of a user who reads namespace `shop` of the clusters `cluster...`."""
    return await authenticator.login("vera", "vera's password")


@pytest.fixture(scope="session")
async def editor(authenticator: Authenticator) -> str:
    """The token of a user who edits in the clusters `cluster...`, and there Karmada's objects of all of a cluster."""
    return await authenticator.login("edgar", "edgar's password")


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def points() -> Points:
    return Points()


@pytest.fixture
def request_timeout() -> float:
    """The server's; a test of this bound itself is `IMPATIENT`."""
    return PATIENCE


@pytest.fixture
def redact_env() -> EnvValues:
    """What of environment variables is hidden."""
    return EnvValues.SHOWN


@pytest.fixture
async def client(
    authenticator: Authenticator, upstream: Upstream, points: Points, request_timeout: float, redact_env: EnvValues
) -> AsyncIterator[Client]:
    token = await authenticator.login("openmcp", "keti")
    async with open_http_server(upstream.serve) as endpoint:
        connections = {name: HttpConnection(name, Target(endpoint)) for name in ("openmcp", "cluster1")}
        state = {
            "federation": Clusters(connections),
            "metric_store": points,
            "authenticator": authenticator,
            "request_timeout": request_timeout,
            "redact_env": redact_env,
        }
        try:
            async with open_served(state) as url, open_client(url, token) as opened:
                yield opened
        finally:
            for connection in connections.values():
                await connection.close()


@pytest.fixture
async def raw(authenticator: Authenticator, request_timeout: float) -> AsyncIterator[Raw]:
    async with open_raw(authenticator, request_timeout) as opened:
        yield opened


@pytest.fixture(scope="session")
async def fleet_server(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """`openmcp-apiserver serve` in front of the real fleet, on free ports."""
    port = free_port()
    ports = {"OPENMCP_HOST": "127.0.0.1", "OPENMCP_PORT": str(port), "OPENMCP_OPS_PORT": str(free_port())}
    ports |= {"OPENMCP_REQUEST_TIMEOUT": "6s"}
    log = tmp_path_factory.mktemp("serve") / "serve.log"
    async with open_server("serve", environment=real_fleet.environment() | ports, port=port, log=log) as server:
        yield server
