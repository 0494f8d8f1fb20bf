"""Questions to metric stores, asked in batches: who wants the same kind of thing at one time is answered by one call.

A connection asks for its whole page before the page is completed, and the waits of connections side by side are joined
into one call. What was loaded is kept for the request, so a field that finds its object loaded answers at once and
without a future.

A metric store that fails makes an error in the first object that asks, and null without another error in the rest: ten
thousand equal errors say nothing more than one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar, cast

from fleet.model.errors import MetricsUnavailable
from graph.loading.maybe_await import Deferred

Q = TypeVar("Q", bound=Hashable)
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_NOT_LOADED: object = object()

_TURNS = 4
"""Turns of the event loop without a list being read that a batch stays open, so that a sibling one level deeper in the
query still gets on."""

_TOO_LATE = "the metric store did not answer within the request's time"

Ask = Callable[[frozenset[K]], Awaitable[Mapping[K, V]]]


class _Hold:
    """What calls wait for: it is released while nobody holds it. `ended` counts how often somebody let go."""

    def __init__(self) -> None:
        self.ended = 0
        self._holders = 0
        self._released = asyncio.Event()
        self._released.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        self._holders += 1
        self._released.clear()
        try:
            yield
        finally:
            self._holders -= 1
            self.ended += 1
            if not self._holders:
                self._released.set()

    async def released(self) -> None:
        await self._released.wait()


class Dispatch:
    """When calls may go out: while connections are being read, more keys may come, and the calls wait for them."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._lists = _Hold()
        self._cuts = _Hold()

    def holding(self) -> AbstractContextManager[None]:
        """Around the reading of a list whose items may want metrics."""
        return self._lists.held()

    def holding_pages(self) -> AbstractContextManager[None]:
        """Around all that comes before a page is cut: its items are known only then, and may want metrics."""
        return self._cuts.held()

    async def wait(self, *, cuts: bool) -> None:
        """Until nobody has read a list for some turns, so that those who did have said which metrics they want.

        `cuts`: until all pages are cut, too; not for calls that pages are cut by.
        """
        holds = (self._lists, self._cuts) if cuts else (self._lists,)
        quiet, seen = 0, -1
        while quiet < _TURNS:
            await asyncio.sleep(0)
            for hold in holds:
                await hold.released()
            ended = sum(hold.ended for hold in holds)
            quiet, seen = (quiet + 1 if ended == seen else 0), ended


class Batch(Generic[K, V]):
    """One kind of question to the metric store, asked once a dispatch for all keys that wait.

    `cuts`: pages are cut by its answers, so it can't wait for them to be cut.
    """

    def __init__(self, dispatch: Dispatch, ask: Ask[K, V], *, cuts: bool = False) -> None:
        self._dispatch = dispatch
        self._ask = ask
        self._cuts = cuts
        self._loaded: dict[K, V | None] = {}
        self._waiting: set[K] = set()
        self._call: asyncio.Task[None] | None = None
        self._under_way: dict[asyncio.Task[None], frozenset[K]] = {}
        self._failure: MetricsUnavailable | None = None
        self._missed: dict[K, MetricsUnavailable] = {}

    async def prime(self, keys: Iterable[K]) -> None:
        """Loads what is not loaded yet. A failure of the store is kept for those that ask."""
        for call in self.begin(keys):
            await asyncio.shield(call)  # one caller that goes away must not take the others' answer with it

    async def load_alone(self, keys: Iterable[K]) -> None:
        """As `prime`, at once: for who knows that nobody else of the request will ask."""
        if missing := frozenset(key for key in keys if key not in self._loaded):
            await self._fetch(missing)

    def begin(self, keys: Iterable[K]) -> list[asyncio.Task[None]]:
        """The waves that will have loaded the keys, without waiting for them. Nothing that was asked is asked again."""
        missing = {key for key in keys if key not in self._loaded}
        calls: list[asyncio.Task[None]] = []
        for call, asked in self._under_way.items():
            if not missing.isdisjoint(asked):
                calls.append(call)
                missing -= asked
        if missing:
            self._waiting.update(missing)
            if self._call is None:
                self._call = asyncio.create_task(self._run())
            calls.append(self._call)
        return calls

    def get(self, key: K) -> V | Awaitable[V | None] | None:
        """The value, at once where it is loaded. Raises MetricsUnavailable, once."""
        value = self._loaded.get(key, _NOT_LOADED)
        if value is _NOT_LOADED:
            return Deferred(self._load, key)
        return cast("V | None", value) if self._failure is None else self._answer(key)

    async def load(self, keys: Sequence[K]) -> list[V]:
        """The values of those keys that have one. Raises MetricsUnavailable, once."""
        await self.prime(keys)
        answers = [self._answer(key) for key in keys]
        return [answer for answer in answers if answer is not None]

    async def require(self, keys: Sequence[K]) -> Mapping[K, V | None]:
        """All that is loaded, these keys among it; for answers that would be wrong without any of the values.

        Raises MetricsUnavailable to each caller.
        """
        await self.prime(keys)
        if self._missed:
            for key in keys:
                if key in self._missed:
                    raise self._missed[key]
        return self._loaded

    def hold(self, known: Mapping[K, V | None]) -> None:
        """Keeps values that were read elsewhere as if they had been asked for here."""
        self._loaded.update(known)

    async def _load(self, key: K) -> V | None:
        await self.prime((key,))
        return self._answer(key)

    def _answer(self, key: K) -> V | None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return self._loaded[key]

    async def _run(self) -> None:
        try:
            async with asyncio.timeout_at(self._dispatch.deadline):
                await self._dispatch.wait(cuts=not self._cuts)
        except TimeoutError:
            keys = self._depart()
            self._keep(keys, {}, MetricsUnavailable(_TOO_LATE))
        else:
            keys = self._depart()
            await self._fetch(keys)
        self._under_way = {call: asked for call, asked in self._under_way.items() if asked is not keys}

    async def _fetch(self, keys: frozenset[K]) -> None:
        found: Mapping[K, V] = {}
        failure: MetricsUnavailable | None = None
        try:
            async with asyncio.timeout_at(self._dispatch.deadline):
                found = await self._ask(keys)
        except MetricsUnavailable as error:
            failure = error
        except TimeoutError:
            failure = MetricsUnavailable(_TOO_LATE)
        self._keep(keys, found, failure)

    def _keep(self, keys: frozenset[K], found: Mapping[K, V], failure: MetricsUnavailable | None) -> None:
        self._loaded.update(dict.fromkeys(keys))
        self._loaded.update(found)
        if failure is not None:
            self._failure = failure
            self._missed.update(dict.fromkeys(keys, failure))

    def _depart(self) -> frozenset[K]:
        """Closes the batch: who comes later is in the next one."""
        keys, call = frozenset(self._waiting), self._call
        self._waiting, self._call = set(), None
        if call is not None:
            self._under_way[call] = keys
        return keys


class Batches(Generic[Q, K, V]):
    """Questions of one kind about many objects: a batch for each question that the operation asks."""

    def __init__(self, dispatch: Dispatch, build_ask: Callable[[Q], Ask[K, V]], *, cuts: bool = False) -> None:
        self._dispatch = dispatch
        self._build_ask = build_ask
        self._cuts = cuts
        self._batches: dict[Q, Batch[K, V]] = {}

    def for_(self, question: Q) -> Batch[K, V]:
        """The batch of a question. Raises InvalidQuery for one that can't be asked, such as over no time range."""
        batch = self._batches.get(question)
        if batch is None:
            batch = self._batches[question] = Batch(self._dispatch, self._build_ask(question), cuts=self._cuts)
        return batch
