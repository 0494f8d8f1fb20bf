from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.metrics.influxd import InfluxServer
from tests.metrics.stores import Filled, FilledInflux, open_filled_embedded, open_filled_influx
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


@pytest.fixture(params=["embedded", pytest.param("influxql", marks=pytest.mark.real)])
async def filled(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Filled]:
    """Each of the stores, empty."""
    if request.param == "embedded":
        async with open_filled_embedded(tmp_path) as embedded:
            yield embedded
    else:
        async with open_filled_influx(request.getfixturevalue("influxd")) as influx:
            yield influx
