"""Which members this replica writes: leases in a bucket that forgets what is not renewed.

Each replica keeps a key of its own, by which the others know that it lives, and one of each member that it holds. A
member that nobody holds is taken by the replica that rendezvous hashing prefers, and by the next ones where that one
does not. No clock is compared with another: the server forgets, and refuses whoever expected something else.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from math import inf

from fleet.aio.backoff import Backoff
from fleet.aio.complaints import Complaints
from fleet.aio.tasks import open_task
from fleet.model.told import detail_of
from fleet.replication import records
from fleet.replication.bucket import Bucket, Refused
from fleet.replication.connection import Nats, StateUnavailable, translated
from fleet.replication.heard import Heard
from fleet.replication.lease import Lease
from fleet.replication.options import NatsOptions
from fleet.replication.rendezvous import rank
from fleet.replication.subjects import token

RANK_SECONDS = 2.0
"""How much longer than the one before each replica leaves a free member to those that are preferred to it."""

MOVES_A_SECOND = 3.0
"""Members that a replica gives to one that came: each of them is listed anew."""

KEPT_SECONDS = 60.0
"""For which a member that was given away and came back stays: whoever should have it could not."""

_TICK_SECONDS = 0.25
_SETTLE_SECONDS = 1.0  # in which replicas that start together hear of each other

logger = logging.getLogger(__name__)


class Leases:
    """Made by `open_leases`, which keeps them. Of all replicas, and of the members that this one may write."""

    def __init__(self, nats: Nats, options: NatsOptions) -> None:
        self.replica = options.replica
        self.form = records.NEWEST
        """Of messages: the newest that all who live can read, or the older of the two that can be written here."""
        self._nats = nats
        self._bucket = Bucket(nats, options)
        self._presence = f"replica.{token(options.replica)}"
        self._heard = Heard(self._presence)
        self._leases: dict[str, Lease] = {}
        self._ranks: dict[str, list[str]] = {}
        self._living: frozenset[str] = frozenset()
        self._present_at = self._next_move = -inf
        self._complaints = Complaints()
        self._turned = False  # the connection came or went

    @contextlib.asynccontextmanager
    async def open_lease(self, member: str) -> AsyncIterator[Lease]:
        """Tries for the member's lease until the `with` is left, when it is given back."""
        lease = self._leases[f"member.{token(member)}"] = Lease(member)
        try:
            yield lease
        finally:
            if self._leases[lease.key] is lease:  # else another of its name, at another place, is there by now
                del self._leases[lease.key]
            await self.give_back(lease)

    async def give_back(self, lease: Lease, *, wait: float = 0.0) -> None:
        """Writes the member no more. It is not tried for again for `wait` seconds."""
        async with lease.lock:
            revision = lease.revision
            lease.reset()
            lease.not_before, lease.kept_until = _now() + wait, _now() + KEPT_SECONDS
            if revision is not None:
                logger.debug("the lease of %s is given back", lease.member)
                await self._bucket.remove(lease.key, revision)

    def holders(self) -> Mapping[str, str]:
        """Which replica writes each member that is written, as far as is known here."""
        return {lease.member: held for lease in self._leases.values() if (held := self._holder(lease.key))}

    def list_living(self) -> frozenset[str]:
        """The replicas that live, with this one."""
        return frozenset((self.replica, *self._heard.list_living(self._bucket.seconds)))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep("renewed", self._renew_due))
            await self._keep("taken", self._take_free)

    async def _keep(self, done: str, work: Callable[[], Awaitable[None]]) -> None:
        """Endless work, which ends by itself where it has to begin anew."""
        backoff = Backoff(first=0.2, last=1.0)
        while True:
            await self._nats.wait_connected()
            try:
                await work()
                backoff.reset()
                self._complaints.settle(done)
            except (StateUnavailable, TimeoutError) as error:
                if self._is_refused():
                    self._nats.follow_only()
                    await asyncio.Event().wait()
                if self._nats.is_connected and self._complaints.is_due(done, type(error).__name__):
                    logger.warning("leases can't be %s: %s", done, detail_of(error))
            await asyncio.sleep(backoff.next_delay())

    def _is_refused(self) -> bool:
        """Whether this account may not write: then this replica follows, until it is started anew."""
        refused = self._nats.refused
        if refused is None or self._bucket.name not in refused:
            return False
        if self._complaints.is_due("refused", None):
            logger.warning("this replica only follows, since its account may not keep leases: %s", refused)
        return True

    async def leave(self) -> None:
        """Others need not wait until the bucket forgets this replica."""
        if self._nats.is_connected:
            await self._bucket.remove(self._presence)

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        """Hears what is in the bucket, and whatever changes; all that was there has been heard by then."""
        self._turned = False
        await self._bucket.open()
        subscription = await self._bucket.subscribe(self._heard.note)
        try:
            first = await self._present()
            async with asyncio.timeout(self._bucket.seconds):
                while self._heard.own().revision < first:
                    await self._wait_heard()
            again = self._heard.revision > 0
            self._heard.revision = first
            self._heard.settled_at = _now() + (self._bucket.seconds if again else _SETTLE_SECONDS)
            yield
        finally:
            with contextlib.suppress(StateUnavailable), translated("the end of a subscription"):
                await subscription.unsubscribe()

    async def _renew_due(self) -> None:
        while self._heard.revision:  # else there may be no bucket yet
            now, beat = _now(), self._bucket.seconds / 3
            work: list[Awaitable[object]] = [
                self._renew(lease)
                for lease in self._leases.values()
                if lease.is_held and now - lease.renewed_at >= beat
            ]
            if now - self._present_at >= beat:
                work.append(self._present())
            await _gather(work)
            await asyncio.sleep(_TICK_SECONDS)

    async def _take_free(self) -> None:
        """Takes and moves; until what was heard may be old."""
        async with self._listening():
            while True:
                began = _now()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_TICK_SECONDS):
                        await self._wait_heard()
                now, seconds = _now(), self._bucket.seconds
                if self._turned or now - began > seconds / 3 or now - self._heard.own().at > seconds * 2 / 3:
                    return
                self._note_living(now)
                await _gather([self._take(lease) for lease in self._leases.values() if self._is_due(lease, now)])
                self._move(now)

    def _note_living(self, now: float) -> None:
        read = self._heard.list_living(self._bucket.seconds)
        form = max(records.NEWEST - 1, min((records.NEWEST, *read.values())))
        if form < self.form or now >= self._heard.settled_at:
            self.form = form
        if (living := self.list_living()) != self._living:
            self._living = living
            self._ranks.clear()

    def _is_due(self, lease: Lease, now: float) -> bool:
        """Whether it is this replica's turn to take what nobody holds."""
        if lease.is_held or now < lease.not_before or self._holder(lease.key):
            return False
        free_at = self._heard.free_at(lease.key, self._bucket.seconds)
        return now >= free_at and now >= free_at + RANK_SECONDS * self._rank(lease.member).index(self.replica)

    def _rank(self, member: str) -> list[str]:
        if (ranked := self._ranks.get(member)) is None:
            ranked = self._ranks[member] = rank(member, self._living)
        return ranked

    def _move(self, now: float) -> None:
        for lease in self._leases.values():
            if now < self._next_move:
                return
            if (
                lease.is_held
                and not lease.ends.is_set()
                and now >= lease.kept_until
                and self._rank(lease.member)[0] != self.replica
            ):
                self._next_move = now + 1 / MOVES_A_SECOND
                lease.ends.set()

    async def _take(self, lease: Lease) -> None:
        async with lease.lock:
            at, marker = _now(), self._heard.find_marker(lease.key)
            if lease.is_held or self._leases.get(lease.key) is not lease:
                return
            try:
                # What the server has forgotten counts as never written; what was given back has a marker.
                lease.take(await self._bucket.put(lease.key, self.replica.encode(), marker), at)
                logger.debug("the lease of %s is taken", lease.member)
            except Refused:
                lease.not_before = at + 2 * _TICK_SECONDS
                if marker:
                    self._heard.entries.pop(lease.key, None)  # it was forgotten as well

    async def _renew(self, lease: Lease) -> None:
        async with lease.lock:
            if (last := lease.revision) is None:
                return
            at = _now()
            revision: int | None
            try:
                revision = await self._bucket.put(lease.key, self.replica.encode(), last)
            except Refused:
                revision = await self._regain(lease)
            if revision is None:
                logger.info("the lease of %s is another replica's by now", lease.member)
                lease.lose()
            else:
                lease.take(revision, at)

    async def _regain(self, lease: Lease) -> int | None:
        """The lease that was renewed too late, where nobody else has it."""
        value, last = await self._bucket.get(lease.key)
        if value not in (b"", self.replica.encode()):
            return None
        try:
            return await self._bucket.put(lease.key, self.replica.encode(), last)
        except Refused:
            return None

    async def _present(self) -> int:
        self._present_at = _now()
        return await self._bucket.put(self._presence, f"{records.NEWEST} {self.replica}".encode())

    def note_turn(self) -> None:
        self._turned = True
        self._heard.changed.set()

    def _holder(self, key: str) -> str | None:
        return self._heard.find_holder(key, self._bucket.seconds)

    async def _wait_heard(self) -> None:
        await self._heard.changed.wait()
        self._heard.changed.clear()


@contextlib.asynccontextmanager
async def open_leases(nats: Nats, options: NatsOptions) -> AsyncIterator[Leases]:
    """Takes part until the `with` is left; what is held has to be given back by then."""
    leases = Leases(nats, options)
    unlisten = nats.listen(leases.note_turn)
    async with open_task("leases", leases.run):
        yield leases
    unlisten()
    await leases.leave()


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _gather(work: Iterable[Awaitable[object]]) -> None:
    """All at once. Raises the first problem, when all have ended."""
    for ended in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended
