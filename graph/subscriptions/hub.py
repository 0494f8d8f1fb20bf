"""All that is followed now: sessions, the channels they share, and the bounds of both."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import NamedTuple

import orjson
from msgspec import Struct

from fleet.aio.admission import Admission
from fleet.aio.tasks import open_task
from fleet.federation import Federation
from fleet.live.changes import ClusterView
from fleet.live.usage_sampler import UsageSampler
from fleet.model.errors import FleetError
from fleet.model.redaction import EnvValues
from fleet.objects.logs import follow_log
from fleet.ports import MetricStore
from graph.errors import Code
from graph.limits.limits import DEFAULT_LIMITS, Limits
from graph.operation import Operation
from graph.roots.topics import Events, Log, Objects, Samples
from graph.slow_queries import SlowQueries
from graph.subscriptions.admission import Rejected, admit
from graph.subscriptions.channel import ObjectChannel
from graph.subscriptions.event_channel import EventChannel
from graph.subscriptions.mailbox import Ended, Ending, Mailbox
from graph.subscriptions.quotas import Budget, QuotaOptions, QuotaSpent, UserQuota, measure
from graph.subscriptions.rendering import Grounds, Renderer, build_failure, dump
from graph.subscriptions.samples import SampleChannel
from graph.subscriptions.sessions import RECHECK_SECONDS, SHUT_DOWN, Authenticates, Session, Sessions
from graph.subscriptions.watched import EventSelection, build_selection
from graph.types.live import LogLine

Channel = ObjectChannel | SampleChannel | EventChannel


class Seat(NamedTuple):
    """A subscriber's place in a channel."""

    key: Hashable
    channel: Channel
    mailbox: Mailbox


class LiveOptions(Struct, frozen=True):
    """Bounds of what may be open, and held of objects that are followed, at once; and times in seconds.

    `init_seconds` is how long a WebSocket may stay without `connection_init`; a subscriber who takes nothing for
    `stall_seconds` is cut off; `keep_alive_seconds` is how often a silent stream of events says that it is alive.
    """

    max_connections: int = 10_000
    max_connections_a_user: int = 200
    max_greeting: int = 2_000
    max_operations: int = 10_000
    max_operations_a_connection: int = 100
    max_exports_a_user: int = 10
    max_held_bytes: int = 512 << 20
    a_user: QuotaOptions = QuotaOptions()
    init_seconds: float = 10.0
    stall_seconds: float = 30.0
    keep_alive_seconds: float = 12.0
    recheck_seconds: float = RECHECK_SECONDS


