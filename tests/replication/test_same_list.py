"""Replicas that follow one state list the same clusters, by several sources at once."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from realfleet.hub import open_hub
from realfleet.kubeconfig import Access, build_kubeconfig
from realfleet.nats import NatsServer
from tests.fakes.waiting import until
from tests.fleet.kubernetes.sources.secrets_of_host import CLUSTERS, Stage
from tests.replication.replicas import ReplicaProcess, open_replicas

pytestmark = pytest.mark.real

QUERY = "{ clusters { name role health message } }"


@pytest.fixture
def host() -> Iterator[Stage]:
    with open_hub() as hub:
        yield Stage(hub)


async def list_clusters(replica: ReplicaProcess) -> list[tuple[str, str, str]]:
    body: Any = await replica.server.ask(replica.token, QUERY)
    return [(found["name"], found["role"], found["health"]) for found in body["data"]["clusters"]]


async def test_clusters_of_secrets_and_a_kubeconfig_come_and_go_at_each_replica(
    host: Stage, nats_server: NatsServer, tmp_path: Path
) -> None:
    api, member = host.hub.api, host.member
    kubeconfig = tmp_path / "kubeconfig"
    same = Access("same", member.url, member.files.ca_pem, member.tokens.viewer)
    kubeconfig.write_text(build_kubeconfig([api.access, same]))
    host.put_argo("prod", {"bearerToken": member.tokens.admin, "tlsClientConfig": host.build_tls()})
    host.put_cluster_api("broken", "neither")
    settings = {
        "OPENMCP_CLUSTER_SOURCE": "secrets,kubeconfig",
        "OPENMCP_SECRETS_NAMESPACE": "*",
        "OPENMCP_HOST_CONTEXT": "hub",
        "OPENMCP_WORKERS": "2",
    }
    async with open_replicas(kubeconfig, [nats_server.url] * 2, tmp_path, **settings) as replicas:

        async def show(*clusters: tuple[str, str, str]) -> bool:
            return await asyncio.gather(*map(list_clusters, replicas)) == [list(clusters)] * len(replicas)

        hub, broken, prod = ("hub", "HOST", "READY"), ("broken", "MEMBER", "OFFLINE"), ("prod", "MEMBER", "READY")
        await until(lambda: show(hub, broken, prod), what="the host, and what its Secrets lead to", every=0.1)
        host.put_cluster_api("broken", host.build_certified())
        await until(lambda: show(hub, ("broken", "MEMBER", "READY"), prod), what="the one that is mended", every=0.1)
        host.delete(CLUSTERS, "broken-kubeconfig")
        await until(lambda: show(hub, prod), what="the one that is left", every=0.1)
