"""The platform's metric collectors: they read the pods that really run and write them to InfluxDB as the platform does.

Measurements `Pods` (tags cluster, node, pod, namespace) and `Nodes` (tags cluster, node), ten string fields each, one
nanosecond time for everything a member delivers at once.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from realfleet.apiserver import ApiServer
from realfleet.client import KubeError
from realfleet.influx import Influx, InfluxError
from realfleet.readings import Readings, Running
from realfleet.usage import format_latency

_BATCH = 5000  # points a write, as InfluxDB advises
_BACKFILL_STEP = 60
_BACKFILL_SECONDS = 3600
# Counters began before the oldest point that is written.
_COUNTED_BEFORE = 7200


class Collector:
    """One member's collector. Made and run by `open_collectors`."""

    def __init__(self, api: ApiServer, influx: Influx, cadence: float) -> None:
        self.cluster = api.cluster
        self._influx = influx
        self._cadence = cadence
        self._readings = Readings(api, time.time() - _COUNTED_BEFORE)
        self.delivered = threading.Event()

    def run(self, closing: threading.Event) -> None:
        """Delivers every cadence until told to end."""
        filled = False
        due = time.monotonic()
        while not closing.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + self._cadence
            try:
                if not filled:
                    self._fill_past()
                    filled = True
                self._deliver([time.time_ns()])
                self.delivered.set()
            except (KubeError, InfluxError):
                # As on the platform: a cycle that fails is left out, and the next one tries again.
                continue

    def _fill_past(self) -> None:
        """A point a minute of the last hour, for what runs now."""
        now = time.time_ns()
        steps = range(_BACKFILL_SECONDS, 0, -_BACKFILL_STEP)
        self._deliver([now - seconds * 10**9 for seconds in steps])

    def _deliver(self, times: Sequence[int]) -> None:
        running = self._readings.load()
        batch: list[str] = []
        for moment in times:
            batch.extend(self._build_lines(running, moment))
            if len(batch) >= _BATCH:
                self._influx.write("\n".join(batch))
                batch.clear()
        if batch:
            self._influx.write("\n".join(batch))

    def _build_lines(self, running: Running, moment: int) -> Iterator[str]:
        latency = format_latency(self.cluster, moment / 1e9)
        pods, nodes = running.measure(moment / 1e9)
        for pod in pods:
            tags = f"cluster={self.cluster},namespace={pod.namespace},node={pod.node},pod={pod.name}"
            yield f"Pods,{tags} {pod.amounts.as_fields(latency)} {moment}"
        for node, amounts in nodes:
            yield f"Nodes,cluster={self.cluster},node={node} {amounts.as_fields(latency)} {moment}"


@contextmanager
def open_collectors(apis: Sequence[ApiServer], influx: Influx, cadence: float) -> Iterator[list[Collector]]:
    """Runs a collector a member until left. `delivered` is set once the past hour and a first reading are in."""
    closing = threading.Event()
    collectors = [Collector(api, influx, cadence) for api in apis]
    threads = [
        threading.Thread(target=collector.run, args=(closing,), name=f"collector-{collector.cluster}", daemon=True)
        for collector in collectors
    ]
    for thread in threads:
        thread.start()
    try:
        yield collectors
    finally:
        closing.set()
        for thread in threads:
            thread.join()
