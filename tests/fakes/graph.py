"""A metric store of the test's process that counts what it is asked, and can fail or hang; the state of its routes."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from msgspec.structs import asdict

from auth.authenticator import Authenticator
from fleet.federation import Federation
from fleet.live.usage_cache import UsageCache
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import NodeKey, PodKey
from fleet.model.placements import Placement, group_at, group_by_pod
from fleet.model.usage import NANOSECONDS, Aggregate, Column, History, Kind, Measure, Measured, Point, TimeRange, Usage
from graph.http.persisted import Documents
from graph.http.state import GraphState
from graph.limits.limits import DEFAULT_LIMITS, Limits
from graph.loading.timeslice import TimeSlices
from graph.subscriptions.hub import Hub
from graph.subscriptions.sessions import Authenticates

K = TypeVar("K", PodKey, NodeKey)
V = TypeVar("V")

FACTORS = {aggregate: float(number) for number, aggregate in enumerate(Aggregate, start=1)}
"""What a history's values are multiplied by, so that columns of different aggregates can be told apart."""

RESOLUTION_NS = 15 * NANOSECONDS


class Call(NamedTuple):
    """One question."""

    name: str
    keys: frozenset[Any]
    asked: frozenset[Any]
    time_range: TimeRange | None = None


class CountingStore:
    """Knows one usage an object; its history is that usage in every step."""

    name = "counting"

    def __init__(self) -> None:
        self.known: dict[PodKey | NodeKey, Usage] = {}
        self.sightings: dict[tuple[PodKey, str], list[int]] = {}
        self.calls: list[Call] = []
        self.failure: str | MetricsUnavailable | None = None
        self.problems: dict[str, str] = {}
        self.lost: set[PodKey | NodeKey] = set()
        self.answering = asyncio.Event()
        self.answering.set()

    async def points(
        self, kind: Kind, key: PodKey | NodeKey, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[Point]:
        return []

    async def pods_on_nodes(self, keys: frozenset[NodeKey], at_ns: int) -> Mapping[NodeKey, list[Placement]]:
        await self._answer(Call("pods_on_nodes", keys, frozenset({at_ns})))
        return self._told(group_at(keys, self.sightings, at_ns))

    async def placements(
        self, keys: frozenset[PodKey], *, start_ns: int, end_ns: int
    ) -> Mapping[PodKey, list[Placement]]:
        await self._answer(Call("placements", keys, frozenset({start_ns, end_ns})))
        return self._told(group_by_pod(keys, self.sightings))

    async def check(self) -> str:
        return "counting"

    async def latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> dict[K, Usage]:
        await self._answer(Call(f"latest_{kind.value}s", keys, measures))
        wanted = {"time_ns", *(_field(measure) for measure in measures)}
        return self._told(
            {
                key: Usage(**{name: value for name, value in asdict(self.known[key]).items() if name in wanted})
                for key in self._of(keys)
            }
        )

    async def history(
        self, kind: Kind, keys: frozenset[K], time_range: TimeRange, columns: frozenset[Column]
    ) -> dict[K, History]:
        await self._answer(Call(f"{kind.value}_history", keys, columns, time_range))
        return self._told(
            {
                key: History(
                    time_range, {column: self._column(key, column, time_range) for column in columns}, RESOLUTION_NS
                )
                for key in self._of(keys)
            }
        )

    def _of(self, keys: Iterable[K]) -> list[K]:
        return [key for key in keys if key in self.known and key not in self.lost]

    def _told(self, found: dict[Any, V]) -> dict[Any, V]:
        """With what may be missing; of an object that is lost it has nothing."""
        kept = {key: value for key, value in found.items() if key not in self.lost}
        return Measured(kept, self.problems) if self.problems else kept

    def _column(self, key: PodKey | NodeKey, column: Column, time_range: TimeRange) -> list[float | None]:
        value = getattr(self.known[key], _field(column[0]))
        return [None if value is None else value * FACTORS[column[1]]] * time_range.steps

    async def _answer(self, call: Call) -> None:
        self.calls.append(call)
        await self.answering.wait()
        if self.failure is not None:
            raise self.failure if isinstance(self.failure, MetricsUnavailable) else MetricsUnavailable(self.failure)


def _field(measure: Measure) -> str:
    return f"{measure.value}_per_second" if measure.is_counter else measure.value


def build_state(
    federation: Federation,
    store: CountingStore,
    users: Authenticates,
    live: Hub,
    *,
    request_timeout: float,
    limits: Limits = DEFAULT_LIMITS,
    documents: Documents | None = None,
) -> GraphState:
    """What a lifespan yields to the routes of the graph."""
    return GraphState(
        authenticator=cast("Authenticator", users),  # the graph's routes call no other part of it
        federation=federation,
        metric_store=store,
        documents=documents or Documents(max_bytes=1 << 20),
        live=live,
        admission=live.grounds.admission,
        request_timeout=request_timeout,
        limits=limits,
        compiled=True,
        time_slices=TimeSlices(),
        held_usage=UsageCache(store, federation.pods_of),
    )
