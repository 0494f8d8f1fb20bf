"""What a pod is said to use: a curve of its own, the same for the same pod and moment, whoever asks.

kwok runs no containers, so nothing can be measured. Units: nanocores, bytes, Unix seconds.
"""

import math
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from fleet.model.usage import NANOSECONDS, Point
from realfleet.quantities import format_bytes, format_nanocores

_PAGE = 4096
_MIB = 1024**2
_GIB = 1024**3
# Memory of a container that names no limit.
_UNLIMITED_SIZE = 192 * _MIB


class Amounts(NamedTuple):
    """One reading as numbers: nanocores, bytes, and bytes since the pod began (counters)."""

    cpu: int
    memory_available: int
    memory_usage: int
    memory_working_set: int
    fs_available: int
    fs_capacity: int
    fs_used: int
    network_received: int
    network_sent: int

    def as_fields(self, latency: str) -> str:
        """The platform's ten fields in line protocol, all of them strings."""
        return (
            f'CPUUsageNanoCores="{format_nanocores(self.cpu)}",'
            f'FsAvailableBytes="{format_bytes(self.fs_available)}",'
            f'FsCapacityBytes="{format_bytes(self.fs_capacity)}",'
            f'FsUsedBytes="{format_bytes(self.fs_used)}",'
            f'MemoryAvailableBytes="{format_bytes(self.memory_available)}",'
            f'MemoryUsageBytes="{format_bytes(self.memory_usage)}",'
            f'MemoryWorkingSetBytes="{format_bytes(self.memory_working_set)}",'
            f'NetworkLatency="{latency}",'
            f'NetworkRxBytes="{self.network_received}",'
            f'NetworkTxBytes="{self.network_sent}"'
        )

    def as_point(self, time_ns: int, node: str | None) -> Point:
        """As a collector would read it then."""
        return Point(
            time_ns=time_ns,
            cpu_cores=self.cpu / NANOSECONDS,
            memory_bytes=self.memory_working_set,
            memory_usage_bytes=self.memory_usage,
            memory_available_bytes=self.memory_available,
            fs_used_bytes=self.fs_used,
            fs_capacity_bytes=self.fs_capacity,
            fs_available_bytes=self.fs_available,
            network_receive_bytes=self.network_received,
            network_transmit_bytes=self.network_sent,
            node=node,
        )


@dataclass(frozen=True)
class _Curve:
    """A pod's character, drawn from its name."""

    cpu: int
    idle: bool
    memory_part: float
    fs_pages: int
    bytes_per_second: int
    period: int
    phase: float


@lru_cache(maxsize=100_000)
def _curve_of(name: str) -> _Curve:
    def draw(what: str) -> int:
        return _draw(f"{name}/{what}")

    return _Curve(
        cpu=2_000_000 + draw("cpu") % 180_000_000,
        idle=draw("idle") % 16 == 0,
        memory_part=0.15 + draw("memory") % 1000 / 2000,
        fs_pages=16 + draw("fs") % 8192,
        bytes_per_second=500 + draw("network") % 50_000,
        period=300 + draw("period") % 1500,
        phase=draw("phase") % 6283 / 1000,
    )


def pod_amounts(name: str, memory_limit: int, fs_capacity: int, time: float, since: float) -> Amounts:
    """A pod's reading at `time`. `name` tells it from all others, a limit of 0 is none, counters began at `since`."""
    curve = _curve_of(name)
    noise = _draw(f"{name}/{int(time)}")
    wave = math.sin(2 * math.pi * time / curve.period + curve.phase)
    size = memory_limit or _UNLIMITED_SIZE
    working_set = _to_pages(int(size * curve.memory_part * (1 + 0.2 * wave)) + noise % (4 * _MIB), noise)
    working_set = min(working_set, size // _PAGE * _PAGE)
    fs_used = curve.fs_pages * _PAGE + int(max(0.0, time - since)) // 60 * _PAGE
    received = _counter(curve, time - since)
    return Amounts(
        cpu=0 if curve.idle else _to_shape(int(curve.cpu * (1 + 0.6 * wave)) + noise % 3_000_000, noise),
        memory_available=memory_limit - working_set if memory_limit else 0,
        memory_usage=working_set + (1 + noise % 2048) * _PAGE,
        memory_working_set=working_set,
        fs_available=fs_capacity - fs_used,
        fs_capacity=fs_capacity,
        fs_used=fs_used,
        network_received=received,
        network_sent=received * 2 // 3,
    )


def node_amounts(pods: list[Amounts], memory_capacity: int, fs_capacity: int) -> Amounts:
    """A node's reading: its pods and its own system."""
    working_set = 2 * _GIB // 5 // _PAGE * _PAGE + sum(pod.memory_working_set for pod in pods)
    fs_used = 12 * _GIB + sum(pod.fs_used for pod in pods)
    return Amounts(
        cpu=120_000_000 + sum(pod.cpu for pod in pods),
        memory_available=memory_capacity - working_set,
        memory_usage=_GIB // 4 + working_set + sum(pod.memory_usage - pod.memory_working_set for pod in pods),
        memory_working_set=working_set,
        fs_available=fs_capacity - fs_used,
        fs_capacity=fs_capacity,
        fs_used=fs_used,
        network_received=sum(pod.network_received for pod in pods),
        network_sent=sum(pod.network_sent for pod in pods),
    )


def format_latency(cluster: str, time: float) -> str:
    """A cluster's round trip in seconds, six decimals."""
    return f"{(8_000 + _draw(f'{cluster}/{int(time)}') % 9_000) / 1e6:.6f}"


def _counter(curve: _Curve, seconds: float) -> int:
    """Bytes so far: the integral of a rate that swings by half around its mean, so it never falls."""
    swing = curve.period / (2 * math.pi) * 0.5
    angle = 2 * math.pi * seconds / curve.period
    return int(curve.bytes_per_second * (seconds + swing * (1 - math.cos(angle))))


def _to_shape(nanocores: int, noise: int) -> int:
    """Now and then a round value, so that every suffix is met: an eighth in microcores, a sixteenth in millicores."""
    step = {0: 1_000_000, 1: 1000, 2: 1000}.get(noise % 16, 1)
    return max(1, nanocores // step) * step


def _to_pages(count: int, noise: int) -> int:
    """Whole pages, as the kernel counts; an eighth of the readings whole MiB."""
    step = _MIB if noise % 8 == 0 and count >= _MIB else _PAGE
    return count // step * step


def _draw(text: str) -> int:
    return zlib.crc32(text.encode())
