"""A real issuer."""

from collections.abc import AsyncIterator

import pytest

from tests.oidc.issuer import RunningIssuer, open_issuer


@pytest.fixture(scope="package")
async def lasting_issuer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningIssuer]:
    async with open_issuer(tmp_path_factory.mktemp("oidc") / "issuer") as running:
        yield running


@pytest.fixture
async def issuer(lasting_issuer: RunningIssuer) -> RunningIssuer:
    """As it was at first: well, and with one key."""
    await lasting_issuer.order(mode="ok", publish=["first"])
    return lasting_issuer
