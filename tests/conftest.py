"""Fixtures of all tests: the real fleet and its parts. What they do is in `realfleet`."""

import os
from collections.abc import Callable, Iterator

import pytest

from realfleet.cache import build_folder, find_binaries, list_missing
from realfleet.fleet import Fleet, open_fleet
from realfleet.influx import Influx, start_influx
from realfleet.ports import list_free_ports
from realfleet.processes import open_servers


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A `real` test without its servers is skipped and says why; with REQUIRE_REAL=1 it fails."""
    if item.get_closest_marker("real") is None:
        return
    if missing := list_missing(build_folder()):
        reason = "run make real: " + "; ".join(missing)
        if os.environ.get("REQUIRE_REAL") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


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


@pytest.fixture
def unused_port() -> Callable[[], int]:
    """Gives a port on loopback that nobody listens on."""
    return lambda: list_free_ports(1)[0]
