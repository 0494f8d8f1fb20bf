"""What a member's writer publishes: each change of its stores, and marks that say how it stands."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from fleet.aio.backoff import Backoff
from fleet.aio.complaints import Complaints
from fleet.aio.tasks import open_task
from fleet.aio.turns import Pace, Turns
from fleet.cache.filling import Listed, Target
from fleet.members.member import Member
from fleet.members.signs import NEVER, age_between, now
from fleet.members.standing import Standing
from fleet.model.kinds import ResourceName
from fleet.model.told import detail_of
from fleet.replication import records
from fleet.replication.changes import Changes
from fleet.replication.connection import Fenced, Nats, StateUnavailable, translated
from fleet.replication.marks import Mark, encode_mark
from fleet.replication.options import NatsOptions
from fleet.replication.outbox import TOMBSTONE, Content, Outbox
from fleet.replication.pipeline import WINDOW, WRONG_SEQUENCE, Flight, Pipeline
from fleet.replication.records import MOST_BODY, RecordUnreadable, encode
from fleet.replication.stream import Stream, StreamState
from fleet.replication.subjects import Subjects, Unpublishable
from fleet.replication.sweeper import Sweeper

logger = logging.getLogger(__name__)

_LINGER_SECONDS = 0.01  # changes that come together are sent together
_MARK_SECONDS, _NEWS_SECONDS = 1.0, 0.45
_LOOK_SECONDS = 5.0
_ORDINARY_SECONDS = 5.0  # what fails later than that is tried again at once
_HEADER_BYTES = 1_000  # what a message takes besides its body, at most
_ASKED_FIRST: tuple[ResourceName, ...] = ("pods", "nodes", "namespaces")


class Publisher:
    """`run` it while the member's stores are filled by watching it, after `claim`.

    `ask_form` says in which form messages are to be: with another one all is published again. Counts are since it was
    made; `lists` are those that were asked of the member. `problem` is why nothing can be
    published, None where it can.
    """

    def __init__(
        self,
        nats: Nats,
        subjects: Subjects,
        options: NatsOptions,
        member: Member,
        turns: Turns | None = None,
        ask_form: Callable[[], int] = lambda: records.NEWEST,
    ) -> None:
        self.published = self.published_bytes = self.lists = 0
        self.problem: str | None = None
        self._ask_form, self._form = ask_form, ask_form()
        self._nats = nats
        self._subjects = subjects
        self._options = options
        self._member = member
        self._turns = turns or Turns()
        self._wake, self._settled = asyncio.Event(), asyncio.Event()
        self._outbox = Outbox(self._wake.set)
        self._stream = Stream(nats, subjects, options)
        self._sweeper = Sweeper(self._stream, subjects, member, self._outbox, options.marker_seconds, self._turns)
        self._changes = Changes(subjects, member, self._outbox, self._sweeper.note_dropped)
        self._pipeline: Pipeline[Content] = Pipeline(nats, self._note_landed, self._wake.set)
        self._is_claimed = self._wants_all = False
        self._lost = WINDOW
        """How many messages may be on their way that know nothing of the next claim."""
        self._marked_at, self._marked = NEVER, (NEVER, Standing())
        self._looked_at = now()
        self._complaints = Complaints()

    @property
    def pending(self) -> int:
        return len(self._outbox) + len(self._pipeline)

    @property
    def last_sequence(self) -> int:
        return self._pipeline.sequence

    @property
    def refused(self) -> int:
        return self._pipeline.refused

    def target(self, _: ResourceName, target: Target[Any]) -> Target[Any]:
        """The same, with its lists counted."""
        return _Counted(self, target)

    def note_all(self) -> None:
        """The stream holds something else than the stores: all of these is published again."""
        self._wants_all = True
        self._wake.set()

    def publish_usage(self, bodies: Iterable[bytes]) -> None:
        for chunk, body in enumerate(bodies):
            self._outbox.put(self._subjects.usage(chunk), body)

    async def claim(self) -> int:
        """Makes the stream this replica's: behind the sequence nobody else writes. Waits while NATS is away."""
        backoff = Backoff(first=0.05, last=2.0)
        while True:
            try:
                await self._find_form()
                await self._claim(await self._stream.open())
            except StateUnavailable as error:
                self._note(error)
                await self._nats.wait_connected()
                await asyncio.sleep(backoff.next_delay())
            else:
                return self.last_sequence

    async def run(self) -> NoReturn:
        """Publishes until cancelled. Raises Fenced where another replica has claimed the stream."""
        backoff = Backoff(first=0.05, last=2.0)
        with self._changes.noting():
            async with open_task(f"sweeper of {self._stream.name}", self._sweeper.run):
                while True:
                    began = now()
                    try:
                        if not self._is_claimed:
                            await self._reclaim()
                        self._note(None)
                        with translated(self._stream.name):
                            await self._pump()
                    except StateUnavailable as error:
                        self._note(error)
                        self._lost = max(self._lost, await self._pipeline.count_lost())
                    finally:
                        self._begin(self.last_sequence)
                    self._is_claimed = False
                    if now() - began > _ORDINARY_SECONDS:
                        backoff.reset()
                    await self._nats.wait_connected()
                    await asyncio.sleep(backoff.next_delay())

    async def drain(self, seconds: float) -> bool:
        """Waits until all is published, while it is run. Whether it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.pending:
                    self._settled.clear()
                    await self._settled.wait()
        return not self.pending

    async def _find_form(self) -> None:
        """Marks name the form of what is there, until it is replaced."""
        try:
            mark = await self._stream.find_mark()
        except RecordUnreadable:
            self._wants_all = True
        else:
            self._form = mark.form if mark is not None else self._ask_form()

    async def _claim(self, state: StreamState) -> None:
        if not state.messages:
            self._wants_all = True
        self._begin(state.last_sequence)
        body = self._build_mark(self._member.standing(), NEVER, complete=False)
        with translated(self._stream.name):
            for left in range(self._lost if state.messages else 0, -1, -1):
                await self._pipeline.send(self._subjects.mark, body, body, last=not left)
            await self._pipeline.settle()
        self._is_claimed, self._lost, self._marked_at = True, 0, NEVER
        self._sweeper.note_claim(self.last_sequence, anew=self._wants_all, empty=not state.messages)

    async def _reclaim(self) -> None:
        """After an error, when nobody knows how much was taken. Raises Fenced."""
        state = await self._stream.open()  # before its mark is read: who claims it after that changes its sequence
        try:
            mark = await self._stream.find_mark()
        except RecordUnreadable as error:
            raise Fenced(f"{self._member.name} is written by another version: {error}") from error
        if mark is not None and mark.writer != self._options.replica:
            raise Fenced(f"{self._member.name} is written by {mark.writer}")
        if state.last_sequence < self.last_sequence:  # it lost what it had taken
            self._wants_all = True
        await self._claim(state)

    async def _pump(self) -> None:
        while True:
            await self._wait()
            self._pipeline.collect()
            pace = Pace(self._turns)
            if self._wants_all or self._ask_form() != self._form:
                self._form, self._wants_all = self._ask_form(), False
                await self._changes.note_all(pace)
            # What a mark vouches for is before it: all that had changed when this was true.
            said = (self._member.health.last_seen, self._member.standing()) if self._is_news_due() else None
            left = len(self._outbox)
            while left and len(self._outbox):
                left -= 1
                subject, content = self._outbox.take()
                body = content if isinstance(content, bytes) else self._encode(*content)
                self.published_bytes += len(body)
                await self._pipeline.send(subject, content, body, last=not left)
                await pace.wait()
            if said is not None and (said != self._marked or now() - self._marked_at >= _MARK_SECONDS):
                self._marked_at, self._marked = now(), said
                seen, standing = said
                mark = self._build_mark(standing, seen, complete=self._is_whole(standing))
                await self._pipeline.send(self._subjects.mark, mark, mark, last=True)
                await self._look_after()

    async def _look_after(self) -> None:
        """Somebody else may have purged the stream, which changes no sequence."""
        if now() - self._looked_at >= _LOOK_SECONDS and not self._outbox:
            self._looked_at, objects = now(), self._changes.count()
            with contextlib.suppress(StateUnavailable):
                self._wants_all |= (await self._stream.open()).messages < objects / 2

    async def _wait(self) -> None:
        """Until something waits, a mark is due, or an answer came or should have."""
        due = self._marked_at + (_MARK_SECONDS if self._is_news_due() else _NEWS_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await self._wake.wait()
                if len(self._outbox):
                    await asyncio.sleep(_LINGER_SECONDS)
        self._wake.clear()

    def _is_news_due(self) -> bool:
        return now() - self._marked_at >= _NEWS_SECONDS

    def _is_whole(self, standing: Standing) -> bool:
        """Whether all that people ask first is there, or known not to be had; by what this replica found itself."""
        if self._member.health.is_reported:
            return False
        if standing.failure is not None or standing.cut_off is not None:
            return True
        refused = {kind for kind, each in standing.kinds.items() if each.lasting}
        return all(self._member.has_listed(kind) or kind in refused for kind in _ASKED_FIRST)

    def _build_mark(self, standing: Standing, seen: float, *, complete: bool) -> bytes:
        age = age_between(seen, now())
        return encode_mark(
            Mark(writer=self._options.replica, complete=complete, age=age, standing=standing, form=self._form)
        )

    def _encode(self, kind: ResourceName, record: Any) -> bytes:
        """What can't be published is not there for others."""
        most = min(MOST_BODY, self._nats.max_payload - _HEADER_BYTES)
        try:
            options = self._options
            return encode(kind, record, manifests=options.manifests, env=options.redact_env, most=most, form=self._form)
        except Unpublishable as error:
            if self._complaints.is_due(kind, None):
                logger.warning("%s: left out of the shared state: %s", self._member.name, error)
            return TOMBSTONE

    def _note_landed(self, flight: Flight[Content]) -> None:
        self._sweeper.note_published(flight.contents, flight.sequence)
        self.published += len(flight.contents)
        self._settled.set()

    def _begin(self, sequence: int) -> None:
        """Nobody knows what arrived of what was not answered."""
        contents = dict(self._pipeline.begin(sequence))
        contents.pop(self._subjects.mark, None)
        self._outbox.give_back(contents)

    def _note(self, error: StateUnavailable | None) -> None:
        name = self._member.name
        self.problem = None if error is None else detail_of(error)
        code = getattr(error and error.__cause__, "err_code", None)
        if error is None:
            if self._complaints.settle(name):
                logger.warning("%s is published again", name)
        elif self._nats.is_connected and code != WRONG_SEQUENCE and self._complaints.is_due(name, code):
            logger.warning("%s can't be published, and is tried again: %s", name, self.problem)


class _Counted:
    """A target whose lists are counted."""

    def __init__(self, publisher: Publisher, target: Target[Any]) -> None:
        self._publisher = publisher
        self._target = target
        self.put, self.discard, self.drop = target.put, target.discard, target.drop

    def stage(self) -> Listed[Any]:
        self._publisher.lists += 1
        return self._target.stage()
