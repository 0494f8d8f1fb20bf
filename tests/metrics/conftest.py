from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.metrics.influxd import InfluxServer
from fleet.metrics.influxql import InfluxOptions
from tests.metrics.stores import STORE_PARAMETERS, STORES, Filled, FilledInflux, open_filled_influx
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
async def influx(influxd: InfluxServer) -> AsyncIterator[FilledInflux[InfluxOptions]]:
    async with open_filled_influx(influxd) as filled:
        yield filled


@pytest.fixture(params=STORE_PARAMETERS)
async def filled(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Filled]:
    """Each of the stores, empty."""
    async with STORES[request.param](request, tmp_path) as opened:
        yield opened
