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
from tests.fakes.waiting import until
from tests.kubectl.conftest import Both, Secured, open_secured
from tests.kubectl.running import Kubectl
from tests.kubectl.test_rights_end import END_SECONDS, PASSWORD, end_streams, open_subscription, sign_in, trust

pytestmark = pytest.mark.real

ASKED = "{ clusters { name } pods { totalCount clusters { name } } viewer { clusters } }"
TESS = User("tess", hash_password(PASSWORD), Scope(Role.EDIT, cluster_labels="stage in (test, dev)"))


@dataclass(frozen=True)
class Labelled:
    """A server with a user whose reach goes by labels, and the host that has them."""

    secured: Secured
    fleet: Fleet

    async def label(self, cluster: str, label: str) -> None:
        line = ("label", "kubefedcluster", cluster, label, "--namespace=kube-federation-system", "--overwrite")
        await asyncio.to_thread(self.fleet.host.kubectl, *line)

    async def ask(self, token: str) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(
                f"{self.secured.server.url}/graphql", json={"query": ASKED}, ssl=trust(self.secured)
            ) as answer,
        ):
            return json.loads(await answer.text())["data"]

    async def reaches(self, token: str, *clusters: str) -> bool:
        """Whether all parts of an answer say just these."""
        data = await self.ask(token)
        named = [[part["name"] for part in parts] for parts in (data["clusters"], data["pods"]["clusters"])]
        return [*named, data["viewer"]["clusters"]] == [list(clusters)] * 3


@pytest.fixture
async def labelled(real_fleet: Fleet, tmp_path: Path) -> AsyncIterator[Labelled]:
    save_users(tmp_path / "users", [TESS])
    environment = real_fleet.environment() | {"OPENMCP_USERS_FILE": str(tmp_path / "users")}
    async with open_secured(environment, tmp_path) as secured:
        opened = Labelled(secured, real_fleet)
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
