"""Questions to metric stores, asked in batches: who wants the same kind of thing at one time is answered by one call.

A connection asks for its whole page before the page is completed, and the waits of connections side by side are joined
into one call. What was loaded is kept for the request, so a field that finds its object loaded answers at once and
without a future.

A metric store that fails makes an error in the first object that asks, and null without another error in the rest: ten
thousand equal errors say nothing more than one. One that answers, but not of all that there is in a cluster, makes it
in the first object of that cluster that has no value.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Generic, TypeVar, cast

from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import ObjectKey
from fleet.model.usage import find_problems
from graph.loading.maybe_await import Deferred

Q = TypeVar("Q", bound=Hashable)
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_NOT_LOADED: object = object()

_LOST = 64
"""Turns of the event loop after which a deferred branch that has not begun counts as dropped. An error that is kept
keeps the frames that it went through alive, and with them branches that nobody will await."""

_TOO_LATE = "the metric store did not answer within the request's time"

Ask = Callable[[frozenset[K]], Awaitable[Mapping[K, V]]]


class _Hold:
    """What calls wait for: it is released while nobody holds it."""

    def __init__(self) -> None:
        self.holders = 0
        self._released = asyncio.Event()

    @contextmanager
    def held(self) -> Iterator[None]:
        self.holders += 1
        self._released.clear()
        try:
            yield
        finally:
            self.holders -= 1
            if not self.holders:
                self._released.set()

    async def released(self) -> None:
        if self.holders:
            await self._released.wait()


class Dispatch:
    """When the calls of one operation go out: as soon as none of its branches can add to them. Times are the loop's.

    A branch that may ask holds them from its resolver's call on: until it begins (`defer`), and while it reads a list
    or cuts a page. Between the end of such a hold and the resolvers of what it gave, nothing is awaited, so that those
    hold before anybody looks. Objects that were asked of a member one by one do not hold: it may be slow to answer.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.deferred = 0
        self.begun = 0
        self._lists = _Hold()
        self._pages = _Hold()

    def holding(self) -> AbstractContextManager[None]:
        """Around the reading of a list whose items may want metrics."""
        return self._lists.held()

    def holding_pages(self) -> AbstractContextManager[None]:
        """Around all that comes before a page is cut: its items are known only then, and may want metrics."""
        return self._pages.held()

    def defer(self, begin: Callable[..., Coroutine[Any, Any, V]], *arguments: Any) -> Deferred[V]:
        """As `Deferred`, for what asks or holds in its first step, or in that of a task that it begins there."""
        return _Branch(self, begin, *arguments)

    async def wait(self, *, pages: bool) -> None:
        """Until nobody holds. `pages`: until all pages are cut, too; not for calls that pages are cut by."""
        holds = (self._lists, self._pages) if pages else (self._lists,)
        patience, begun = _LOST, -1
        while any(hold.holders for hold in holds) or begun != self.begun or (self.deferred and patience):
            for hold in holds:
                await hold.released()
            patience = patience - 1 if begun == self.begun else _LOST
            begun = self.begun
            await asyncio.sleep(0)  # tasks that were created meanwhile take their first step, and may hold


