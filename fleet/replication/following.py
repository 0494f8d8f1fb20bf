"""Fills a member's stores from its stream, and says how the member is by what its writer says of it."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn, get_args

from nats.js.api import StreamInfo
from nats.js.errors import NotFoundError

from fleet.aio.backoff import Backoff, jittered
from fleet.aio.complaints import Complaints
from fleet.aio.turns import Turns
from fleet.cache.rows import StoreKey
from fleet.members.member import Member
from fleet.members.signs import NEVER, now
from fleet.members.standing import NO_WORD
from fleet.model.kinds import ResourceName
from fleet.replication.clock import ServerClock
from fleet.replication.connection import Nats, StateUnavailable, translated
from fleet.replication.delivery import Delivery, open_delivery
from fleet.replication.marks import Mark, decode_mark
from fleet.replication.options import NatsOptions
from fleet.replication.records import RecordUnreadable, decode
from fleet.replication.room import Taken
from fleet.replication.snapshot import Snapshot
from fleet.replication.subjects import Subjects

logger = logging.getLogger(__name__)

NO_STREAM = "the shared state has no stream of it: no replica watches it yet"
LISTING = "its writer is reading it anew"
LAGGING = "this replica lags behind the shared state"
_LOOK_SECONDS = 1.0
_STEADY_SECONDS = 5.0
"""What was delivered for so long without a gap is begun again at once."""


class Following:
    """One member's. `run` it until somebody else fills its stores.

    `applied` is the sequence of the last message taken in; the stores hold all up to it, and nothing else, where it is
    `committed`. Of what was taken in, `messages` and `bytes` are counted, `snapshots` are how often the stream was read
    from its beginning, and `lag_seconds` is what the newest watermark took from its server to here. `on_usage` is
    called (quick, never raising) with the cluster, the subject and the body of what its writer measured.
    """

    def __init__(
        self, nats: Nats, subjects: Subjects, options: NatsOptions, member: Member, turns: Turns | None = None
    ) -> None:
        self.applied = 0
        self.committed = False
        self.messages = 0
        self.bytes = 0
        self.snapshots = 0
        self.lag_seconds: float | None = None
        self.on_usage: Callable[[str, str, bytes], None] = _nobody_listens
        self._nats = nats
        self._subjects = subjects
        self._usage = subjects.usage(0).removesuffix("0")
        self._options = options
        self._member = member
        self._stores = member.stores
        self._turns = turns or Turns()
        self._clock = ServerClock()
        self._complaints = Complaints()
        self._problem: str | None = None
        self._stream: datetime | None = None
        self._whole_at = 0
        self._delivery: Delivery | None = None
        self._taken = Taken(nats.room, 0)
        self._stamp = 0.0
        self._snapshot: Snapshot | None = None
        self._complete: tuple[Mark, float] | None = None
        self._heard_at = NEVER
        self._moved = asyncio.Event()
        self._settled = asyncio.Event()

    async def run(self) -> NoReturn:
        """Until cancelled. Whatever the shared state is like leads to another attempt."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_silence())
            await self._follow()
        raise AssertionError("it follows for ever")

    async def wait_applied(self, sequence: int) -> None:
        """Waits until all up to a message of the stream was taken in."""
        while self.applied < sequence:
            self._moved.clear()
            await self._moved.wait()

    async def wait_settled(self) -> None:
        """Waits until the stores hold what the stream does, or the stream holds nothing whole: who claims it may."""
        await self._settled.wait()

    async def _follow(self) -> NoReturn:
        backoff = Backoff(last=1.5)
        while True:
            await self._nats.wait_connected()
            begun = now()
            try:
                self._taken = await self._nats.room.take(await self._measure_behind())
                await self._follow_once()
            except StateUnavailable as error:
                self._note_problem(str(error))
            finally:
                self._taken.end()
            if now() - begun > _STEADY_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.next_delay())

    async def _follow_once(self) -> None:
        """From where it was left if that can be, else from the beginning; until something is missing of it."""
        stream = await self._find_stream()
        if stream is None:
            self._settled.set()
            self._say(NO_STREAM)
            return
        goes_on = stream.created == self._stream and 0 < self.applied <= stream.state.last_seq
        if not goes_on:
            self._settled.clear()
            self._stream, self._whole_at, self.applied = stream.created, stream.state.last_seq, 0
            self._snapshot, self._complete, self.committed = Snapshot(self._stores), None, False
            self.snapshots += 1
        start = self.applied + 1 if goes_on else None
        try:
            async with open_delivery(self._nats, self._subjects, start, self._take, self._turns) as delivery:
                self._clock.note(delivery.created, now(), prompt=self._nats.is_prompt)
                if goes_on and self._may_miss_tombstones(delivery.created - self._stamp):
                    self._stream = None
                    return
                self._delivery = delivery
                await delivery.run()
        finally:
            self._delivery = None

    async def _measure_behind(self) -> int:
        """About how many bytes are to come."""
        stream = await self._find_stream()
        if stream is None:
            return 0
        state = stream.state
        return state.bytes * max(0, min(state.messages, state.last_seq - self.applied)) // max(state.messages, 1)

    async def _find_stream(self) -> StreamInfo | None:
        with translated(f"stream {self._subjects.stream}"):
            try:
                return await self._nats.js.stream_info(self._subjects.stream)
            except NotFoundError:
                return None

    def _may_miss_tombstones(self, seconds: float) -> bool:
        """Whether some that are so old may be gone: then only all that there is tells what else is gone."""
        return seconds > self._options.marker_seconds / 2

    def _take(self, subject: str, body: bytes, sequence: int, stamp: float) -> None:
        if sequence <= self.applied:
            return
        self._stamp = stamp
        self.messages += 1
        self.bytes += len(body)
        named = self._subjects.parse(subject)
        if named is not None:
            self._take_object(*named, body)
        elif subject == self._subjects.mark:
            self._take_mark(body, stamp)
        elif subject.startswith(self._usage):
            self.on_usage(self._member.name, subject, body)
        self.applied = sequence
        if self._delivery is not None and self._delivery.coming == 0:
            self._taken.end()
        if self._snapshot is not None and self._is_whole:
            self._settled.set()
            if self._complete is not None:
                self._commit(self._snapshot, *self._complete)
        self._moved.set()

    @property
    def _is_whole(self) -> bool:
        """Whether all was taken in that the stream held when it was asked for, or the server has nothing more."""
        return self.applied >= self._whole_at or (self._delivery is not None and self._delivery.coming == 0)

    def _take_object(self, kind: ResourceName, key: StoreKey, body: bytes) -> None:
        if kind == "events" and not self._stores.events.most:
            return
        record = self._decode(kind, key, body) if body else None
        if (snapshot := self._snapshot) is not None:
            if record is None:
                snapshot.drop(kind, key)
            else:
                snapshot.put(kind, key, record)
            return
        store: Any = self._stores.marked_workloads if kind == "workloads" else self._stores.named(kind)
        if record is None:
            store.drop(key)
        elif kind == "events":
            store.put(record)
        else:
            known = store.records.get(key)
            if known is None or known.resource_version != record.resource_version or known.uid != record.uid:
                store.put(record)

    def _decode(self, kind: ResourceName, key: StoreKey, body: bytes) -> Any:
        """The record; None, as of one that is not there, where it can't be read or is another object's."""
        try:
            record = decode(kind, body, self._member.name)
        except RecordUnreadable as error:
            problem = str(error)
        else:
            if key == self._key_of(kind, record):
                return record
            problem = "a record of another object than its subject names"
        if self._complaints.is_due(kind, problem):
            logger.warning("%s: %s are left out that the shared state holds: %s", self._member.name, kind, problem)
        return None

    def _key_of(self, kind: ResourceName, record: Any) -> StoreKey:
        return (record.namespace, record.name) if kind == "events" else self._stores.named(kind).key_of(record)

    def _take_mark(self, body: bytes, stamp: float) -> None:
        delivery = self._delivery
        prompt = self._nats.is_prompt and delivery is not None and delivery.behind == 0
        self._clock.note(stamp, now(), prompt=prompt)
        self.lag_seconds = max(0.0, now() - self._clock.local(stamp))
        if delivery is not None and self._snapshot is None and self._may_miss_tombstones(self.lag_seconds):
            self._stream = None
            delivery.broken.set()
        try:
            mark = decode_mark(body)
        except RecordUnreadable as error:
            self._note_problem(str(error))
            return
        self._complete = (mark, stamp) if mark.complete else None
        if not mark.complete:
            self._say(LISTING)
        elif self._snapshot is None:
            self._report(mark, stamp)

    def _commit(self, snapshot: Snapshot, mark: Mark, stamp: float) -> None:
        snapshot.commit(_listed(mark))
        self._snapshot, self.committed = None, True
        self._report(mark, stamp)

    def _report(self, mark: Mark, stamp: float) -> None:
        member, self._problem = self._member, None
        self._complaints.settle(None)
        for kind in _listed(mark):
            if kind != "workloads" and not member.has_listed(kind):
                self._stores.named(kind).stage().commit()  # there are none, which is known by now
        at = min(self._clock.local(stamp), now())
        self._heard_at = max(at, self._heard_at)
        member.report(mark.standing, at, NEVER if mark.age is None else at - mark.age)

    async def _watch_silence(self) -> NoReturn:
        """Says why nothing more is heard, as soon as nothing is."""
        was_silent = False
        while True:
            self._member.health.expect_reports(self._explain())
            is_silent = now() - self._heard_at > self._member.health.fresh_seconds
            if is_silent is not was_silent:
                was_silent = is_silent
                self._member.note_following()
            await asyncio.sleep(jittered(_LOOK_SECONDS))

    def _explain(self) -> str:
        """Why nothing may be heard of the member."""
        if self._nats.problem is not None:
            return self._nats.problem
        if self._problem is not None:
            return self._problem
        is_behind = self._delivery is not None and (self._delivery.behind > 0 or not self._nats.is_prompt)
        return LAGGING if is_behind else NO_WORD

    def _note_problem(self, problem: str) -> None:
        if self._nats.is_connected and self._complaints.is_due(None, problem):
            logger.warning("%s can't be followed: %s", self._member.name, problem)
        self._say(problem)

    def _say(self, problem: str) -> None:
        self._problem = problem
        self._member.health.expect_reports(self._explain())


def _listed(mark: Mark) -> list[ResourceName]:
    kinds = mark.standing.kinds  # with some that only newer versions know
    return [kind for kind in get_args(ResourceName) if kind in kinds and kinds[kind].listed]


def _nobody_listens(cluster: str, subject: str, body: bytes) -> None:
    """What usage is told to until somebody wants it."""
