"""The source `secrets` on a real host: Secrets as Cluster API and Argo CD write them lead to a real member."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fleet.kubernetes.sources.cluster_secrets import ARGO_LABEL, CLUSTER_API_LABEL
from fleet.kubernetes.sources.host import HostAccess
from fleet.kubernetes.sources.host_source import HostSource
from fleet.kubernetes.sources.secret_kubeconfigs import open_secrets_source
from fleet.model.errors import ClusterUnauthorized, ClusterUnreachable
from fleet.model.objects import ClusterRole
from fleet.ports import Call, MemberSpec
from realfleet.hub import open_hub
from realfleet.kubeconfig import Access, build_kubeconfig
from tests.fakes.waiting import PATIENCE
from tests.fleet.kubernetes.sources.following import Follower, Picture
from tests.fleet.kubernetes.sources.secrets_of_host import ARGOCD, CLUSTERS, Stage, build_certified

pytestmark = pytest.mark.real

BOTH = (CLUSTERS, ARGOCD)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with open_hub() as hub:
        yield Stage(hub)


@pytest.fixture
def host(stage: Stage) -> Iterator[Stage]:
    """Without Secrets."""
    yield stage
    stage.delete_all()


@asynccontextmanager
async def open_source(stage: Stage, **options: Any) -> AsyncIterator[tuple[HostSource, Follower]]:
    host = HostAccess((stage.hub.kubeconfig,))
    async with open_secrets_source(host, member_timeout=PATIENCE, **{"namespaces": BOTH, **options}) as source:
        yield source, Follower(source)


async def ask(source: HostSource, spec: MemberSpec) -> int:
    connection = await source.open_connection(spec)
    try:
        return (await connection.request(Call("GET", "/api/v1/namespaces", timeout=PATIENCE))).status
    finally:
        await connection.close()


def is_well(*names: str) -> Any:
    def shows(picture: Picture) -> bool:
        return set(names) == {name for name, spec in picture.items() if spec.credential is not None}

    return shows


async def test_a_cluster_api_cluster_joins_is_rotated_and_goes(host: Stage) -> None:
    async with open_source(host) as (source, follower):
        assert await follower.until() == {}
        host.put_cluster_api("c1", host.build_certified())
        joined = await follower.until(is_well("c1"))
        assert list(joined) == ["c1"]
        assert (joined["c1"].role, dict(joined["c1"].labels)) == (
            ClusterRole.MEMBER,
            {CLUSTER_API_LABEL: "c1", "env": "prod"},
        )
        assert await ask(source, joined["c1"]) == 200
        access = Access("c1", host.member.url, host.member.files.ca_pem, host.member.tokens.stranger)
        host.put_cluster_api("c1", build_kubeconfig([access]))
        rotated = await follower.until(lambda picture: picture["c1"] != joined["c1"])
        assert await ask(source, rotated["c1"]) == 403
        host.delete(CLUSTERS, "c1-kubeconfig")
        await follower.until(lambda picture: "c1" not in picture)
        with pytest.raises(ClusterUnreachable, match="no more"):
            await source.open_connection(rotated["c1"])


async def test_argo_cd_s_clusters_join_are_rotated_and_go(host: Stage) -> None:
    async with open_source(host) as (source, follower):
        host.put_argo("prod", {"bearerToken": host.member.tokens.stranger, "tlsClientConfig": host.build_tls()})
        for name in ("in-cluster", "mgmt"):
            host.put_argo(name, {"tlsClientConfig": {"insecure": False}}, "https://kubernetes.default.svc")
        both = is_well("prod", "in-cluster")
        joined = await follower.until(lambda shown: both(shown) and shown["in-cluster"].other_names == ("mgmt",))
        assert [await ask(source, joined[name]) for name in ("prod", "in-cluster")] == [403, 200]
        assert joined["in-cluster"].credential is not None
        assert joined["in-cluster"].credential.endpoint == host.hub.api.url
        host.put_argo("prod", {"bearerToken": host.member.tokens.admin, "tlsClientConfig": host.build_tls()})
        rotated = await follower.until(lambda picture: picture["prod"] != joined["prod"])
        assert rotated["in-cluster"] == joined["in-cluster"]
        assert await ask(source, rotated["prod"]) == 200
        host.put(ARGOCD, "cluster-prod", {ARGO_LABEL: None}, {})
        await follower.until(lambda picture: list(picture) == ["in-cluster"])


async def test_one_server_is_one_cluster_and_keeps_the_first_s_name(host: Stage) -> None:
    host.put_argo("prod", {"bearerToken": host.member.tokens.viewer, "tlsClientConfig": host.build_tls()})
    access = Access("c", host.member.url, host.member.files.ca_pem, host.member.tokens.admin)
    host.put_cluster_api("c1", build_kubeconfig([access]))
    async with open_source(host) as (_, follower):
        both = await follower.until()
        assert {name: spec.other_names for name, spec in both.items()} == {"prod": ("c1",)}
        host.delete(ARGOCD, "cluster-prod")
        left = await follower.until(lambda picture: "prod" not in picture)
        assert {name: spec.other_names for name, spec in left.items()} == {"c1": ()}


async def test_what_is_wrong_is_a_named_ill_member_and_nothing_else(
    host: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    planted = "planted-in-a-broken-secret"
    caplog.set_level(logging.DEBUG)
    files = host.member.files
    ended = files.ended_certificate.read_bytes(), files.ended_key.read_bytes()
    host.put_argo("well", {"bearerToken": planted}, "https://127.0.0.1:1")
    host.put_cluster_api("well", host.build_certified())
    host.put_cluster_api("broken", f"token: {planted}\n  odd: [")
    host.put(CLUSTERS, "empty-kubeconfig", {CLUSTER_API_LABEL: "empty"}, {"other": planted})
    host.put_cluster_api("ended", build_certified(host.member.url, *ended, files.ca_pem))
    host.put_argo("away", {"bearerToken": planted}, "https://127.0.0.1:2")
    async with open_source(host) as (source, follower):
        picture = await follower.until()
        assert {name: spec.problem for name, spec in picture.items() if spec.problem} == {
            "clusters/well-kubeconfig": "Secret clusters/well-kubeconfig: Secret argocd/cluster-well has its name: "
            "name one of them otherwise",
            "broken": "Secret clusters/broken-kubeconfig: its kubeconfig can't be read: not YAML (line 2)",
            "empty": "Secret clusters/empty-kubeconfig: it has no key 'value', or nothing in it",
        }
        host.delete(ARGOCD, "cluster-well")
        picture = await follower.until(is_well("away", "ended", "well"))
        assert await ask(source, picture["well"]) == 200
        with pytest.raises(ClusterUnreachable):
            await ask(source, picture["away"])
        with pytest.raises(ClusterUnauthorized):
            await ask(source, picture["ended"])
    assert planted not in caplog.text


async def test_a_program_that_a_secret_names_is_run_where_that_is_allowed(host: Stage, tmp_path: Path) -> None:
    api = "client.authentication.k8s.io/v1"
    printed = {"apiVersion": api, "kind": "ExecCredential", "status": {"token": host.member.tokens.admin}}
    (tmp_path / "credential").write_text(json.dumps(printed))
    plugin = {"command": "cat", "args": [str(tmp_path / "credential")], "apiVersion": api}
    host.put_argo("prod", {"execProviderConfig": plugin, "tlsClientConfig": host.build_tls()})
    async with open_source(host) as (_, follower):
        assert "config.execProviderConfig is refused" in ((await follower.until())["prod"].problem or "")
    async with open_source(host, programs=True) as (source, follower):
        assert await ask(source, (await follower.until())["prod"]) == 200


async def test_secrets_as_large_as_they_can_be_cost_no_other_cluster(host: Stage) -> None:
    for number in range(52):  # more in base64 than a list may have
        host.put(CLUSTERS, f"large{number}", {CLUSTER_API_LABEL: "large"}, {"value": bytes((1 << 20) - 8)})
    host.put_cluster_api("well", host.build_certified())
    async with open_source(host) as (source, follower):
        assert list(await follower.until()) == ["well"]
        assert source.problems() == []


async def test_a_selector_of_ones_own_chooses_at_the_api_server(host: Stage) -> None:
    host.put(CLUSTERS, "mine", {"team": "a"}, {"kubeconfig": host.build_certified()})
    host.put(CLUSTERS, "theirs", {"team": "b"}, {"kubeconfig": "broken"})
    async with open_source(host, selector="team in (a)", namespaces=(CLUSTERS,)) as (source, follower):
        picture = await follower.until()
        assert list(picture) == ["mine"]
        assert await ask(source, picture["mine"]) == 200
        host.put(CLUSTERS, "theirs", {"team": "a"}, {})
        await follower.until(lambda picture: "theirs" in picture)


async def test_rights_in_one_namespace_are_enough_for_it(host: Stage, tmp_path: Path) -> None:
    api = host.hub.api
    rule = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]}
    group, path = "rbac.authorization.k8s.io", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{CLUSTERS}"
    named: dict[str, Any] = {"apiVersion": f"{group}/v1", "metadata": {"name": "clusters"}}
    role = {"apiGroup": group, "kind": "Role", "name": "clusters"}
    user = {"apiGroup": group, "kind": "User", "name": "stranger"}
    api.client.create(f"{path}/roles", {**named, "kind": "Role", "rules": [rule]})
    api.client.create(f"{path}/rolebindings", {**named, "kind": "RoleBinding", "roleRef": role, "subjects": [user]})
    host.put_cluster_api("c1", host.build_certified())
    host.put_argo("prod", {"bearerToken": host.member.tokens.admin, "tlsClientConfig": host.build_tls()})
    narrow = tmp_path / "kubeconfig"
    narrow.write_text(build_kubeconfig([Access("hub", api.url, api.files.ca_pem, api.tokens.stranger)]))
    for namespaces, listed, words in (
        ((CLUSTERS,), ["c1"], ""),
        ((CLUSTERS, ARGOCD), ["c1"], f"answered 403 to /api/v1/namespaces/{ARGOCD}/secrets"),
        ((), [], "answered 403 to /api/v1/secrets"),
    ):
        opening = open_secrets_source(HostAccess((narrow,)), namespaces=namespaces, member_timeout=PATIENCE)
        async with opening as source:
            assert list(await Follower(source).until()) == listed
            assert words in "; ".join(source.problems())
            assert len(source.problems()) == bool(words), "once, though two selectors are asked by"
