"""What all sources have in common whose members are described by objects of a host cluster."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

from msgspec.structs import replace

from fleet.aio.backoff import Backoff
from fleet.aio.complaints import Complaints
from fleet.aio.detached import Detached
from fleet.aio.tasks import end_tasks
from fleet.kubernetes.auth.kubeconfig import Access
from fleet.kubernetes.codec.codec import Codec
from fleet.kubernetes.connection import HttpConnection
from fleet.kubernetes.sources.access import Reachable, access_fingerprint
from fleet.kubernetes.sources.follow import Follower, FollowOptions, Nameable
from fleet.kubernetes.sources.host import HostAccess, HostProblemError, load_host, load_host_access
from fleet.kubernetes.sources.naming import name_once
from fleet.kubernetes.sources.resolving import Resolver
from fleet.kubernetes.sources.snapshots import Snapshots
from fleet.model.errors import ClusterUnreachable
from fleet.model.told import MISCONFIGURED, Told, tell
from fleet.ports import Connection, MemberSpec

logger = logging.getLogger(__name__)

N = TypeVar("N", bound=Nameable)

_POLL_SECONDS = 2.0
# Changes come in bursts: a join writes three objects.
_COALESCE_SECONDS = 0.1


class Described(NamedTuple):
    """What an object says of one cluster: `spec` is without credential and problem.

    `way` leads to it, or says what is wrong; None is the host itself. `owner` is kind and key of the object, of which
    there is one (`Secret ns/name`), and begins messages.
    """

    spec: MemberSpec
    way: Access | str | None
    owner: str


class HostSource(ABC):
    """A `MemberSource` that follows collections of a host. `name` is the host's in messages.

    A change is in the next snapshot within a fraction of a second, and leaves the other members' specs equal. While the
    host can't be reached the last picture stands. `timeout` bounds each call to the host and each plugin, in seconds.
    """

    one_a_server: ClassVar[bool] = False
    """Whether objects that lead to one server are one cluster, and two of one name are told apart: `name_once`."""

    def __init__(self, host: HostAccess, name: str, timeout: float) -> None:
        self._host_access = host
        self._host_name = name
        self._timeout = timeout
        self._complaints = Complaints()
        self._reading = Detached()
        self._changed = asyncio.Event()
        self._followers: list[Follower[Any]] = []
        self._snapshots = Snapshots()
        self._resolver = Resolver(timeout, self.changed)
        self._host: Reachable | None = None
        self._host_text = ""
        self._host_problem: str | None = None
        self._owners: Mapping[str, str] = {}
        self._hosts: Collection[str] = ()

    @abstractmethod
    def describe(self) -> Iterable[Described]:
        """All clusters by what is known now, each name once."""

    def follow(self, codec: Codec[N], *, optional: bool = False) -> Follower[N]:
        """A collection of the host that is followed from `run` on; an optional one need not be there."""
        follower = Follower(codec, self.changed, FollowOptions(answer=self._timeout), optional=optional)
        self._followers.append(follower)
        return follower

    def changed(self) -> None:
        """Has all clusters described anew."""
        self._changed.set()

    def problems(self) -> list[str]:
        """What is wrong with the host or with what is followed there; the members' problems are in their specs."""
        of_kinds = (follower.trouble for follower in self._followers)
        return list(dict.fromkeys(problem for problem in (self._host_problem, *of_kinds) if problem is not None))

    def snapshots(self) -> AsyncIterator[Mapping[str, MemberSpec]]:
        return self._snapshots.follow()

    async def open_connection(self, spec: MemberSpec) -> Connection:
        reachable = self._reach(self._owners.get(spec.name))
        if not isinstance(reachable, Reachable):
            wrong = reachable or spec.problem
            problem = Told(MISCONFIGURED, wrong) if wrong else "it is in the federation no more"
            raise ClusterUnreachable(spec.name, tell("cluster {}: {}", spec.name, problem))
        return HttpConnection(spec.name, reachable.target)

    async def run(self) -> None:
        """Follows the host until cancelled; starts anew when the way to it changes."""
        backoff = Backoff(first=0.5, last=5.0)
        try:
            while True:
                host = await self._load_host()
                if host is not None:
                    backoff.reset()
                    await self._follow(host)
                else:
                    await self._publish()
                    await asyncio.sleep(backoff.next_delay())
        finally:
            await self._resolver.close()

    async def _load_host(self) -> Reachable | None:
        try:
            access = await load_host_access(self._host_access, self._reading)
            self._host = await load_host(self._host_name, access, self._timeout)
        except HostProblemError as error:
            if self._host_problem != str(error):
                logger.error("%s", error)
            self._host, self._host_problem = None, str(error)
            return None
        self._host_text, self._host_problem = access_fingerprint(access), None
        return self._host

    async def _follow(self, host: Reachable) -> None:
        """Returns when the way to the host has changed."""
        connection = HttpConnection(self._host_name, host.target)
        followed = (follower.run(connection) for follower in self._followers)
        works = (*followed, self._publish_changes(), self._wait_for_other(host))
        tasks: list[asyncio.Task[None]] = [asyncio.ensure_future(work) for work in works]
        self.changed()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end_tasks(*tasks)
            await connection.close()

    async def _wait_for_other(self, host: Reachable) -> None:
        while not host.expired:
            await asyncio.sleep(_POLL_SECONDS)
            if self._resolver.is_due:
                self.changed()
            try:
                access = await load_host_access(self._host_access, self._reading)
            except HostProblemError as error:
                # Perhaps the file is being written; the connection that is open still works.
                if self._complaints.is_due("access", str(error)):
                    logger.warning("the host's access can't be read again: %s", error)
                continue
            self._complaints.settle("access")
            if access_fingerprint(access) != self._host_text:
                return

    async def _publish_changes(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(_COALESCE_SECONDS)
            self._changed.clear()
            if all(follower.tried for follower in self._followers):
                await self._publish()

    async def _publish(self) -> None:
        described = list(self.describe())
        ways = {said.owner: said.way for said in described if said.way is not None}
        self._hosts = {said.owner for said in described if said.way is None}
        await self._resolver.resolve(ways)
        # A new one is not listed while its plugin runs, but has its name: no other takes that meanwhile.
        running = {said.owner for said in described if self._reach(said.owner) is None}
        filled = {said.owner: self._fill(said) for said in described}
        named = name_once(filled.items()) if self.one_a_server else filled
        listed = {owner: spec for owner, spec in named.items() if owner not in running}
        self._owners = {spec.name: owner for owner, spec in listed.items()}
        await self._snapshots.publish({spec.name: spec for spec in listed.values()})

    def _fill(self, said: Described) -> MemberSpec:
        reachable = self._reach(said.owner)
        if isinstance(reachable, Reachable):
            return replace(said.spec, credential=reachable.credential)
        return replace(said.spec, problem=reachable)

    def _reach(self, owner: str | None) -> Reachable | str | None:
        if owner is None:
            return None
        return self._host or self._host_problem if owner in self._hosts else self._resolver[owner]
