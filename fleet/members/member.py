"""One member: its cached objects, and what is known of its health. Who keeps them so is its filler."""

import asyncio
from collections.abc import Callable
from typing import NoReturn, Protocol

import msgspec

from fleet.aio.counts import Follows
from fleet.aio.recorder import awaiting_probe
from fleet.cache.reflector import ReflectorOptions
from fleet.cache.stores import Stores
from fleet.cache.workloads import WorkloadStore
from fleet.members.breaker import Breaker
from fleet.members.health import MemberHealth
from fleet.members.signs import because, now
from fleet.members.standing import Standing
from fleet.model.errors import ClusterUnreachable
from fleet.model.kinds import ResourceName
from fleet.model.objects import Cluster, Outcome, OutcomeState
from fleet.model.told import tell
from fleet.ports import Connection, MemberSpec

_ASKED_FIRST: tuple[ResourceName, ...] = ("pods", "nodes", "namespaces")
_KINDS: tuple[ResourceName, ...] = (*_ASKED_FIRST, "workloads", "events")


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


class Filler(Protocol):
    """Keeps the stores of members equal to the members, and says how these are."""

    async def run(self, member: "Member") -> NoReturn:
        """Does so for one member until cancelled; what it opened for it is closed by then."""


class Member:
    """One cluster of the federation, as long as it is at the same place. `run` keeps it going.

    `connection` leads to its API server where there is one, `nudge` is set by a question that waits for a sign of life.

    `on_change` is called (quick, never raising) whenever `describe` may say something else.
    """

    def __init__(self, spec: MemberSpec, filler: Filler, options: FleetOptions) -> None:
        self.name = spec.name
        self.health = MemberHealth(spec, Breaker(options.breaker_failures), options.fresh_seconds)
        self.stores = Stores(options.events_kept)
        self.pods = self.stores.pods
        self.nodes = self.stores.nodes
        self.namespaces = self.stores.namespaces
        self.connection: Connection | None = None
        self.version: str | None = None
        self.on_change: Callable[[], None] = _nobody_listens
        self.nudge = asyncio.Event()
        self.follows = Follows()
        self.is_closed = False
        self._filler = filler
        self._options = options
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
                self.name, tell("{} is not connected yet{}", self.name, because(self.health.signs.failure))
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
        return all(self.has_listed(kind) or self.health.is_known(kind, asked) for kind in _ASKED_FIRST)

    def note_closed(self) -> None:
        """It is of the federation no more: no failure of its own, and who waits for it is notified."""
        self.is_closed = True
        self.health.note_end(ClusterUnreachable(self.name, f"{self.name} was closed"))
        self.notify()

    async def run(self) -> NoReturn:
        """Keeps its stores filled until cancelled."""
        await self._filler.run(self)

    def standing(self) -> Standing:
        """How it stands, for others."""
        return self.health.standing(self.version, frozenset(filter(self.has_listed, _KINDS)))

    def report(self, standing: Standing, at: float, last_seen: float) -> None:
        """Takes in what its writer said of it at a time, and when it last gave a sign of life."""
        self.version = standing.version
        if self.health.report(standing, at, last_seen):
            self.notify()

    def keep_standing(self) -> None:
        """What this process found itself answers on until something is reported: called before it stops watching."""
        if not self.health.is_reported:
            self.report(self.standing(), now(), self.health.last_seen)

    async def wait_changed(self) -> None:
        """Waits until something about it changes that `describe` or a verdict may tell."""
        await self._changed.wait()

    def note_following(self) -> None:
        """A kind is followed, or is not any more."""
        self.health.note_change()
        self.notify()

    async def _wait_for_verdict(self, resource: ResourceName, asked: float) -> Outcome:
        while (outcome := self.health.verdict(resource, asked)) is None:
            if (age := self.health.age_seconds) is None or age > self._options.fresh_seconds:
                self.nudge.set()
            await self.wait_changed()
        return outcome

    def notify(self) -> None:
        """Something about it may be otherwise: who waits for that looks again."""
        self._changed.set()
        self._changed = asyncio.Event()
        self.on_change()


def _nobody_listens() -> None:
    """What a member's `on_change` is until the feed listens."""
