"""Fills a member's stores by asking the member itself: heartbeats, lists and watches.

A heartbeat asks `/readyz`; the watches run only while it is answered, so a member that hangs or is gone is asked by
nothing else, and every watch is made anew (from the version it had) as soon as it answers again.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import msgspec

from fleet.aio.backoff import Backoff, jittered
from fleet.aio.turns import Turns
from fleet.cache.filling import R, Target
from fleet.cache.reflector import Reflector
from fleet.kubernetes.codec.codec import EVENTS, NAMESPACES, NODES, PODS, WORKLOADS, Codec
from fleet.kubernetes.codec.wire import WireVersion
from fleet.members.member import FleetOptions, Member
from fleet.members.signs import FollowedWorkloads, now
from fleet.model.errors import ClusterError, ClusterUnauthorized
from fleet.model.kinds import ResourceName
from fleet.ports import PROBE_BYTES, Answer, Call, Connection, Opening

logger = logging.getLogger(__name__)

Tee = Callable[[ResourceName, Target[Any]], Target[Any]]
"""Gives what is filled in the place of a store, or of one kind of the workloads: the store, and whatever else."""

_CODECS: Mapping[ResourceName, Codec[Any]] = {"pods": PODS, "nodes": NODES, "namespaces": NAMESPACES}
_LASTING_SECONDS = 60.0  # between two attempts at a kind of workloads that is refused, or not served
_QUIET_BEATS = 5  # a member whose watches keep proving it alive is still asked for its readiness this seldom


class Watching:
    """Watches members over connections of the source."""

    def __init__(self, source: Opening, options: FleetOptions, turns: Turns | None = None) -> None:
        self._source = source
        self._options = options
        self._turns = turns or Turns()

    async def run(self, member: Member, tee: Tee | None = None) -> NoReturn:
        if member.spec.credential is None:
            await asyncio.Event().wait()  # there is nothing to ask until the source says something else
        connection = await self._connect(member)
        lent, member.connection = member.connection, connection
        try:
            await _Watch(member, connection, self._options, self._turns, tee or _store_alone).run()
        finally:
            member.connection = lent
            await connection.close()

    async def _connect(self, member: Member) -> Connection:
        backoff = Backoff(first=0.5, last=15.0)
        while True:
            try:
                return await self._source.open_connection(member.spec)
            except ClusterError as error:
                note_failure(member, error)
            await asyncio.sleep(backoff.next_delay())


class _Watch:
    """One member over one connection."""

    def __init__(self, member: Member, connection: Connection, options: FleetOptions, turns: Turns, tee: Tee) -> None:
        self._member = member
        self._health = member.health
        self._connection = connection
        self._options = options
        self._turns = turns
        self._tee = tee
        self._asked_at = 0.0
        self._reflectors = self._build_reflectors()
        self._workloads = self._build_workload_reflectors()

    async def run(self) -> NoReturn:
        pods, limit = self._reflectors["pods"], self._options.breaker_failures
        self._health.follow({**self._reflectors, "workloads": FollowedWorkloads(pods, self._workloads, limit)})
        while True:
            await self._wait_until_up()
            await self._follow_while_up()

    async def _wait_until_up(self) -> None:
        while not await self._beat():
            await self._wait_for_turn()

    async def _follow_while_up(self) -> None:
        async with asyncio.TaskGroup() as group:
            work = [
                self._follow(reflector, late=resource == "events") for resource, reflector in self._reflectors.items()
            ]
            work += [self._follow(reflector, late=True) for reflector in self._workloads]
            work.append(self._read_version())
            tasks = [group.create_task(each) for each in work]
            await self._wait_for_turn()
            while await self._beat():
                await self._wait_for_turn()
            for task in tasks:
                task.cancel()

    async def _follow(self, reflector: Reflector[Any], *, late: bool) -> None:
        """What is `late` waits until what people ask first is in memory."""
        while late and not self._member.is_settled:
            await self._member.wait_changed()
        await reflector.run()

    async def _wait_for_turn(self) -> None:
        """Waits until a heartbeat is due: sooner if a question wants one, later while the watches prove enough."""
        every = self._options.heartbeat_seconds
        delay = jittered(every)
        failure = self._health.failure
        if isinstance(failure, ClusterUnauthorized):
            delay = every * _QUIET_BEATS
        elif failure is not None and not self._health.breaker.refuses:
            delay = every / 4  # in doubt: find out soon whether the member is gone
        while True:
            last_sign = max(self._asked_at, self._health.last_seen)
            due = min(last_sign + delay, self._asked_at + every * _QUIET_BEATS)
            if due <= now():
                return
            try:
                async with asyncio.timeout_at(due):
                    await self._member.nudge.wait()
                    return
            except TimeoutError:
                continue

    async def _beat(self) -> bool:
        """One heartbeat. False where the watches can't be relied on any more."""
        name = self._member.name
        self._health.breaker.record_probe()
        try:
            answer = await self._probe("/readyz")
            if answer.status == 401:
                raise ClusterUnauthorized(name, f"{name} answered 401")
        except ClusterError as error:
            note_failure(self._member, error)
            return False
        finally:
            self._asked_at = now()
            self._member.nudge.clear()
        if self._health.failure is not None:
            logger.info("%s answers again", name)
        self._health.note_answer(answer)
        self._member.notify()
        return True

    async def _probe(self, path: str) -> Answer:
        call = Call("GET", path, self._options.member_timeout, most_bytes=PROBE_BYTES)
        return await self._connection.request(call)

    async def _read_version(self) -> None:
        backoff = Backoff(first=1.0, last=60.0)
        while True:
            try:
                answer = await self._probe("/version")
                if answer.status == 200:
                    self._member.version = msgspec.json.decode(answer.body, type=WireVersion).git_version
                    self._member.notify()
                    return
            except (ClusterError, ValueError) as error:
                logger.debug("the version of %s can't be read: %s", self._member.name, error)
            await asyncio.sleep(backoff.next_delay())

    def _note_seen(self) -> None:
        if self._health.note_seen():
            self._member.notify()

    def _build_reflectors(self) -> dict[ResourceName, Reflector[Any]]:
        stores = self._member.stores
        codecs = {**_CODECS, "events": EVENTS} if stores.events.most else _CODECS
        return {
            resource: self._build_reflector(codec, self._tee(resource, stores.named(resource)))
            for resource, codec in codecs.items()
        }

    def _build_workload_reflectors(self) -> list[Reflector[Any]]:
        parts = self._member.stores.workloads
        return [
            self._build_reflector(codec, self._tee("workloads", parts.part(*kind)), Backoff(last=_LASTING_SECONDS))
            for kind, codec in WORKLOADS.items()
            if self._options.workloads
        ]

    def _build_reflector(self, codec: Codec[R], target: Target[R], backoff: Backoff | None = None) -> Reflector[R]:
        return Reflector(
            self._connection,
            codec,
            target,
            on_seen=self._note_seen,
            on_change=self._member.note_following,
            options=self._options.reflector,
            turns=self._turns,
            backoff=backoff,
            follows=self._member.follows,
        )


def note_failure(member: Member, error: ClusterError) -> None:
    """It did not answer, or refused the credential."""
    if member.health.failure is None:
        logger.warning("%s is ill: %s", member.name, error)
    if isinstance(error, ClusterUnauthorized):
        error = ClusterUnauthorized(
            member.name, f"{member.name} refuses this server's credential: renew the token or certificate it was given"
        )
    member.health.note_failure(error)
    member.notify()


def _store_alone(_: ResourceName, target: Target[Any]) -> Target[Any]:
    return target
