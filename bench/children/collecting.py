"""Rounds of the collector in a process of their own, until all of each is in a new metric file.

`python -m bench.children.collecting KUBECONFIG POINTS ROUNDS` (points of a round) writes one line of JSON: what each
round after the first cost.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import uvloop

from fleet.collector.collect import Collector, CollectorOptions
from fleet.collector.outputs import Buffer, BufferOptions, open_outputs
from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.metrics.embedded.store import EmbeddedOptions, open_embedded_store
from fleet.registry import FleetOptions, open_federation

_SECONDS = 60.0
_LOOKS = 0.002


class Cost(msgspec.Struct, frozen=True):
    """Of a round: by the clock, and of this process."""

    seconds: float
    cpu_seconds: float


async def collect(kubeconfig: Path, points: int, rounds: int) -> list[Cost]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with (
            open_kubeconfig_source((kubeconfig,)) as source,
            open_federation(source, FleetOptions()) as federation,
            open_embedded_store(EmbeddedOptions(Path(folder) / "usage.sqlite")) as store,
            open_outputs(None, [("the metric file", store)], BufferOptions()) as outputs,
        ):
            await federation.wait_synced(_SECONDS)
            collector = Collector(federation, outputs, CollectorOptions())
            costs = []
            for number in range(1, rounds + 2):
                began, cpu_began = time.perf_counter(), time.process_time()
                await collector.collect()
                await _wait_written(outputs.buffers[0], number * points)
                costs.append(Cost(time.perf_counter() - began, time.process_time() - cpu_began))
            return costs[1:]


async def _wait_written(buffer: Buffer, points: int) -> None:
    async with asyncio.timeout(_SECONDS):
        while buffer.written < points:  # noqa: ASYNC110 - what counts them tells nobody
            await asyncio.sleep(_LOOKS)


if __name__ == "__main__":
    costs = uvloop.run(collect(Path(sys.argv[1]), *map(int, sys.argv[2:])))
    sys.stdout.write(msgspec.json.encode(costs).decode())
