"""Simulated fleets for tests."""

from collections.abc import AsyncIterator

import pytest

from demo.simulator import SimulatedCluster, SimulatedFleet, open_simulated_fleet
from tests.demo.asking import Asker, open_member_asker


@pytest.fixture(scope="module")
async def fleet() -> AsyncIterator[SimulatedFleet]:
    """A fleet of two members that nothing changes by itself; a module's tests share it."""
    async with open_simulated_fleet(clusters=2, pods=40, bookmark_seconds=0.1) as fleet:
        yield fleet


@pytest.fixture
def member(fleet: SimulatedFleet) -> SimulatedCluster:
    """The first member."""
    return fleet["cluster1"]


@pytest.fixture
async def asker(member: SimulatedCluster) -> AsyncIterator[Asker]:
    """A client of the first member."""
    async with open_member_asker(member) as asker:
        yield asker
