"""Faults drawn by chance, two at a time: afterwards all replicas show what the clusters hold.

`CHAOS_ROUNDS=20 CHAOS_SEED=7` asks for more of them, and for others.
"""

import asyncio
import os
import random
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from demo.simulator import SimulatedFleet, open_simulated_fleet
from demo.simulator.kinds import PODS
from realfleet.nats import NatsServer
from tests.fakes.waiting import until
from tests.replication.replicas import ReplicaProcess, are_equal, are_written, open_replicas

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "2"))
SEED = int(os.environ.get("CHAOS_SEED", "4"))
REPLICAS = 3


class Chaos:
    """Three replicas over one NATS, and what may happen to any of it."""

    def __init__(self, fleet: SimulatedFleet, nats: NatsServer, folder: Path, stack: AsyncExitStack) -> None:
        self.living: list[ReplicaProcess] = []
        self.choose = random.Random(SEED)
        self._fleet, self._nats, self._folder, self._stack = fleet, nats, folder, stack
        self._key = secrets.token_urlsafe(48)
        self._faults = (
            self.end,
            self.freeze,
            self.stop_nats,
            self.freeze_nats,
            self.empty_nats,
            self.refuse,
            self.lose,
        )

    async def start(self) -> None:
        folder = self._folder / secrets.token_hex(4)
        folder.mkdir()
        opened = open_replicas(self._fleet.kubeconfig, self._nats.url, folder, OPENMCP_SIGNING_KEY=self._key)
        self.living += await self._stack.enter_async_context(opened)

    async def strike(self) -> str:
        """Two faults at once, of which one is of NATS at most. Gives their names when they are over."""
        faults = self.choose.sample(self._faults, 2)
        while sum("nats" in fault.__name__ for fault in faults) > 1:
            faults = self.choose.sample(self._faults, 2)
        await asyncio.gather(*(fault() for fault in faults))
        return " and ".join(fault.__name__ for fault in faults)

    async def end(self) -> None:
        """One ends, well or badly, and another one starts."""
        victim = self.living.pop(self.choose.randrange(len(self.living)))
        victim.send(self.choose.choice((signal.SIGTERM, signal.SIGKILL)))
        await self.start()

    async def freeze(self) -> None:
        victim = self.choose.choice(self.living)
        victim.send(signal.SIGSTOP)
        await asyncio.sleep(self.choose.uniform(0.5, 8))
        victim.send(signal.SIGCONT)

    async def stop_nats(self) -> None:
        await asyncio.to_thread(self._nats.stop)
        await asyncio.sleep(self.choose.uniform(0, 5))
        await asyncio.to_thread(self._nats.start)

    async def freeze_nats(self) -> None:
        self._nats.pause()
        await asyncio.sleep(self.choose.uniform(1, 8))
        self._nats.resume()

    async def empty_nats(self) -> None:
        await asyncio.to_thread(self._nats.restart, empty=True)

    async def refuse(self) -> None:
        """A cluster takes no connection."""
        cluster = self.choose.choice(list(self._fleet.members.values()))
        await cluster.faults.refuse()
        await asyncio.sleep(self.choose.uniform(0.5, 5))
        await cluster.faults.clear()

    async def lose(self) -> None:
        """Pods go while others know little of it."""
        await asyncio.sleep(self.choose.uniform(0, 2))
        for cluster in self._fleet.members.values():
            for place in list(cluster.store.entries(PODS))[:3]:
                cluster.store.remove(PODS, place)


@asynccontextmanager
async def open_chaos(nats: NatsServer, folder: Path) -> AsyncIterator[tuple[SimulatedFleet, Chaos]]:
    async with (
        open_simulated_fleet(clusters=5, pods=60, churn_seconds=2.0, bookmark_seconds=1.0) as fleet,
        AsyncExitStack() as stack,
    ):
        chaos = Chaos(fleet, nats, folder, stack)
        await asyncio.gather(*(chaos.start() for _ in range(REPLICAS)))
        yield fleet, chaos


async def test_whatever_happens_all_replicas_come_to_show_what_there_is(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with open_chaos(nats_server, tmp_path) as (fleet, chaos):
        for _ in range(ROUNDS):
            happened = await chaos.strike()
            await until(lambda: are_equal(fleet, *chaos.living), what=f"all are equal after {happened}", every=0.2)
            await until(lambda: are_written(fleet, *chaos.living), what=f"all are written after {happened}", every=0.2)
