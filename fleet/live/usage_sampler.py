"""Samples usage at intervals for all who follow it: one question of a kind an interval, however many they are."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from itertools import chain

from msgspec import Struct

from fleet.aio.tasks import end_tasks
from fleet.model.errors import InvalidQuery, MetricsUnavailable
from fleet.model.objects import K, NodeKey, ObjectKey, PodKey
from fleet.model.usage import Kind, Measure, Usage, find_problems
from fleet.ports import MetricStore

LEAST_SECONDS = 1.0
MOST_SECONDS = 3600.0
_GATHERING_SECONDS = 0.05  # those who come together are asked for together
_LEAST_GAP_SECONDS = 0.5  # between two questions, however many come in between


class Wanted(Struct, frozen=True):
    """Whose usage, and which measures of it."""

    pods: frozenset[PodKey]
    nodes: frozenset[NodeKey]
    measures: frozenset[Measure]

    def covers(self, other: "Wanted") -> bool:
        """Whether an answer to this one answers the other, too."""
        return self.pods >= other.pods and self.nodes >= other.nodes and self.measures >= other.measures

    def joined(self, other: "Wanted") -> "Wanted":
        return Wanted(self.pods | other.pods, self.nodes | other.nodes, self.measures | other.measures)


NOTHING = Wanted(frozenset(), frozenset(), frozenset())


class Reading(Struct, frozen=True):
    """What was read for all who follow an interval; `failure` says why there is nothing where it could not be read.

    `problems` say of which clusters there may be less than there should be.
    """

    wanted: Wanted
    usages: Mapping[ObjectKey, Usage]
    problems: Mapping[str, str] = {}
    failure: MetricsUnavailable | None = None


class Follower:
    """Gets the readings of an interval; one that was not taken before the next came is replaced by it."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._reading: Reading | None = None
        self._arrived = asyncio.Event()

    def offer(self, reading: Reading) -> None:
        """Puts a reading where `take` finds it, if it answers what is wanted."""
        if reading.wanted.covers(self.wanted):
            self._reading = reading
            self._arrived.set()

    async def take(self) -> Reading:
        """The newest reading that was not taken yet."""
        while self._reading is None:
            self._arrived.clear()
            await self._arrived.wait()
        reading, self._reading = self._reading, None
        return reading


class UsageSampler:
    """The intervals that somebody follows. `timeout` bounds a question, in seconds."""

    def __init__(self, store: MetricStore, *, timeout: float) -> None:
        self._store = store
        self._timeout = timeout
        self._rounds: dict[float, _Rounds] = {}

    @contextlib.contextmanager
    def follow(self, wanted: Wanted, interval: float) -> Iterator[Follower]:
        """Follows until the `with` is left. Raises InvalidQuery for an interval out of bounds."""
        interval = check_interval(interval)
        rounds = self._rounds.get(interval)
        if rounds is None:
            rounds = self._rounds[interval] = _Rounds(self._store, interval, self._timeout)
        follower = rounds.add(Follower(wanted))
        try:
            yield follower
        finally:
            if not rounds.remove(follower) and self._rounds.get(interval) is rounds:
                del self._rounds[interval]

    async def aclose(self) -> None:
        await asyncio.gather(*(rounds.aclose() for rounds in self._rounds.values()))
        self._rounds.clear()


def check_interval(seconds: float) -> float:
    """The interval in tenths of a second. Raises InvalidQuery where it is out of bounds."""
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise InvalidQuery(f"`interval` is {LEAST_SECONDS:g}s at least and {MOST_SECONDS / 3600:g}h at most")
    return round(seconds, 1)


class _Rounds:
    """The questions of one interval, asked while somebody follows it."""

    def __init__(self, store: MetricStore, interval: float, timeout: float) -> None:
        self._store = store
        self._interval = interval
        self._timeout = timeout
        self._followers: set[Follower] = set()
        self._last: tuple[float, Reading] | None = None
        self._hurry = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"usage every {interval:g} s")

    def add(self, follower: Follower) -> Follower:
        """Takes one in: answered from the last reading where that does, else soon."""
        self._followers.add(follower)
        if self._last is not None and _now() - self._last[0] < self._interval:
            follower.offer(self._last[1])
        if self._last is None or not self._last[1].wanted.covers(follower.wanted):
            self._hurry.set()
        return follower

    def remove(self, follower: Follower) -> bool:
        """Lets one go; whether there are others."""
        self._followers.discard(follower)
        if not self._followers:
            self._task.cancel()
        return bool(self._followers)

    async def aclose(self) -> None:
        await end_tasks(self._task)

    async def _run(self) -> None:
        await asyncio.sleep(_GATHERING_SECONDS)
        while True:
            self._hurry.clear()
            asked = _now()
            reading = await self._ask()
            self._last = (asked, reading)
            for follower in tuple(self._followers):
                follower.offer(reading)
            await self._wait(asked + self._interval)

    async def _wait(self, due: float) -> None:
        """Until the next question is due, or somebody came whom the last one does not answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await asyncio.sleep(_LEAST_GAP_SECONDS)
                await self._hurry.wait()
                await asyncio.sleep(_GATHERING_SECONDS)

    async def _ask(self) -> Reading:
        wanted = NOTHING
        for follower in self._followers:
            if not wanted.covers(follower.wanted):
                wanted = wanted.joined(follower.wanted)
        try:
            async with asyncio.timeout(self._timeout):
                pods, nodes = await asyncio.gather(
                    self._latest(Kind.POD, wanted.pods, wanted.measures),
                    self._latest(Kind.NODE, wanted.nodes, wanted.measures),
                )
                usages: dict[ObjectKey, Usage] = dict(chain(pods.items(), nodes.items()))
                return Reading(wanted, usages, {**find_problems(pods), **find_problems(nodes)})
        except MetricsUnavailable as error:
            return Reading(wanted, {}, failure=error)
        except TimeoutError:
            late = MetricsUnavailable(f"the metric store did not answer within {self._timeout:g} s")
            return Reading(wanted, {}, failure=late)

    async def _latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> Mapping[K, Usage]:
        return await self._store.latest(kind, keys, measures) if keys else {}


def _now() -> float:
    return asyncio.get_running_loop().time()
