"""A real issuer, and a server in front of a quiet fleet whose users sign in there."""

from collections.abc import AsyncIterator

import pytest

from auth.users import save_users
from tests.clients.serving import open_quiet_server
from tests.oidc.issuer import RunningIssuer, open_issuer
from tests.oidc.serving import ENTRIES, Serving


@pytest.fixture(scope="package")
async def lasting_issuer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningIssuer]:
    async with open_issuer(tmp_path_factory.mktemp("oidc") / "issuer") as running:
        yield running


@pytest.fixture
async def issuer(lasting_issuer: RunningIssuer) -> AsyncIterator[RunningIssuer]:
    """As it was at first: well, and with one key; and well again, for servers that start."""
    await lasting_issuer.order(publish=["first"])
    yield lasting_issuer
    await lasting_issuer.order(mode="ok")


@pytest.fixture(scope="module")
async def serving(lasting_issuer: RunningIssuer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    folder = tmp_path_factory.mktemp("serving")
    save_users(folder / "users", ENTRIES)
    settings = {
        "OPENMCP_OIDC_ISSUER": lasting_issuer.url,
        "OPENMCP_OIDC_AUDIENCE": "openmcp",
        "OPENMCP_OIDC_GROUPS_PREFIX": "oidc:",
        "OPENMCP_USERS_FILE": str(folder / "users"),
    }
    async with open_quiet_server(folder, **settings) as server:
        yield Serving(server, folder / "users")
