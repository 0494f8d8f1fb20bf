from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fleet.metrics.influxd import InfluxServer
from tests.fleet.metrics.stores import (
    INFLUX_STORES,
    STORE_PARAMETERS,
    Filled,
    FilledInflux,
    open_filled,
    open_filled_influx,
)
from tests.required import need


@pytest.fixture(scope="session")
def start_influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., InfluxServer]]:
    program = need("influxd")
    with ExitStack() as stack:

        def start(*, coordinator: str = "", http: str = "") -> InfluxServer:
            server = InfluxServer(program, tmp_path_factory.mktemp("influx"), coordinator, http)
            stack.callback(server.stop)
            server.start()
            server.create_users()
            return server

        yield start


@pytest.fixture(scope="session")
def influxd(start_influxd: Callable[..., InfluxServer]) -> InfluxServer:
    return start_influxd()


@pytest.fixture
async def influx(influxd: InfluxServer) -> AsyncIterator[FilledInflux]:
    async with open_filled_influx(influxd) as filled:
        yield filled


@pytest.fixture(params=list(INFLUX_STORES))
async def any_influx(request: pytest.FixtureRequest) -> AsyncIterator[FilledInflux]:
    """Each of the stores in front of an InfluxDB, empty."""
    async with INFLUX_STORES[request.param](request) as opened:
        yield opened


@pytest.fixture(params=STORE_PARAMETERS)
async def filled(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Filled]:
    """Each of the stores, empty."""
    async with open_filled(request.param, request, tmp_path) as opened:
        yield opened
