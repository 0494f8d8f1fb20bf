"""Objects of those who may write to a real hub, and wish others ill."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fleet.kubernetes.auth.authorizers import bearer
from fleet.kubernetes.auth.tls import TlsMaterial, build_ssl_context
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.kubernetes.sources.cluster_profile import open_cluster_profile_source
from fleet.kubernetes.sources.cluster_secrets import CLUSTER_API_LABEL
from fleet.kubernetes.sources.host import HostAccess
from fleet.kubernetes.sources.secret_kubeconfigs import open_secrets_source
from fleet.ports import Call
from realfleet.hub import Hub, open_hub
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.codec.deep import DEEP, build_deep_metadata, create_deep, write_deep
from tests.fleet.kubernetes.sources import hub as profiles
from tests.fleet.kubernetes.sources.following import Follower
from tests.fleet.kubernetes.sources.secrets_of_host import ARGOCD, CLUSTERS, Stage, path_of

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with open_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def stage(hub: Hub) -> Stage:
    return Stage(hub)


@asynccontextmanager
async def open_administrator(hub: Hub) -> AsyncIterator[HttpConnection]:
    tls = build_ssl_context(TlsMaterial(hub.api.files.ca_pem))
    connection = HttpConnection("hub", Target(hub.api.url, tls, bearer(hub.api.tokens.admin)))
    try:
        yield connection
    finally:
        await connection.close()


async def test_deep_secrets_cost_no_other_cluster(hub: Hub, stage: Stage) -> None:
    stage.put_cluster_api("well", stage.build_certified())

    def build(name: str) -> dict[str, object]:
        metadata = build_deep_metadata(f"{name}-kubeconfig", labels={CLUSTER_API_LABEL: name})
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}

    async with open_administrator(hub) as connection:
        await create_deep(connection, path_of(CLUSTERS), build("deep"))
        opening = open_secrets_source(HostAccess((hub.kubeconfig,)), namespaces=(CLUSTERS,), member_timeout=PATIENCE)
        async with opening as source:
            follower = Follower(source)
            assert set(await follower.until()) == {"deep", "well"}
            await create_deep(connection, path_of(CLUSTERS), build("later"))
            assert set(await follower.until(lambda picture: "later" in picture)) == {"deep", "later", "well"}
            assert source.problems() == []
        for name in ("deep", "later", "well"):
            stage.delete(CLUSTERS, f"{name}-kubeconfig")


async def test_what_is_written_later_takes_neither_name_nor_server(hub: Hub, stage: Stage) -> None:
    """Whatever its key is: `argocd` comes before `clusters`."""
    stage.put_cluster_api("prod", stage.build_certified())
    mine, api = f"{path_of(ARGOCD)}/cluster-prod", hub.api.client
    own = api.get(f"{path_of(CLUSTERS)}/prod-kubeconfig")["metadata"]["creationTimestamp"]

    def is_later() -> bool:
        stage.put_argo("prod", {"bearerToken": "x"}, "https://127.0.0.1:1")
        later = api.get(mine)["metadata"]["creationTimestamp"] > own
        if not later:
            api.delete(mine)
        return bool(later)

    await until(is_later, every=0.1)
    stage.put_argo("dev", {"bearerToken": "x"}, hub.member.url.replace("127.0.0.1", "localhost"))
    opening = open_secrets_source(HostAccess((hub.kubeconfig,)), namespaces=(CLUSTERS, ARGOCD), member_timeout=PATIENCE)
    async with opening as source:
        picture = await Follower(source).until()
    assert {name: spec.other_names for name, spec in picture.items()} == {"prod": ("dev",), "argocd/cluster-prod": ()}
    assert picture["prod"].credential is not None
    assert dict(picture["prod"].labels)["env"] == "prod"
    assert "Secret clusters/prod-kubeconfig has its name" in (picture["argocd/cluster-prod"].problem or "")


async def test_a_deep_profile_is_an_ill_cluster_and_no_more(hub: Hub, tmp_path: Path) -> None:
    stage = profiles.build_stage(hub, tmp_path)
    stage.join("well")
    stage.put_profile("deep")
    extension = {"name": "client.authentication.k8s.io/exec", "extension": DEEP}
    status = {"status": {"accessProviders": [stage.access("well", extensions=[extension])]}}
    path = f"/apis/multicluster.x-k8s.io/v1alpha1/namespaces/{profiles.NAMESPACE}/clusterprofiles/deep/status"
    opening = open_cluster_profile_source(HostAccess((hub.kubeconfig,)), stage.providers_file, member_timeout=PATIENCE)
    async with open_administrator(hub) as connection, opening as source:
        follower = Follower(source)
        assert list(await follower.until()) == ["deep", "well"]
        for levels in (900, 5000):
            merge = ((b"Content-Type", b"application/merge-patch+json"),)
            call = Call("PATCH", path, PATIENCE, headers=merge, body=write_deep(status, levels))
            assert (await connection.request(call)).status == 200
            picture = await follower.until(lambda shown: "nested" in (shown["deep"].problem or ""))
            assert picture["deep"].problem == "ClusterProfile fleet/deep: it is nested deeper than 50 levels"
            assert picture["well"].credential is not None
            stage.put_profile("deep", {"accessProviders": None})
            await follower.until(lambda shown: "is empty" in (shown["deep"].problem or ""))
        assert source.problems() == []
