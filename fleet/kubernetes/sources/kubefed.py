"""The source `kubefed`: members are the KubeFedClusters of the host cluster, which is a cluster too."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from fleet.aio.tasks import open_task
from fleet.kubernetes.auth.kubeconfig import Access
from fleet.kubernetes.sources.host import HostAccess
from fleet.kubernetes.sources.host_source import Described, HostSource
from fleet.kubernetes.sources.kubefed_member import MemberProblemError, build_access, offline_message
from fleet.kubernetes.sources.kubefed_objects import (
    KubeFedCluster,
    kubefed_clusters,
    openmcp_clusters,
    platform_info,
    secrets,
)
from fleet.model.objects import ClusterRole
from fleet.ports import MemberSpec

logger = logging.getLogger(__name__)

__all__ = ["HostAccess", "open_kubefed_source"]

_HOST_NAME = "openmcp"


@asynccontextmanager
async def open_kubefed_source(
    host: HostAccess,
    *,
    namespace: str = "kube-federation-system",
    platform_namespace: str = "openmcp",
    member_timeout: float = 5.0,
) -> AsyncIterator[HostSource]:
    """Watches KubeFedClusters and Secrets in `namespace` and OpenMCPClusters in `platform_namespace` of the host.

    While the host can't be reached and nothing is known, a snapshot holds the host alone. `member_timeout` bounds each
    call to the host, in seconds.
    """
    source = KubefedSource(host, namespace, platform_namespace, member_timeout)
    async with open_task("kubefed source", source.run):
        yield source


class KubefedSource(HostSource):
    """The `MemberSource` of a KubeFed host. Opened by `open_kubefed_source`."""

    def __init__(self, host: HostAccess, namespace: str, platform_namespace: str, timeout: float) -> None:
        super().__init__(host, _HOST_NAME, timeout)
        self._namespace = namespace
        self._clusters = self.follow(kubefed_clusters(namespace))
        self._secrets = self.follow(secrets(namespace))
        self._platform = self.follow(openmcp_clusters(platform_namespace), optional=True)

    def describe(self) -> Iterator[Described]:
        info = platform_info(None, self._platform.objects.get(_HOST_NAME))
        yield Described(MemberSpec(_HOST_NAME, ClusterRole.HOST, None, info), None, f"host cluster {_HOST_NAME}")
        for name, cluster in sorted(self._clusters.objects.items()):
            if name != _HOST_NAME:
                yield self._describe_member(cluster)
            elif self._complaints.is_due("name", name):
                logger.warning("KubeFedCluster %s has the host's name and is left out", name)

    def _describe_member(self, cluster: KubeFedCluster) -> Described:
        info = platform_info(cluster, self._platform.objects.get(cluster.name))
        unreadable = None if self._secrets.problem is None else str(self._secrets.problem)
        try:
            way: Access | str = build_access(cluster, self._namespace, self._secrets.objects, unreadable)
        except MemberProblemError as error:
            way = str(error)
        offline = offline_message(cluster)
        spec = MemberSpec(cluster.name, ClusterRole.MEMBER, None, info, offline=offline, labels=cluster.labels)
        return Described(spec, way, f"KubeFedCluster {self._namespace}/{cluster.name}")
