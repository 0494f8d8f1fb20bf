"""What is made once a request, for all who ask for it."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from fleet.model.errors import MetricsUnavailable

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Values by key, each made by the first who asks; so a page of objects that lead to one cluster sums it up once."""

    def __init__(self) -> None:
        self._made: dict[K, asyncio.Task[V | None]] = {}

    async def get(self, key: K, make: Callable[[], Coroutine[Any, Any, V | None]]) -> V | None:
        """The key's value. What making it raises reaches all, but MetricsUnavailable only the first: as in loaders."""
        task = self._made.get(key)
        if task is None:
            task = self._made[key] = asyncio.create_task(make())
            return await asyncio.shield(task)
        try:
            return await asyncio.shield(task)
        except MetricsUnavailable:
            return None
