"""The cluster sources that the settings name, as one."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from fleet.kubernetes.sources.cluster_profile import open_cluster_profile_source
from fleet.kubernetes.sources.host import HostAccess
from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.kubernetes.sources.kubefed import open_kubefed_source
from fleet.kubernetes.sources.secret_kubeconfigs import open_secrets_source
from fleet.kubernetes.sources.several import Listing, SeveralSources, open_several_sources
from server.settings.clusters import ClusterSettings, Source
from server.settings.groups import Settings


@asynccontextmanager
async def open_source(settings: Settings) -> AsyncIterator[SeveralSources]:
    """All of them, in their order, followed side by side."""
    clusters, timeout = settings.clusters, settings.timeouts.member_timeout
    async with AsyncExitStack() as stack:
        sources = [
            (name, await stack.enter_async_context(_OPENERS[name](clusters, timeout)))
            for name in clusters.cluster_source
        ]
        # The host has `timeout` for an answer, and what it says as much again to be tried.
        yield await stack.enter_async_context(open_several_sources(sources, wait_seconds=2 * timeout))


def _open_kubeconfig(clusters: ClusterSettings, timeout: float) -> AbstractAsyncContextManager[Listing]:
    return open_kubeconfig_source(
        clusters.kubeconfig,
        contexts=clusters.kubeconfig_contexts,
        host_context=clusters.host_context,
        member_timeout=timeout,
    )


def _open_kubefed(clusters: ClusterSettings, timeout: float) -> AbstractAsyncContextManager[Listing]:
    return open_kubefed_source(
        _build_host_access(clusters),
        namespace=clusters.kubefed_namespace,
        platform_namespace=clusters.platform_namespace,
        member_timeout=timeout,
    )


def _open_secrets(clusters: ClusterSettings, timeout: float) -> AbstractAsyncContextManager[Listing]:
    return open_secrets_source(
        _build_host_access(clusters),
        namespaces=() if "*" in clusters.secrets_namespace else clusters.secrets_namespace,
        selector=clusters.secrets_selector,
        programs=clusters.secrets_exec,
        member_timeout=timeout,
    )


def _open_cluster_profile(clusters: ClusterSettings, timeout: float) -> AbstractAsyncContextManager[Listing]:
    assert clusters.profile_providers_file is not None  # noqa: S101 - narrows for mypy: the settings refuse it
    return open_cluster_profile_source(
        _build_host_access(clusters),
        clusters.profile_providers_file,
        namespace=clusters.profile_namespace,
        member_timeout=timeout,
    )


def _build_host_access(clusters: ClusterSettings) -> HostAccess:
    files, context, own = clusters.host_files, clusters.host_context, clusters.own_cluster_url
    return HostAccess(files, context) if own is None else HostAccess(files, context, own)


_OPENERS: Mapping[Source, Callable[[ClusterSettings, float], AbstractAsyncContextManager[Listing]]] = {
    "kubeconfig": _open_kubeconfig,
    "kubefed": _open_kubefed,
    "clusterprofile": _open_cluster_profile,
    "secrets": _open_secrets,
}
