"""Rounds in which every side has its turn."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

T = TypeVar("T")

Side = Callable[[], Awaitable[T]]
"""Takes one sample."""


async def run_interleaved(sides: Mapping[str, Side[T]], rounds: int) -> dict[str, list[T]]:
    """The samples of each side, one a round.

    Every second round goes the other way round, so that no side always follows the same neighbour.
    """
    samples: dict[str, list[T]] = {name: [] for name in sides}
    for number in range(rounds):
        names = list(sides) if number % 2 == 0 else list(sides)[::-1]
        for name in names:
            samples[name].append(await sides[name]())
    return samples
