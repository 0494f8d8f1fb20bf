"""Usage that looks lived in: a function of who and when, so that a point is the same whenever it is made.

Each pod has a load between 0 and 1: a wave a day, one of some minutes, and noise that is smooth over seconds. CPU
follows it below the limit; memory is what was asked for plus a slow walk; network counters grow by a wave's integral,
so they never go back.
"""

import math
from functools import lru_cache

from msgspec import Struct

from demo.simulator.naming import build_digest
from fleet.model.objects import NodeKey, PodKey, Resources
from fleet.model.usage import NANOSECONDS, Point

_DAY = 86_400.0
_FALLBACK_CPU = 0.5
_FALLBACK_MEMORY = 256 << 20
_POD_DISK = 10 << 30
_NODE_DISK = 102_094_168 << 10


class Character(Struct, frozen=True, gc=False):
    """What makes one object's load its own; all between 0 and 1 but `period`, in seconds."""

    level: float
    swing: float
    phase: float
    day_phase: float
    period: float
    memory_level: float
    traffic: float


@lru_cache(maxsize=200_000)
def build_character(*names: str) -> Character:
    unit = [byte / 255 for byte in build_digest(*names, size=7)]
    return Character(
        level=0.12 + 0.4 * unit[0],
        swing=0.05 + 0.2 * unit[1],
        phase=math.tau * unit[2],
        day_phase=0.15 * unit[3],
        period=120 + 600 * unit[4],
        memory_level=0.45 + 0.35 * unit[5],
        traffic=0.1 + unit[6],
    )


def load_at(character: Character, seconds: float) -> float:
    """The load at a time in Unix seconds, between 0.01 and 0.97."""
    day = math.sin(math.tau * (seconds / _DAY - 0.3 - character.day_phase))
    wave = math.sin(math.tau * seconds / character.period + character.phase)
    noise = math.sin(seconds / 7.3 + 5 * character.phase) * math.sin(seconds / 3.1 + character.phase)
    load = character.level * (1 + 0.35 * day) + character.swing * (0.7 * wave + 0.3 * noise)
    return min(max(load, 0.01), 0.97)


def counter_at(character: Character, seconds: float, rate: float) -> int:
    """Bytes since long ago at about `rate` bytes per second: grows always, faster while the load's wave is high.

    The wave's own integral, not a sum of what was seen: any two points of one object agree with each other.
    """
    turn = math.tau / character.period
    grown = seconds - 0.8 / turn * math.cos(turn * seconds + character.phase)
    return int(rate * character.traffic * (grown - 1_700_000_000))


def build_pod_point(key: PodKey, time_ns: int, *, limits: Resources, requests: Resources, node: str | None) -> Point:
    """A pod's point: CPU below its limit (or near its request where it has none), memory below its limit."""
    seconds = time_ns / NANOSECONDS
    character = build_character(*key)
    load = load_at(character, seconds)
    cpu = limits.cpu_cores or 2 * (requests.cpu_cores or _FALLBACK_CPU)
    memory = limits.memory_bytes or 2 * (requests.memory_bytes or _FALLBACK_MEMORY)
    walk = 0.08 * math.sin(seconds / 900 + character.phase) + 0.02 * math.sin(seconds / 47 + character.phase)
    working_set = int(memory * min(character.memory_level + walk, 0.97)) & ~0xFFF
    used = int(_POD_DISK * 0.05 * (1 + character.level))
    return Point(
        time_ns=time_ns,
        cpu_cores=round(cpu * load, 9),
        memory_bytes=working_set,
        memory_usage_bytes=int(working_set * 1.12) & ~0xFFF,
        memory_available_bytes=max(memory - working_set, 0),
        fs_used_bytes=used,
        fs_capacity_bytes=_POD_DISK,
        fs_available_bytes=_POD_DISK - used,
        network_receive_bytes=counter_at(character, seconds, 90_000),
        network_transmit_bytes=counter_at(character, seconds, 60_000),
        node=node,
    )


def build_node_point(key: NodeKey, time_ns: int, *, capacity: Resources, pods: list[Point]) -> Point:
    """A node's point: the sum of its pods, and what its system takes."""
    seconds = time_ns / NANOSECONDS
    character = build_character(*key)
    cpus = capacity.cpu_cores or 8.0
    memory = capacity.memory_bytes or 32 << 30
    system = 0.05 * cpus * load_at(character, seconds)
    cpu = min(system + sum(point.cpu_cores or 0.0 for point in pods), cpus)
    working_set = min((1 << 30) + sum(point.memory_bytes or 0 for point in pods), memory)
    used = int(_NODE_DISK * (0.3 + 0.2 * character.level))
    return Point(
        time_ns=time_ns,
        cpu_cores=round(cpu, 9),
        memory_bytes=working_set,
        memory_usage_bytes=min(int(working_set * 1.1), memory),
        memory_available_bytes=memory - working_set,
        fs_used_bytes=used,
        fs_capacity_bytes=_NODE_DISK,
        fs_available_bytes=_NODE_DISK - used,
        network_receive_bytes=counter_at(character, seconds, 4_000_000),
        network_transmit_bytes=counter_at(character, seconds, 3_000_000),
        node=key.name,
    )
