"""The source `secrets`: members are the clusters that Secrets of a host lead to, of Cluster API, Argo CD and others."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from fleet.aio.tasks import open_task
from fleet.kubernetes.sources.cluster_secrets import SELECTORS, cluster_secrets
from fleet.kubernetes.sources.host import HostAccess
from fleet.kubernetes.sources.host_source import Described, HostSource
from fleet.model.objects import ClusterRole
from fleet.ports import MemberSpec

_HOST_NAME = "host"


@asynccontextmanager
async def open_secrets_source(
    host: HostAccess,
    *,
    namespaces: Sequence[str] = (),
    selector: str | None = None,
    programs: bool = False,
    member_timeout: float = 5.0,
) -> AsyncIterator[HostSource]:
    """Watches the Secrets that a label selector chooses in some namespaces of the host, or in all where none is named.

    Only those of named namespaces may lead to the host itself, which is reached with this server's own rights. Without
    a selector they are Cluster API's and Argo CD's. `programs` allows exec plugins that Secrets name. `member_timeout`
    bounds each call to the host, and each plugin, in seconds.
    """
    source = SecretsSource(host, namespaces, SELECTORS if selector is None else (selector,), programs, member_timeout)
    async with open_task("secrets source", source.run):
        yield source


class SecretsSource(HostSource):
    """The `MemberSource` of Secrets. Opened by `open_secrets_source`."""

    one_a_server = True

    def __init__(
        self, host: HostAccess, namespaces: Sequence[str], selectors: Sequence[str], programs: bool, timeout: float
    ) -> None:
        super().__init__(host, _HOST_NAME, timeout)
        self._secrets = [
            self.follow(cluster_secrets(namespace, selector, programs=programs, own=namespace is not None))
            for namespace in namespaces or (None,)
            for selector in selectors
        ]

    def describe(self) -> Iterator[Described]:
        secrets = {name: secret for follower in self._secrets for name, secret in follower.objects.items()}
        for name, secret in sorted(secrets.items(), key=lambda item: (item[1].created, item[0])):
            if secret.cluster:
                spec = MemberSpec(secret.cluster, ClusterRole.MEMBER, None, labels=secret.labels)
                yield Described(spec, secret.way, f"Secret {name}")
