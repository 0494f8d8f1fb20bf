"""How the metric store is, asked now and then, so that operators are told before a caller is."""

import asyncio
import time
from typing import NoReturn

from fleet.federation import Federation
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import NodeKey
from fleet.model.usage import NANOSECONDS, Kind, Measure
from fleet.ports import MetricStore

LOOK_SECONDS = 30.0
_NODES = 3
"""Of each cluster: one may be down."""


class StoreWatch:
    """`up` says whether it answers, None before it was asked; `newest_at` by cluster when usage of it was measured.

    Times are Unix seconds. A cluster of which the store has nothing that is young enough to be answered is missing.
    """

    def __init__(self, federation: Federation, store: MetricStore) -> None:
        self.up: bool | None = None
        self.newest_at: dict[str, float] = {}
        self._federation = federation
        self._store = store

    async def run(self) -> NoReturn:
        await self._federation.wait_synced(LOOK_SECONDS)
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """One question about a few nodes of each cluster."""
        keys = frozenset(
            NodeKey(member.name, name)
            for member in self._federation.members
            for _, name in list(member.nodes.records)[:_NODES]
        )
        try:
            await self._store.check()
            found = await self._store.latest(Kind.NODE, keys, frozenset({Measure.CPU_CORES})) if keys else {}
        except MetricsUnavailable:
            self.up = False
            return
        self.up = True
        newest: dict[str, float] = {}
        for key, usage in found.items():
            newest[key.cluster] = max(newest.get(key.cluster, 0.0), usage.time_ns / NANOSECONDS)
        self.newest_at = newest

    def ages(self) -> dict[str, float]:
        """Seconds since usage was measured, by cluster."""
        now = time.time()
        return {cluster: max(0.0, now - at) for cluster, at in self.newest_at.items()}
