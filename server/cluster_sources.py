"""The cluster source that the settings name."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.kubernetes.sources.kubefed import HostAccess, open_kubefed_source
from fleet.ports import MemberSource
from server.settings.groups import Settings


def open_source(settings: Settings) -> AbstractAsyncContextManager[MemberSource]:
    clusters, timeout = settings.clusters, settings.timeouts.member_timeout
    if clusters.cluster_source == "kubeconfig":
        return open_kubeconfig_source(
            clusters.kubeconfig,
            contexts=clusters.kubeconfig_contexts,
            host_context=clusters.host_context,
            member_timeout=timeout,
        )
    host = HostAccess(kubeconfig=clusters.kubeconfig, context=clusters.host_context)
    if clusters.own_cluster_url is not None:
        host = replace(host, endpoint=clusters.own_cluster_url)
    return open_kubefed_source(
        host,
        namespace=clusters.kubefed_namespace,
        platform_namespace=clusters.platform_namespace,
        member_timeout=timeout,
    )
