"""What kubelets say of pods and nodes for days, as series: the data that sizes of the embedded store are measured on.

Working sets are pages of 4 KiB that wander or fill and are collected, CPU is noise on a daily wave, file systems are
shared by the pods of a node and looked at once a minute, networks are counters that begin anew with the pod's sandbox.
"""

from collections.abc import Mapping
from enum import Enum

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fleet.metrics.aggregate import Series
from fleet.model.usage import NANOSECONDS, Measure

INTERVAL_SECONDS = 15
_PAGE = 4096
_DAY = 86_400
_MIB = 1024**2

_Floats = NDArray[np.float64]


class Habit(Enum):
    """What an object does. Of ten pods of a fleet four are idle, four serve, and two collect garbage."""

    IDLE = "idle"
    SERVING = "serving"
    COLLECTING = "collecting garbage"
    NODE = "a node"
    RANDOM = "every value random"


POD_HABITS = (*[Habit.IDLE] * 4, *[Habit.SERVING] * 4, *[Habit.COLLECTING] * 2)


def build_series(habit: Habit, points: int, newest_ns: int, seed: int, *, whole: bool = True) -> Series:
    """Points each 15 s until then, as the collector stamps them. Not `whole`: metrics.k8s.io's two measures."""
    draw = np.random.default_rng(seed)
    late = np.cumsum(draw.exponential(0.0005, points)) + draw.gamma(2.0, 0.004, points)  # rounds begin a little late
    times = newest_ns - ((np.arange(points)[::-1] * INTERVAL_SECONDS + late[::-1]) * NANOSECONDS).astype(np.int64)
    values = _draw_random(draw, points) if habit is Habit.RANDOM else _draw_real(habit, draw, times)
    kept = list(values) if whole else [Measure.CPU_CORES, Measure.MEMORY_BYTES]
    columns: dict[Measure, list[float]] = {measure: values[measure].astype(np.int64).tolist() for measure in kept}
    columns[Measure.CPU_CORES] = [nanocores / NANOSECONDS for nanocores in columns[Measure.CPU_CORES]]
    return Series(times.tolist(), columns)


def _draw_random(draw: Generator, points: int) -> Mapping[Measure, _Floats]:
    values = {measure: draw.uniform(0, 2**40, points) for measure in Measure}
    return values | {measure: np.cumsum(values[measure]) for measure in Measure if measure.is_counter}


def _draw_real(habit: Habit, draw: Generator, times: NDArray[np.int64]) -> Mapping[Measure, _Floats]:
    points = len(times)
    scale = 20 if habit is Habit.NODE else 1
    busy = 1 + 0.6 * np.sin(times / NANOSECONDS % _DAY / _DAY * 2 * np.pi)
    cores = {Habit.IDLE: 2e5}.get(habit, draw.uniform(2e7, 4e8)) * scale
    noise = draw.gamma(9.0, 1 / 9.0, points)
    cpu = cores * noise * (1 if habit is Habit.IDLE else busy)
    limit = draw.choice([128, 256, 512, 1024, 2048]) * _MIB * scale
    working = _draw_memory(habit, draw, points, limit)
    cached = _walk(draw, points, limit * 0.1, 3 if habit is Habit.IDLE else 30, 0.05)
    capacity = draw.choice([50, 100, 200]) * 1024**3 - 37 * _PAGE
    # Looked at once a minute; a pod's own are its logs and writable layers.
    minute = np.arange(points) // 4
    others = _walk(draw, minute[-1] + 1, capacity * 0.3, 200, 0.9)[minute]
    logs = {Habit.IDLE: 0.02}.get(habit, 1.0) * scale
    own = (40 * _PAGE + np.cumsum(draw.poisson(logs, minute[-1] + 1)) * _PAGE)[minute]
    used = own + others if habit is Habit.NODE else own
    traffic = {Habit.IDLE: 90.0}.get(habit, draw.uniform(2e4, 2e6)) * scale * INTERVAL_SECONDS
    received = draw.gamma(6.0, 1 / 6.0, points) * noise * traffic * busy
    sent = received * draw.uniform(0.3, 3.0) * draw.gamma(20.0, 1 / 20.0, points)
    return {
        Measure.CPU_CORES: cpu,
        Measure.MEMORY_BYTES: working,
        Measure.MEMORY_USAGE_BYTES: working + cached,
        Measure.MEMORY_AVAILABLE_BYTES: limit - working,
        Measure.FS_USED_BYTES: used,
        Measure.FS_CAPACITY_BYTES: np.full(points, float(capacity)),
        Measure.FS_AVAILABLE_BYTES: capacity - own - others,
        Measure.NETWORK_RECEIVE_BYTES: _count(draw, received),
        Measure.NETWORK_TRANSMIT_BYTES: _count(draw, sent),
    }


def _draw_memory(habit: Habit, draw: Generator, points: int, limit: float) -> _Floats:
    if habit is Habit.COLLECTING:
        cycle = draw.integers(20, 200)
        grown = (np.arange(points) % cycle) / cycle * draw.uniform(0.2, 0.4) + 0.3
        return _pages(limit * grown + draw.normal(0, 20, points) * _PAGE)
    return _walk(draw, points, limit * draw.uniform(0.2, 0.8), 2 if habit is Habit.IDLE else 60, 0.1)


def _walk(draw: Generator, points: int, start: float, pages: float, share: float) -> _Floats:
    """Pages that wander, with a pull back to where they began; still at all but a share of the points, and noise."""
    moved = draw.normal(0, pages, points) * (draw.random(points) < share)
    wandered = np.cumsum(moved)
    wandered -= np.linspace(0, wandered[-1], points)
    return _pages(start + wandered * _PAGE)


def _pages(size: _Floats) -> _Floats:
    return np.floor(np.maximum(size, 0) / _PAGE) * _PAGE


def _count(draw: Generator, amounts: _Floats) -> _Floats:
    """A counter, from zero again once in some three days."""
    total = np.cumsum(np.floor(amounts))
    for reset in np.flatnonzero(draw.random(len(amounts)) < 1 / 17_000):
        total[reset:] -= total[reset]
    return total
