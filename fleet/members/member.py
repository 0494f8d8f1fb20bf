"""One member: its connection, its cached objects, and what is known of its health.

A heartbeat asks `/readyz`; the watches run only while it is answered, so a member that hangs or is gone is asked by
nothing else, and every watch is made anew (from the version it had) as soon as it answers again.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

import msgspec

from fleet.aio.backoff import Backoff, jittered
from fleet.aio.recorder import awaiting_probe
from fleet.aio.turns import Turns
from fleet.cache.reflector import R, Reflector, ReflectorOptions, Target
from fleet.cache.stores import Stores
from fleet.cache.workloads import WorkloadStore
from fleet.kubernetes.codec.codec import EVENTS, NAMESPACES, NODES, PODS, WORKLOADS, Codec
from fleet.kubernetes.codec.wire import WireVersion
from fleet.members.breaker import Breaker
from fleet.members.health import FollowedWorkloads, MemberHealth, because, now
from fleet.model.errors import ClusterError, ClusterUnauthorized, ClusterUnreachable
from fleet.model.kinds import ResourceName
from fleet.model.objects import Cluster, Outcome, OutcomeState
from fleet.model.told import tell
from fleet.ports import PROBE_BYTES, Answer, Call, Connection, MemberSource, MemberSpec

logger = logging.getLogger(__name__)

_CODECS: Mapping[ResourceName, Codec[Any]] = {"pods": PODS, "nodes": NODES, "namespaces": NAMESPACES}
_LASTING_SECONDS = 60.0  # between two attempts at a kind of workloads that is refused, or not served
_QUIET_BEATS = 5  # a member whose watches keep proving it alive is still asked for its readiness this seldom


class FleetOptions(msgspec.Struct, frozen=True):
    """Times in seconds, for all members.

    `member_timeout` bounds what a question waits for a member. One that proved itself (event, bookmark, answer) less
    than `fresh_seconds` ago is answered for from memory at once. `breaker_failures` in a row cut it off. Of each
    member's events the newest `events_kept` are kept; with 0 they are not followed. Without
    `workloads` these are made of the pods alone. With `grants_max_age` members decide what callers see.
    """

    member_timeout: float = 5.0
    heartbeat_seconds: float = 1.0
    fresh_seconds: float = 1.25
    breaker_failures: int = 3
    events_kept: int = 2_000
    workloads: bool = True
    grants_max_age: float | None = None
    reflector: ReflectorOptions = ReflectorOptions()


class Member:
    """One cluster of the federation, as long as it is at the same place. `run` keeps it going.

    `on_change` is called (quick, never raising) whenever `describe` may say something else.
    """

    def __init__(
        self,
        spec: MemberSpec,
        source: MemberSource,
        options: FleetOptions,
        turns: Turns | None = None,
    ) -> None:
        self.name = spec.name
        self.health = MemberHealth(spec, Breaker(options.breaker_failures), options.fresh_seconds)
        self.stores = Stores(options.events_kept)
        self.pods = self.stores.pods
        self.nodes = self.stores.nodes
        self.namespaces = self.stores.namespaces
        self.connection: Connection | None = None
        self.version: str | None = None
        self.on_change: Callable[[], None] = _nobody_listens
        self._source = source
        self._options = options
        self._turns = turns or Turns()
        self._asked_at = 0.0
        self._nudge = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def workloads(self) -> WorkloadStore:
        return self.stores.workloads

    @property
    def spec(self) -> MemberSpec:
        return self.health.spec

    def describe(self) -> Cluster:
        health, message = self.health.summary()
        return Cluster(
            name=self.name,
            role=self.spec.role,
            health=health,
            message=message,
            version=self.version,
            info=self.spec.info,
            other_names=self.spec.other_names,
            labels=self.spec.labels,
            age_seconds=self.health.age_seconds,
        )

    def has_listed(self, resource: ResourceName) -> bool:
        """Whether there is a last known state of the kind, fresh or not."""
        # Workloads may be none at all, and are known as far as pods are.
        return self.stores.named("pods" if resource == "workloads" else resource).generation > 0

    def check_reachable(self) -> Connection:
        """The connection, for a call that is not answered from memory.

        Raises ClusterUnreachable where it can't be had or the member is known not to answer.
        """
        if (reason := self.health.cut_off()) is not None:
            raise ClusterUnreachable(self.name, reason)
        if self.connection is None:
            raise ClusterUnreachable(
                self.name, tell("{} is not connected yet{}", self.name, because(self.health.failure))
            )
        return self.connection

    async def ensure_fresh(self, resource: ResourceName) -> Outcome:
        """How the member is, waiting for a sign of life (and for `resource` to be followed) where there is none.

        All callers share one probe. Waits at most the member timeout, and not at all where the breaker is open.
        """
        asked = now()
        outcome = self.health.verdict(resource, asked)
        if outcome is not None:
            return outcome
        try:
            with awaiting_probe(self.name):
                async with asyncio.timeout(self._options.member_timeout):
                    outcome = await self._wait_for_verdict(resource, asked)
        except TimeoutError:
            reason = self.health.explain_wait(resource, self._options.member_timeout)
            outcome = Outcome(self.name, OutcomeState.TIMEOUT, reason, self.health.age_seconds)
        return msgspec.structs.replace(outcome, took_ms=(now() - asked) * 1000)

    @property
    def is_settled(self) -> bool:
        """Whether each kind has been listed, or is known not to be had: no question waits for what it begins with."""
        asked = now()
        return all(self.has_listed(kind) or self.health.verdict(kind, asked) is not None for kind in _CODECS)

    def note_closed(self) -> None:
        """It is of the federation no more: no failure of its own, and who waits for it is notified."""
        self.health.note_end(ClusterUnreachable(self.name, f"{self.name} was closed"))
        self._notify()

    async def run(self) -> NoReturn:
        """Connects and follows the member until cancelled; its connection is closed by then."""
        if self.spec.credential is None:
            await asyncio.Event().wait()  # there is nothing to ask until the source says something else
        connection = await self._connect()
        try:
            self.connection = connection
            reflectors, workloads = self._build_reflectors(connection), self._build_workload_reflectors(connection)
            followed = FollowedWorkloads(reflectors["pods"], workloads, self._options.breaker_failures)
            self.health.follow({**reflectors, "workloads": followed})
            while True:
                await self._wait_until_up(connection)
                await self._follow_while_up(connection, reflectors, workloads)
        finally:
            self.connection = None
            await connection.close()

    async def _connect(self) -> Connection:
        backoff = Backoff(first=0.5, last=15.0)
        while True:
            try:
                return await self._source.open_connection(self.spec)
            except ClusterError as error:
                self._note_failure(error)
            await asyncio.sleep(backoff.next_delay())

    async def _wait_until_up(self, connection: Connection) -> None:
        while not await self._beat(connection):
            await self._wait_for_turn()

    async def _follow_while_up(
        self,
        connection: Connection,
        reflectors: Mapping[ResourceName, Reflector[Any]],
        workloads: Collection[Reflector[Any]],
    ) -> None:
        async with asyncio.TaskGroup() as group:
            work = [self._follow(reflector, late=resource == "events") for resource, reflector in reflectors.items()]
            work += [self._follow(reflector, late=True) for reflector in workloads]
            work.append(self._read_version(connection))
            tasks = [group.create_task(each) for each in work]
            await self._wait_for_turn()
            while await self._beat(connection):
                await self._wait_for_turn()
            for task in tasks:
                task.cancel()

    async def _follow(self, reflector: Reflector[Any], *, late: bool) -> None:
        """What is `late` waits until what people ask first is in memory."""
        while late and not self.is_settled:
            await self._changed.wait()
        await reflector.run()

    async def _wait_for_turn(self) -> None:
        """Waits until a heartbeat is due: sooner if a question wants one, later while the watches prove enough."""
        every = self._options.heartbeat_seconds
        delay = jittered(every)
        failure = self.health.failure
        if isinstance(failure, ClusterUnauthorized):
            delay = every * _QUIET_BEATS
        elif failure is not None and not self.health.breaker.refuses:
            delay = every / 4  # in doubt: find out soon whether the member is gone
        while True:
            last_sign = max(self._asked_at, self.health.last_seen)
            due = min(last_sign + delay, self._asked_at + every * _QUIET_BEATS)
            if due <= now():
                return
            try:
                async with asyncio.timeout_at(due):
                    await self._nudge.wait()
                    return
            except TimeoutError:
                continue

    def _build_probe(self, path: str) -> Call:
        return Call("GET", path, self._options.member_timeout, most_bytes=PROBE_BYTES)

    async def _beat(self, connection: Connection) -> bool:
        """One heartbeat. False where the watches can't be relied on any more."""
        self.health.breaker.record_probe()
        try:
            answer = await connection.request(
                Call("GET", "/readyz", self._options.member_timeout, most_bytes=PROBE_BYTES)
            )
            if answer.status == 401:
                raise ClusterUnauthorized(self.name, f"{self.name} answered 401")
        except ClusterError as error:
            self._note_failure(error)
            return False
        finally:
            self._asked_at = now()
            self._nudge.clear()
        self._note_answer(answer)
        return True

    def _note_answer(self, answer: Answer) -> None:
        if self.health.failure is not None:
            logger.info("%s answers again", self.name)
        self.health.note_answer(answer)
        self._notify()

    def _note_failure(self, error: ClusterError) -> None:
        if self.health.failure is None:
            logger.warning("%s is ill: %s", self.name, error)
        if isinstance(error, ClusterUnauthorized):
            error = ClusterUnauthorized(
                self.name, f"{self.name} refuses this server's credential: renew the token or certificate it was given"
            )
        self.health.note_failure(error)
        self._notify()

    def _note_seen(self) -> None:
        if self.health.note_seen():
            self._notify()

    async def _read_version(self, connection: Connection) -> None:
        backoff = Backoff(first=1.0, last=60.0)
        while True:
            try:
                answer = await connection.request(
                    Call("GET", "/version", self._options.member_timeout, most_bytes=PROBE_BYTES)
                )
                if answer.status == 200:
                    self.version = msgspec.json.decode(answer.body, type=WireVersion).git_version
                    self._notify()
                    return
            except (ClusterError, ValueError) as error:
                logger.debug("the version of %s can't be read: %s", self.name, error)
            await asyncio.sleep(backoff.next_delay())

    def _build_reflectors(self, connection: Connection) -> dict[ResourceName, Reflector[Any]]:
        codecs = {**_CODECS, "events": EVENTS} if self.stores.events.most else _CODECS
        return {
            resource: self._build_reflector(connection, codec, self.stores.named(resource))
            for resource, codec in codecs.items()
        }

    def _build_workload_reflectors(self, connection: Connection) -> list[Reflector[Any]]:
        return [
            self._build_reflector(connection, codec, self.stores.workloads.part(*kind), Backoff(last=_LASTING_SECONDS))
            for kind, codec in WORKLOADS.items()
            if self._options.workloads
        ]

    def _build_reflector(
        self, connection: Connection, codec: Codec[R], target: Target[R], backoff: Backoff | None = None
    ) -> Reflector[R]:
        return Reflector(
            connection,
            codec,
            target,
            on_seen=self._note_seen,
            on_change=self.note_following,
            options=self._options.reflector,
            turns=self._turns,
            backoff=backoff,
        )

    def note_following(self) -> None:
        """A kind is followed, or is not any more."""
        self.health.note_change()
        self._notify()

    async def _wait_for_verdict(self, resource: ResourceName, asked: float) -> Outcome:
        while (outcome := self.health.verdict(resource, asked)) is None:
            if (age := self.health.age_seconds) is None or age > self._options.fresh_seconds:
                self._nudge.set()
            await self._changed.wait()
        return outcome

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        self.on_change()


def _nobody_listens() -> None:
    """What a member's `on_change` is until the feed listens."""
