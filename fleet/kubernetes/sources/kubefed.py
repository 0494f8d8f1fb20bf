"""The source `kubefed`: members are the KubeFedClusters of the host cluster, which is a cluster too."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fleet.aio.backoff import Backoff
from fleet.aio.complaints import Complaints
from fleet.aio.detached import Detached
from fleet.aio.tasks import end_tasks, open_task
from fleet.kubernetes.connection import HttpConnection
from fleet.kubernetes.sources.access import (
    CredentialError,
    Reachable,
    TlsMaterialError,
    access_fingerprint,
    load_reachable,
)
from fleet.kubernetes.sources.follow import Follower, FollowOptions
from fleet.kubernetes.sources.host import HostAccess, HostProblemError, load_host, load_host_access
from fleet.kubernetes.sources.kubefed_member import MemberProblemError, build_access, offline_message
from fleet.kubernetes.sources.kubefed_objects import (
    KubeFedCluster,
    kubefed_clusters,
    openmcp_clusters,
    platform_info,
    secrets,
)
from fleet.kubernetes.sources.snapshots import Snapshots
from fleet.model.errors import ClusterUnreachable
from fleet.model.objects import ClusterRole
from fleet.model.told import MISCONFIGURED, Told, tell
from fleet.ports import Connection, MemberSource, MemberSpec

logger = logging.getLogger(__name__)

__all__ = ["HostAccess", "open_kubefed_source"]

_HOST_NAME = "openmcp"
_HOST_POLL_SECONDS = 2.0
# Changes come in bursts: a join writes three objects.
_COALESCE_SECONDS = 0.1


@asynccontextmanager
async def open_kubefed_source(
    host: HostAccess,
    *,
    namespace: str = "kube-federation-system",
    platform_namespace: str = "openmcp",
    member_timeout: float = 5.0,
) -> AsyncIterator[MemberSource]:
    """Watches KubeFedClusters and Secrets in `namespace` and OpenMCPClusters in `platform_namespace` of the host.

    A change is in the next snapshot within a fraction of a second, and leaves the other members' specs equal. While the
    host can't be reached the last picture stands; before there is any, a snapshot holds the host alone.
    `member_timeout` bounds each call to the host, in seconds.
    """
    source = KubefedSource(host, namespace, platform_namespace, member_timeout)
    async with open_task("kubefed source", source.run):
        yield source


class KubefedSource:
    """The `MemberSource` of a KubeFed host. Opened by `open_kubefed_source`."""

    def __init__(self, host: HostAccess, namespace: str, platform_namespace: str, timeout: float) -> None:
        self._host_access = host
        self._namespace = namespace
        self._name = _HOST_NAME
        self._timeout = timeout
        self._complaints = Complaints()
        self._reading = Detached()
        self._changed = asyncio.Event()
        options = FollowOptions(answer=timeout)
        self._clusters = Follower(kubefed_clusters(namespace), self._changed.set, options)
        self._secrets = Follower(secrets(namespace), self._changed.set, options)
        self._platform = Follower(openmcp_clusters(platform_namespace), self._changed.set, options)
        self._snapshots = Snapshots()
        self._host: Reachable | None = None
        self._host_text = ""
        self._host_problem: str | None = None
        self._members: dict[str, tuple[str, Reachable | str]] = {}

    def snapshots(self) -> AsyncIterator[Mapping[str, MemberSpec]]:
        return self._snapshots.follow()

    async def open_connection(self, spec: MemberSpec) -> Connection:
        reachable: Reachable | str | None
        if spec.name == self._name:
            reachable = self._host or self._host_problem
        else:
            reachable = self._members.get(spec.name, ("", None))[1]
        if not isinstance(reachable, Reachable):
            wrong = reachable or spec.problem
            problem = Told(MISCONFIGURED, wrong) if wrong else "it is in the federation no more"
            raise ClusterUnreachable(spec.name, tell("cluster {}: {}", spec.name, problem))
        return HttpConnection(spec.name, reachable.target)

    async def run(self) -> None:
        """Follows the host until cancelled; starts anew when the way to it changes."""
        backoff = Backoff(first=0.5, last=5.0)
        while True:
            host = await self._load_host()
            if host is not None:
                backoff.reset()
                await self._follow(host)
            else:
                await self._publish()
                await asyncio.sleep(backoff.next_delay())

    async def _load_host(self) -> Reachable | None:
        try:
            access = await load_host_access(self._host_access, self._reading)
            self._host = await load_host(self._name, access, self._timeout)
        except HostProblemError as error:
            if self._host_problem != str(error):
                logger.error("%s", error)
            self._host, self._host_problem = None, str(error)
            return None
        self._host_text, self._host_problem = access_fingerprint(access), None
        return self._host

    async def _follow(self, host: Reachable) -> None:
        """Returns when the way to the host has changed."""
        connection = HttpConnection(self._name, host.target)
        works = (
            self._clusters.run(connection),
            self._secrets.run(connection),
            self._platform.run(connection),
            self._publish_changes(),
            self._wait_for_other(host),
        )
        tasks = [asyncio.ensure_future(work) for work in works]
        self._changed.set()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end_tasks(*tasks)
            await connection.close()

    async def _wait_for_other(self, host: Reachable) -> None:
        while not host.expired:
            await asyncio.sleep(_HOST_POLL_SECONDS)
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
            if self._clusters.tried and self._secrets.tried and self._platform.tried:
                await self._publish()

    async def _publish(self) -> None:
        specs = {self._name: self._host_spec()}
        for name in sorted(self._clusters.objects):
            if name == self._name:
                if self._complaints.is_due("name", name):
                    logger.warning("KubeFedCluster %s has the host's name and is left out", name)
                continue
            specs[name] = await self._member_spec(self._clusters.objects[name])
        self._members = {name: known for name, known in self._members.items() if name in specs}
        await self._snapshots.publish(specs)

    def _host_spec(self) -> MemberSpec:
        info = platform_info(None, self._platform.objects.get(self._name))
        if self._host is None:
            return MemberSpec(self._name, ClusterRole.HOST, None, info, problem=self._host_problem)
        return MemberSpec(self._name, ClusterRole.HOST, self._host.credential, info)

    async def _member_spec(self, cluster: KubeFedCluster) -> MemberSpec:
        info = platform_info(cluster, self._platform.objects.get(cluster.name))
        offline = offline_message(cluster)
        reachable = await self._resolve(cluster)
        if isinstance(reachable, str):
            return MemberSpec(cluster.name, ClusterRole.MEMBER, None, info, reachable, offline, labels=cluster.labels)
        found = reachable.credential
        return MemberSpec(cluster.name, ClusterRole.MEMBER, found, info, None, offline, labels=cluster.labels)

    async def _resolve(self, cluster: KubeFedCluster) -> Reachable | str:
        """What to connect to, or what is wrong; made anew only when what the objects say has changed."""
        unreadable = None if self._secrets.problem is None else str(self._secrets.problem)
        try:
            access = build_access(cluster, self._namespace, self._secrets.objects, unreadable)
            text = access_fingerprint(access)
            known = self._members.get(cluster.name)
            if known is not None and known[0] == text:
                return known[1]
            reachable: Reachable | str = await load_reachable(cluster.name, access, self._timeout)
        except MemberProblemError as error:
            text, reachable = "", str(error)
        except (CredentialError, TlsMaterialError) as error:
            reachable = f"KubeFedCluster {self._namespace}/{cluster.name}: {error}"
        self._members[cluster.name] = (text, reachable)
        return reachable
