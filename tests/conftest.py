"""Fixtures of all tests: the real fleet and its parts. What they do is in `realfleet`."""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from demo.metric_server import MetricServerConfig, MetricServerKind
from realfleet.cache import MissingServersError, build_folder, find_binaries, find_influx2, find_nats, list_missing
from realfleet.fleet import Fleet, open_fleet
from realfleet.influx import Influx, start_influx
from realfleet.influx2 import Influx2, start_influx2
from realfleet.metric_server import MetricServer, start_metric_server
from realfleet.nats import NatsCluster, NatsConfig, NatsServer, start_nats, start_nats_cluster
from realfleet.ports import list_free_ports
from realfleet.processes import open_servers
from tests import credentials
from tests.required import go_without


def pytest_collection_finish() -> None:
    """Sets the modules of all tests aside: collections, of which many tests ask for one, look at their own objects."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A `real` test without its servers is skipped and says why; with REQUIRE_REAL=1 it fails."""
    if item.get_closest_marker("real") is None:
        return
    if missing := list_missing(build_folder()):
        go_without(f"run make real: {'; '.join(missing)}")


@pytest.fixture(scope="session", autouse=True)
def no_credential_is_logged() -> Iterator[None]:
    """First of all fixtures, and so the last that ends: by then every server has written all it writes."""
    yield
    assert credentials.find_leaks(credentials.LOGS, credentials.KNOWN) == []


@pytest.fixture(scope="session")
def real_fleet() -> Iterator[Fleet]:
    """A host and two members of 60 pods, shared by all tests.

    Whoever makes a part ill makes it well again (`with member.paused():`, `with member.stopped():`) and waits for
    `real_fleet.wait_whole()` after creating or deleting pods.
    """
    with open_fleet(members=2, pods=60) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def real_influx() -> Iterator[Influx]:
    """An InfluxDB of its own with the empty database, for tests that need no cluster."""
    with open_servers() as servers:
        yield start_influx(servers, find_binaries())


@pytest.fixture(scope="session")
def start_real_influx2() -> Iterator[Callable[..., Influx2]]:
    """Starts an InfluxDB 2.7 with an organisation, a bucket and a token; arguments are further flags of its own."""
    try:
        program = find_influx2()
    except MissingServersError as error:
        go_without(f"run make real: {error!s}")
    with ExitStack() as stack:

        def start(*flags: str) -> Influx2:
            return start_influx2(stack.enter_context(open_servers()), program, *flags)

        yield start


@pytest.fixture(scope="session")
def real_influx2(start_real_influx2: Callable[..., Influx2]) -> Influx2:
    """An InfluxDB 2.7 shared by all tests; each makes a bucket of its own."""
    return start_real_influx2()


@pytest.fixture(scope="session")
def start_real_metric_server() -> Iterator[Callable[..., MetricServer]]:
    """Starts a Prometheus or a VictoriaMetrics; arguments are a kind, a `MetricServerConfig` and how it is called."""
    with ExitStack() as stack:

        def start(kind: MetricServerKind, config: MetricServerConfig | None = None, **ways: Any) -> MetricServer:
            try:
                return start_metric_server(stack.enter_context(open_servers()), kind, config, **ways)
            except MissingServersError as error:
                go_without(str(error))

        yield start


@pytest.fixture(scope="session")
def real_prometheus(start_real_metric_server: Callable[..., MetricServer]) -> MetricServer:
    """A Prometheus shared by all tests; each has a template of its own for the values of the label `cluster`."""
    return start_real_metric_server(MetricServerKind.PROMETHEUS)


@pytest.fixture(scope="session")
def real_victoria_metrics(start_real_metric_server: Callable[..., MetricServer]) -> MetricServer:
    """The same of VictoriaMetrics."""
    return start_real_metric_server(MetricServerKind.VICTORIA_METRICS)


@pytest.fixture
def nats_program(request: pytest.FixtureRequest) -> Path:
    """Today's nats-server; `both_versions` runs a test with Debian's as well."""
    try:
        return find_nats(packaged=getattr(request, "param", "built") == "packaged")
    except MissingServersError as error:
        go_without(f"run make real: {error!s}")


@pytest.fixture
def start_nats_server(nats_program: Path) -> Iterator[Callable[..., NatsServer]]:
    """Starts a server; arguments are of `NatsConfig`."""
    with open_servers() as servers:
        yield lambda **config: start_nats(servers, nats_program, NatsConfig(**config))


@pytest.fixture
def nats_server(start_nats_server: Callable[..., NatsServer]) -> NatsServer:
    """A server of the test's own, where everybody may do everything."""
    return start_nats_server()


@pytest.fixture
def nats_cluster(nats_program: Path) -> Iterator[NatsCluster]:
    """Three servers of the test's own."""
    with open_servers() as servers:
        yield start_nats_cluster(servers, nats_program)


@pytest.fixture
def unused_port() -> Callable[[], int]:
    """Gives a port on loopback that nobody listens on."""
    return lambda: list_free_ports(1)[0]