class Hub:
    """What transports ask: `sessions`, and the stream of an operation.

    They count in `connections` what is open, and in `greeting` those of them that have not said yet who they are;
    `messages` counts results that went out, `exports` are lists that are on their way as rows, by their user.
    """

    def __init__(self, grounds: Grounds, sessions: Sessions, options: LiveOptions) -> None:
        self.sessions = sessions
        self.options = options
        self.connections = 0
        self.greeting = 0
        self.exports: Counter[str] = Counter()
        self.grounds = grounds
        self.operations = self.messages = 0
        self._channels: dict[Hashable, Channel] = {}
        self._budget = Budget(options.max_held_bytes)
        self._quotas: dict[str, UserQuota] = {}
        self._openers: dict[Channel, UserQuota] = {}
        self._usage = UsageSampler(grounds.metric_store, timeout=grounds.request_timeout)
        self._stopping = False

    @property
    def channels(self) -> int:
        """How many questions are followed: subscribers of the same one count once."""
        return len(self._channels)

    @property
    def held_bytes(self) -> int:
        return self._budget.held

    @property
    def full(self) -> bool:
        return self._stopping or self.connections >= self.options.max_connections

    def may_export(self, user: str) -> bool:
        """Whether one more list of this user may go out as rows: each holds a page, for as long as its client reads."""
        return not self._stopping and self.exports[user] < self.options.max_exports_a_user

    async def stream(self, session: Session, operation: Operation) -> AsyncGenerator[str, None]:
        """The results of an operation, each as JSON, until it ends; closing the iterator ends it.

        Raises Rejected where it is not begun, Ended where the server ends it.
        """
        with self._counting(session, operation):
            begun = await self._begin(session, operation)
            if isinstance(begun, str):
                self.messages += 1
                yield begun
            elif isinstance(begun, Seat):
                try:
                    while True:
                        text = await begun.mailbox.take()
                        self.messages += 1
                        yield text
                finally:
                    await self._leave(begun)
            else:
                async with aclosing(begun) as lines:
                    async for text in lines:
                        self.messages += 1
                        yield text

    def shut_down(self) -> None:
        """Ends all connections, each told why, and takes no more."""
        self._stopping = True
        self.sessions.end_all(SHUT_DOWN)

    async def aclose(self) -> None:
        self.shut_down()
        await asyncio.gather(*(channel.aclose() for channel in self._channels.values()))
        self._channels.clear()
        await self._usage.aclose()

    @contextmanager
    def _counting(self, session: Session, operation: Operation) -> Iterator[None]:
        """The operation counts while it is open. Raises Rejected."""
        self._check_room(session)
        try:
            size = measure(operation)
        except TypeError:  # what can be read can be nested deeper than what can be written
            deep = "`variables` are nested too deeply: 250 levels at most"
            raise Rejected(build_failure(deep, Code.BAD_USER_INPUT)["errors"]) from None
        quota = self._quota_of(session)
        try:
            quota.begin(size)
        except QuotaSpent as spent:
            raise _no_room(str(spent)) from None
        session.operations += 1
        self.operations += 1
        try:
            yield
        finally:
            session.operations -= 1
            self.operations -= 1
            quota.end(size)
            self._forget_unused(quota)

    def _quota_of(self, session: Session) -> UserQuota:
        name = session.principal.name
        if name not in self._quotas:
            self._quotas[name] = UserQuota(name, self.options.a_user, self._budget)
        return self._quotas[name]

    def _forget_unused(self, quota: UserQuota) -> None:
        if quota.unused and self._quotas.get(quota.user) is quota:
            del self._quotas[quota.user]

    def _check_room(self, session: Session) -> None:
        here, everywhere = self.options.max_operations_a_connection, self.options.max_operations
        if session.operations >= here:
            raise _no_room(f"a connection has {here:,} operations at once at most: complete one first")
        if self.operations >= everywhere:
            raise _no_room(f"the server has {everywhere:,} operations at once at most: try again later")

    async def _begin(self, session: Session, operation: Operation) -> "str | Seat | AsyncGenerator[str, None]":
        """What the operation gives: one result, a seat in a channel, or lines.

        A subscriber lasts, and keeps of all that was needed to begin only what is returned here. Raises Rejected.
        """
        admitted = await admit(self.grounds, session.principal, operation)
        if isinstance(admitted, str):
            return admitted
        selection = build_selection(admitted.info)
        renderer = Renderer(self.grounds, session.principal, selection, operation.variables, operation.name)
        if isinstance(admitted.topic, Log):
            return self._follow_log(session, admitted.topic, renderer)
        key = _channel_key(session, operation, selection)
        channel = self._channels.get(key)
        if channel is None or not channel.alive:
            channel = self._channels[key] = self._open_channel(session, admitted.topic, renderer)
        return Seat(key, channel, channel.join())

    async def _leave(self, seat: "Seat") -> None:
        """Gives a seat up; the last one ends the channel."""
        if not seat.channel.leave(seat.mailbox):
            if self._channels.get(seat.key) is seat.channel:
                del self._channels[seat.key]
            opener = self._openers.pop(seat.channel, None)
            if opener is not None:
                opener.close_question()
                self._forget_unused(opener)
            await seat.channel.aclose()

    def _open_channel(self, session: Session, topic: Objects | Samples | Events, renderer: Renderer) -> Channel:
        """Raises Rejected."""
        federation, quota = self.grounds.federation, self._quota_of(session)
        _open_question(quota)
        channel: Channel
        if isinstance(topic, Objects):
            view = topic.view
            feed = federation.feed if isinstance(view, ClusterView) else view
            channel = ObjectChannel(feed, federation.turns, topic, renderer, quota.held)
        elif isinstance(topic, Events):
            channel = EventChannel(federation.feed, topic.view, renderer, quota.held)
        else:
            channel = SampleChannel(self._usage, federation, session.principal, topic, renderer)
        self._openers[channel] = quota
        return channel

    async def _follow_log(self, session: Session, topic: Log, renderer: Renderer) -> AsyncGenerator[str, None]:
        """One call to the member for one subscriber: what is not taken is not read, and so not sent by the member."""
        quota = self._quota_of(session)
        _open_question(quota)
        try:
            lines = follow_log(self.grounds.federation, session.principal.scope, topic.request)
            async with aclosing(lines):
                async for line in lines:
                    (body,) = await renderer.render([LogLine.from_model(line)])
                    yield dump(body).decode()
        except FleetError as error:
            raise Ended(Ending.from_error(error, session.principal.scope)) from error
        finally:
            quota.close_question()


@asynccontextmanager
async def open_hub(
    federation: Federation,
    metric_store: MetricStore,
    authenticator: Authenticates,
    *,
    request_timeout: float,
    limits: Limits = DEFAULT_LIMITS,
    admission: Admission | None = None,
    options: LiveOptions | None = None,
    redact_env: EnvValues = EnvValues.SHOWN,
    slow_query: float = 0.0,
) -> AsyncIterator[Hub]:
    """The hub; leaving the `with` ends all subscriptions. `request_timeout` and `slow_query` are in seconds."""
    options = options or LiveOptions()
    sessions = Sessions(
        authenticator,
        federation,
        recheck_seconds=options.recheck_seconds,
        most_of_one=options.max_connections_a_user,
    )
    slow_queries = SlowQueries(slow_query)
    grounds = Grounds(
        federation, metric_store, request_timeout, limits, redact_env, admission or Admission(), slow_queries
    )
    hub = Hub(grounds, sessions, options)
    async with aclosing(hub), open_task("rights of subscribers", sessions.run):
        yield hub


def _channel_key(session: Session, operation: Operation, selection: EventSelection) -> Hashable:
    """Equal for operations that get the same messages. What a member is asked depends on who asks, too."""
    principal = session.principal
    who = None if selection.all_watched else (principal.name, principal.groups)
    variables = orjson.dumps(operation.variables, option=orjson.OPT_SORT_KEYS)
    return operation.query, variables, operation.name, principal.scope, who


def _open_question(quota: UserQuota) -> None:
    try:
        quota.open_question()
    except QuotaSpent as spent:
        raise _no_room(str(spent)) from None


def _no_room(message: str) -> Rejected:
    return Rejected(build_failure(message, Code.COST_EXCEEDED)["errors"])