class _Branch(Deferred[V]):
    """Holds a dispatch until it begins or is dropped."""

    __slots__ = ("_dispatch",)

    def __init__(self, dispatch: Dispatch, begin: Callable[..., Coroutine[Any, Any, V]], *arguments: Any) -> None:
        super().__init__(begin, *arguments)
        self._dispatch: Dispatch | None = dispatch
        dispatch.deferred += 1

    def __await__(self) -> Generator[Any, None, V]:
        self._release()
        return super().__await__()

    def __del__(self) -> None:
        self._release()
        super().__del__()

    def _release(self) -> None:
        dispatch, self._dispatch = self._dispatch, None
        if dispatch is not None:
            dispatch.deferred -= 1
            dispatch.begun += 1


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
        self._problems: dict[str, MetricsUnavailable] = {}
        self._untold: set[str] = set()
        self._told: set[str] = set()

    def prime(self, keys: Iterable[K]) -> Awaitable[None]:
        """Asks at once for what is not loaded yet, to be awaited. A failure of the store is kept for those that ask."""
        return Deferred(_wait_for, self.begin(keys))

    async def load_alone(self, keys: Iterable[K]) -> None:
        """As `prime`, at once: for who knows that nobody else of the request will ask."""
        if missing := frozenset(key for key in keys if key not in self._loaded):
            await self._fetch(missing)

    def begin(self, keys: Iterable[K]) -> list[asyncio.Task[None]]:
        """The calls that will have loaded the keys, without waiting for them. Nothing that was asked is asked again."""
        missing = {key for key in keys if key not in self._loaded}
        calls: list[asyncio.Task[None]] = []
        for call, asked in self._under_way.items():
            if not missing.isdisjoint(asked):
                calls.append(call)
                missing -= asked
        if missing:
            self._waiting.update(missing)
            if self._call is None:
                self._call = asyncio.create_task(self._dispatch_keys())
            calls.append(self._call)
        return calls

    def get(self, key: K) -> V | Awaitable[V | None] | None:
        """The value, at once where it is loaded. Raises MetricsUnavailable, once."""
        value = self._loaded.get(key, _NOT_LOADED)
        if value is _NOT_LOADED:
            return self._dispatch.defer(self._load, key)
        return cast("V | None", value) if self._failure is None and not self._untold else self._answer(key)

    def read_all(self, keys: Iterable[K]) -> list[V | None]:
        """The values of all. Raises KeyError where any is not loaded, or the store failed and nobody was told yet."""
        if self._failure is not None or self._untold:
            raise KeyError
        return list(map(self._loaded.__getitem__, keys))

    async def load(self, keys: Sequence[K]) -> list[V]:
        """The values of those keys that have one, to be summed up: none where any may be missing.

        Raises MetricsUnavailable, once.
        """
        await self.prime(keys)
        answers = [self._answer(key) for key in keys]
        if self._problems and any(self.is_missing(key) for key in keys):
            return []
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

    def hold(self, known: Mapping[K, V | None], problems: Mapping[str, str]) -> None:
        """Keeps values that were read elsewhere as if they had been asked for here."""
        self._loaded.update(known)
        self._note(problems, known)

    def is_missing(self, key: K) -> bool:
        """Whether it has no value, and its cluster is one of those that values may be missing of."""
        return self._loaded[key] is None and cast("ObjectKey", key).cluster in self._problems

    def problems_of(self, keys: Iterable[K]) -> dict[str, str]:
        """Why values of these are missing, by cluster."""
        missing = {cast("ObjectKey", key).cluster for key in keys if self.is_missing(key)} if self._problems else ()
        return {cluster: str(self._problems[cluster]) for cluster in missing}

    async def _load(self, key: K) -> V | None:
        await self.prime((key,))
        return self._answer(key)

    def _answer(self, key: K) -> V | None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        if self._untold and self.is_missing(key) and (cluster := cast("ObjectKey", key).cluster) in self._untold:
            self._untold.remove(cluster)
            self._told.add(cluster)
            raise self._problems[cluster]
        return self._loaded[key]

    async def _dispatch_keys(self) -> None:
        try:
            async with asyncio.timeout_at(self._dispatch.deadline):
                await self._dispatch.wait(pages=not self._cuts)
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
        self._note(find_problems(found), keys)
        if failure is not None:
            self._failure = failure
            self._missed.update(dict.fromkeys(keys, failure))

    def _note(self, problems: Mapping[str, str], keys: Iterable[K]) -> None:
        for cluster, why in problems.items():
            self._problems.setdefault(cluster, MetricsUnavailable(why, cluster))
        self._untold |= self.problems_of(keys).keys() - self._told

    def _depart(self) -> frozenset[K]:
        """Closes the batch: who comes later is in the next one."""
        keys, call = frozenset(self._waiting), self._call
        self._waiting, self._call = set(), None
        if call is not None:
            self._under_way[call] = keys
        return keys


async def _wait_for(calls: Sequence[asyncio.Task[None]]) -> None:
    for call in calls:
        await asyncio.shield(call)  # one caller that goes away must not take the others' answer with it


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
