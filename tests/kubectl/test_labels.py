"""Reach by the labels of clusters: it follows them at once, for answers, caches and whatever is open."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from auth.passwords import hash_password
from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from realfleet.fleet import Fleet
from tests.fakes.waiting import PATIENCE, until
from tests.kubectl.conftest import Both, Secured, open_secured
from tests.kubectl.running import Kubectl
from tests.kubectl.test_rights_end import END_SECONDS, PASSWORD, end_streams, open_subscription, sign_in, trust
from tests.oidc.issuer import RunningIssuer, open_issuer

pytestmark = pytest.mark.real

ASKED = """{ clusters { name labels { key value } } pods { totalCount clusters { name } } viewer { clusters }
  staged: pods(filter: { clusterSelector: "stage" }) { clusters { name } } }"""
STAGES = Scope(Role.EDIT, cluster_labels="stage in (test, dev)")
TESS = User("tess", hash_password(PASSWORD), STAGES)
OLGA = User("olga", hash_password(PASSWORD), Scope(Role.VIEW))
TESTERS = User("oidc:testers", "", STAGES, is_group=True)
LEGACY = (
    "/api/v1/namespaces/default/pods?clustername={}",
    "/clusters/{}/api/v1/namespaces",
    "/metrics/nodes/none?clustername={}",
)


@dataclass(frozen=True)
class Labelled:
    """A server with a user whose reach goes by labels, and the host that has them."""

    secured: Secured
    fleet: Fleet
    issuer: RunningIssuer

    async def label(self, cluster: str, label: str) -> None:
        line = ("label", "kubefedcluster", cluster, label, "--namespace=kube-federation-system", "--overwrite")
        await asyncio.to_thread(self.fleet.host.kubectl, *line)

    async def send(self, token: str, method: str, path: str, **more: Any) -> tuple[int, str]:
        headers, url = {"Authorization": f"Bearer {token}"}, self.secured.server.url + path
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, url, ssl=trust(self.secured), **more) as answer,
        ):
            return answer.status, await answer.text()

    async def ask(self, token: str) -> Any:
        return json.loads((await self.send(token, "POST", "/graphql", json={"query": ASKED}))[1])["data"]

    async def reaches(self, token: str, *clusters: str) -> bool:
        """Whether all parts of an answer say just these."""
        data = await self.ask(token)
        listed = (data["clusters"], data["pods"]["clusters"], data["staged"]["clusters"])
        named = [[part["name"] for part in parts] for parts in listed]
        return [*named, data["viewer"]["clusters"]] == [list(clusters)] * 4


@pytest.fixture
async def labelled(real_fleet: Fleet, tmp_path: Path) -> AsyncIterator[Labelled]:
    save_users(tmp_path / "users", [TESS, TESTERS, OLGA])
    async with (
        open_issuer(tmp_path / "issuer") as issuer,
        open_secured(
            real_fleet.environment()
            | {
                "OPENMCP_USERS_FILE": str(tmp_path / "users"),
                "OPENMCP_OIDC_ISSUER": issuer.url,
                "OPENMCP_OIDC_AUDIENCE": "openmcp",
                "OPENMCP_OIDC_GROUPS_PREFIX": "oidc:",
            },
            tmp_path,
        ) as secured,
    ):
        opened = Labelled(secured, real_fleet, issuer)
        yield opened
        for name in ("cluster1", "cluster2"):
            await opened.label(name, "stage-")


async def test_reach_follows_labels(stage: Both, labelled: Labelled, tmp_path: Path) -> None:
    token = await sign_in(labelled.secured, TESS.name)
    assert await labelled.reaches(token)
    await labelled.label("cluster2", "stage=dev")
    await until(lambda: labelled.reaches(token, "cluster2"), what="a cluster that was given the label")
    first = await labelled.ask(token)
    await labelled.label("cluster1", "stage=test")
    await until(lambda: labelled.reaches(token, "cluster1", "cluster2"), what="another one")
    assert (await labelled.ask(token))["pods"]["totalCount"] > first["pods"]["totalCount"]

    kubeconfig = labelled.secured.write_kubeconfig(tmp_path / "through", ["cluster1"], token)
    kubectl = Kubectl(stage.through.program, kubeconfig, tmp_path)
    async with open_subscription(labelled.secured, token) as socket:
        took, said = await end_streams(kubectl, socket, lambda: labelled.label("cluster1", "stage=prod"))
    assert {name for name, seconds in took.items() if seconds > END_SECONDS} == set(), took
    assert "no cluster is named 'cluster1'" in said
    assert await labelled.reaches(token, "cluster2")
    assert (await labelled.ask(token))["pods"]["totalCount"] == first["pods"]["totalCount"]


async def test_a_group_of_an_issuer_reaches_by_labels_in_the_graph_and_on_the_urls_of_old(labelled: Labelled) -> None:
    token = await labelled.issuer.sign(groups=["testers"])

    async def statuses() -> dict[str, set[int]]:
        """Of each cluster those of all its URLs."""
        return {
            cluster: {(await labelled.send(token, "GET", path.format(cluster)))[0] for path in LEGACY}
            for cluster in ("cluster1", "cluster2")
        }

    assert await labelled.reaches(token)
    assert await statuses() == {"cluster1": {404}, "cluster2": {404}}
    await labelled.label("cluster2", "stage=dev")
    await until(lambda: labelled.reaches(token, "cluster2"), what="a cluster that was given the label")
    assert await statuses() == {"cluster1": {404}, "cluster2": {200}}
    labels = (await labelled.ask(token))["clusters"][0]["labels"]
    assert {"key": "stage", "value": "dev"} in labels
    await labelled.label("cluster2", "stage=prod")
    await until(lambda: labelled.reaches(token), what="one that was given another")
    assert await statuses() == {"cluster1": {404}, "cluster2": {404}}


async def test_a_stream_of_clusters_by_label_is_joined_and_left(labelled: Labelled) -> None:
    query = """subscription { nodeEvents(filter: { clusterSelector: "stage=live" }) {
      type node { cluster { name } } } }"""
    headers = {"Authorization": f"Bearer {await sign_in(labelled.secured, OLGA.name)}", "Accept": "text/event-stream"}
    async with (
        asyncio.timeout(PATIENCE),
        aiohttp.ClientSession(headers=headers) as session,
        session.post(
            f"{labelled.secured.server.url}/graphql", json={"query": query}, ssl=trust(labelled.secured)
        ) as answer,
    ):

        async def hear(until_type: str, name: str) -> set[tuple[str, str]]:
            """Types and clusters of the events up to one of this type and cluster."""
            heard: set[tuple[str, str]] = set()
            while (until_type, name) not in heard:
                while not (line := await answer.content.readline()).startswith(b"data: {"):
                    assert line, "the stream ended"
                event = json.loads(line[6:])["data"]["nodeEvents"]
                heard.add((event["type"], event["node"]["cluster"]["name"]))
            return heard

        await labelled.label("cluster2", "stage=live")
        assert {name for _, name in await hear("ADDED", "cluster2")} == {"cluster2"}
        await labelled.label("cluster1", "stage=live")
        await hear("ADDED", "cluster1")
        await labelled.label("cluster2", "stage=test")
        assert ("DELETED", "cluster1") not in await hear("DELETED", "cluster2")
