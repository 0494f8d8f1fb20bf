"""One member: its connection, its cached objects, and what is known of its health.

A heartbeat asks `/readyz`; the watches run only while it is answered, so a member that hangs or is gone is asked by
nothing else, and every watch is made anew (from the version it had) as soon as it answers again.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, Literal, NoReturn

import msgspec

from fleet.backoff import Backoff
from fleet.breaker import Breaker
from fleet.cache.reflector import Reflector, ReflectorOptions
from fleet.cache.store import Store, Stores
from fleet.errors import (
    ClusterError,
    ClusterForbidden,
    ClusterUnauthorized,
    ClusterUnreachable,
)
from fleet.health import state_of, unready_message
from fleet.kubernetes.decode import NAMESPACES, NODES, PODS
from fleet.models import Cluster, ClusterHealth, Outcome, OutcomeState
from fleet.ports import Answer, Connection, MemberSource, MemberSpec
from fleet.recorder import awaiting_probe

logger = logging.getLogger(__name__)

Kind = Literal["pods", "nodes", "namespaces"]
KINDS: tuple[Kind, ...] = ("pods", "nodes", "namespaces")
_QUIET_BEATS = 5  # a member whose watches keep proving it alive is still asked for its readiness this seldom


class FleetOptions(msgspec.Struct, frozen=True):
    """Times in seconds, for all members.

    `member_timeout` bounds what a question waits for a member. One that proved itself (event, bookmark, answer) less
    than `fresh_seconds` ago is answered for from memory at once. `breaker_failures` in a row cut it off.
    """

    member_timeout: float = 5.0
    heartbeat_seconds: float = 1.0
    fresh_seconds: float = 1.25
    breaker_failures: int = 3
    reflector: ReflectorOptions = ReflectorOptions()


class Member:
    """One cluster of the federation, as long as its credential stays the same. `run` keeps it going.

    `stores` are those of the same cluster under its last credential: what they hold is the last known state.
    `on_change` is called (quick, never raising) whenever `describe` may say something else.
    """

    def __init__(
        self, spec: MemberSpec, source: MemberSource, options: FleetOptions, stores: Stores | None = None
    ) -> None:
        self.name = spec.name
        self.spec = spec
        self.stores = stores or Stores()
        self.pods = self.stores.pods
        self.nodes = self.stores.nodes
        self.namespaces = self.stores.namespaces
        self.connection: Connection | None = None
        self.version: str | None = None
        self.breaker = Breaker(options.breaker_failures)
        self.on_change: Callable[[], None] = _nobody_listens
        self._source = source
        self._options = options
        self._reflectors: dict[Kind, Reflector[Any]] = {}
        self._failure: ClusterError | None = None
        self._failed_at = 0.0
        self._unready: str | None = None
        self._proved_at: float | None = None
        self._asked_at = 0.0
        self._nudge = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def age_seconds(self) -> float | None:
        """Seconds since it last proved itself; None where it never did."""
        return None if self._proved_at is None else max(0.0, _now() - self._proved_at)

    def describe(self) -> Cluster:
        """A snapshot of what is known."""
        health, message = self._health()
        return Cluster(
            name=self.name,
            role=self.spec.role,
            health=health,
            message=message,
            version=self.version,
            info=self.spec.info,
            age_seconds=self.age_seconds,
        )

    def has_listed(self, kind: Kind) -> bool:
        """Whether there is a last known state of the kind, fresh or not."""
        return self._store(kind).generation > 0

    def check_reachable(self) -> Connection:
        """The connection, for a call that is not answered from memory.

        Raises ClusterUnreachable where it can't be had or the member is known not to answer.
        """
        if (reason := self._cut_off()) is not None:
            raise ClusterUnreachable(self.name, reason)
        if self.connection is None:
            raise ClusterUnreachable(self.name, f"{self.name} is not connected yet{_because(self._failure)}")
        return self.connection

    async def ensure_fresh(self, kind: Kind | None) -> Outcome:
        """Says how the member stands, waiting for a sign of life (and for `kind` to be followed) where there is none.

        All callers share one probe. Waits at most the member timeout, and not at all where the breaker is open.
        """
        asked = _now()
        outcome = self.verdict(kind, asked)
        if outcome is not None:
            return outcome
        try:
            with awaiting_probe(self.name):
                async with asyncio.timeout(self._options.member_timeout):
                    outcome = await self._wait_for_verdict(kind, asked)
        except TimeoutError:
            seconds = self._options.member_timeout
            outcome = self._outcome(OutcomeState.TIMEOUT, f"{self.name} gave no sign of life within {seconds:g} s")
        return msgspec.structs.replace(outcome, took_ms=(_now() - asked) * 1000)

    async def wait_settled(self) -> None:
        """Waits until each kind is listed, or is known not to be to be had."""
        asked = _now()
        for kind in KINDS:
            await self._wait_for_verdict(kind, asked)

    def verdict(self, kind: Kind | None, asked: float, now: float | None = None) -> Outcome | None:
        """How the member stands for a question asked at a time of the loop's clock; None while that is not known.

        Who has just read the clock for many members gives that as `now`.
        """
        if (reason := self._cut_off()) is not None:
            return self._outcome(OutcomeState.UNREACHABLE, reason)
        failure = self._failure
        if failure is not None and (self._failed_at >= asked or isinstance(failure, ClusterUnauthorized)):
            return self._outcome(state_of(failure), str(failure))
        proved = self._proved_at
        age = None if proved is None else max(0.0, (_now() if now is None else now) - proved)
        if age is None or age > self._options.fresh_seconds:
            return None
        if kind is not None and not (reflector := self._reflectors[kind]).live:
            problem = reflector.problem
            lasting = isinstance(problem, ClusterForbidden | ClusterUnauthorized)
            if problem is None or not (lasting or reflector.failures >= self._options.breaker_failures):
                return None
            return self._outcome(state_of(problem), str(problem))
        return Outcome(self.name, OutcomeState.OK, self._unready, age, 0.0)

    async def run(self) -> NoReturn:
        """Connects and follows the member until cancelled; its connection is closed by then."""
        if self.spec.credential is None:
            await asyncio.Event().wait()  # there is nothing to ask until the source says something else
        connection = await self._connect()
        try:
            self.connection = connection
            self._reflectors = self._build_reflectors(connection)
            while True:
                await self._wait_until_up(connection)
                await self._follow_while_up(connection)
        finally:
            self.connection = None
            # Not a failure of the member's: whoever still waits for it is told, and the log is left alone.
            self._failure, self._failed_at = ClusterUnreachable(self.name, f"{self.name} was closed"), _now()
            self._tell_change()
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

    async def _follow_while_up(self, connection: Connection) -> None:
        async with asyncio.TaskGroup() as group:
            work = [*(reflector.run() for reflector in self._reflectors.values()), self._read_version(connection)]
            tasks = [group.create_task(each) for each in work]
            await self._wait_for_turn()
            while await self._beat(connection):
                await self._wait_for_turn()
            for task in tasks:
                task.cancel()

    async def _wait_for_turn(self) -> None:
        """Waits until a heartbeat is due: sooner if a question wants one, later while the watches prove enough."""
        every = self._options.heartbeat_seconds
        delay = every * random.uniform(0.8, 1.0)  # noqa: S311 - spreads load, protects nothing
        if isinstance(self._failure, ClusterUnauthorized):
            delay = every * _QUIET_BEATS
        elif self._failure is not None and not self.breaker.refuses:
            delay = every / 4  # in doubt: find out soon whether the member is gone
        while True:
            last_sign = max(self._asked_at, self._proved_at or 0.0)
            due = min(last_sign + delay, self._asked_at + every * _QUIET_BEATS)
            if due <= _now():
                return
            try:
                async with asyncio.timeout_at(due):
                    await self._nudge.wait()
                    return
            except TimeoutError:
                continue

    async def _beat(self, connection: Connection) -> bool:
        """One heartbeat. False where the watches can't be relied on any more."""
        self.breaker.record_probe()
        try:
            answer = await connection.request("GET", "/readyz", timeout=self._options.member_timeout)
            if answer.status == 401:
                raise ClusterUnauthorized(self.name, f"{self.name} answered 401")
        except ClusterError as error:
            self._note_failure(error)
            return False
        finally:
            self._asked_at = _now()
            self._nudge.clear()
        self._note_answer(answer)
        return True

    def _note_answer(self, answer: Answer) -> None:
        if self._failure is not None:
            logger.info("%s answers again", self.name)
        self.breaker.record_success()
        self._failure = None
        # 403 and 404 come from members that hide their readiness: they do answer.
        self._unready = unready_message(answer) if answer.status >= 500 else None
        self._note_proof()
        self._tell_change()

    def _note_failure(self, error: ClusterError) -> None:
        if self._failure is None:
            logger.warning("%s is ill: %s", self.name, error)
        if isinstance(error, ClusterUnauthorized):
            error = ClusterUnauthorized(
                self.name, f"{self.name} refuses this server's credential: renew the token or certificate it was given"
            )
            self.breaker.record_success()
        else:
            self.breaker.record_failure()
        self._failure, self._failed_at = error, _now()
        self._tell_change()

    def _note_proof(self) -> None:
        waited = self._proved_at is None or _now() - self._proved_at > self._options.fresh_seconds
        self._proved_at = _now()
        if waited:
            self._tell_change()

    async def _read_version(self, connection: Connection) -> None:
        backoff = Backoff(first=1.0, last=60.0)
        while True:
            try:
                answer = await connection.request("GET", "/version", timeout=self._options.member_timeout)
                if answer.status == 200:
                    self.version = msgspec.json.decode(answer.body, type=_Version).gitVersion
                    self._tell_change()
                    return
            except (ClusterError, ValueError) as error:
                logger.debug("the version of %s can't be read: %s", self.name, error)
            await asyncio.sleep(backoff.next_delay())

    def _build_reflectors(self, connection: Connection) -> dict[Kind, Reflector[Any]]:
        rest: dict[str, Any] = {
            "on_proof": self._note_proof,
            "on_change": self._tell_change,
            "options": self._options.reflector,
        }
        return {
            "pods": Reflector(connection, PODS, self.pods, **rest),
            "nodes": Reflector(connection, NODES, self.nodes, **rest),
            "namespaces": Reflector(connection, NAMESPACES, self.namespaces, **rest),
        }

    async def _wait_for_verdict(self, kind: Kind | None, asked: float) -> Outcome:
        while (outcome := self.verdict(kind, asked)) is None:
            if (age := self.age_seconds) is None or age > self._options.fresh_seconds:
                self._nudge.set()
            await self._changed.wait()
        return outcome

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        self.on_change()

    def _cut_off(self) -> str | None:
        """Why the member is not to be asked, None where it may be."""
        if self.spec.credential is None:
            return self.spec.problem or f"{self.name} can't be reached: its source gives no credential"
        if self.spec.offline is not None:
            return f"the platform reports {self.name} as offline: {self.spec.offline}"
        if self.breaker.refuses:
            return f"{self.name} is cut off after {self.breaker.failures} failed attempts{_because(self._failure)}"
        return None

    def _health(self) -> tuple[ClusterHealth, str | None]:
        if (reason := self._cut_off()) is not None:
            return ClusterHealth.OFFLINE, reason
        if self._failure is not None:
            unauthorized = isinstance(self._failure, ClusterUnauthorized)
            return ClusterHealth.NOT_READY if unauthorized else ClusterHealth.OFFLINE, str(self._failure)
        if self._unready is not None:
            return ClusterHealth.NOT_READY, self._unready
        if self._proved_at is None:
            return ClusterHealth.UNKNOWN, f"{self.name} has not answered yet"
        problems = [str(reflector.problem) for reflector in self._reflectors.values() if reflector.problem is not None]
        return ClusterHealth.READY, problems[0] if problems else None

    def _outcome(self, state: OutcomeState, message: str | None) -> Outcome:
        return Outcome(self.name, state, message, self.age_seconds, 0.0)

    def _store(self, kind: Kind) -> Store[Any]:
        return self.pods if kind == "pods" else self.nodes if kind == "nodes" else self.namespaces


class _Version(msgspec.Struct):
    gitVersion: str  # noqa: N815 - the API's own name


def _nobody_listens() -> None:
    """What a member's `on_change` is until the feed listens."""


def _because(failure: ClusterError | None) -> str:
    return "" if failure is None else f": {failure}"


def _now() -> float:
    return asyncio.get_running_loop().time()
