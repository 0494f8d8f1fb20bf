"""What real API servers are asked by replicas that share one state."""

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from realfleet.client import KubeClient
from realfleet.fleet import Fleet
from realfleet.nats import NatsServer
from tests.fakes.waiting import until
from tests.replication.replicas import open_replicas

pytestmark = pytest.mark.real

WATCHED = ("pods", "nodes", "namespaces", "deployments", "events")
LISTED = ("namespaces", "deployments", "events")
"""Which nobody else lists: pods and nodes are listed by what measures them."""


def count(client: KubeClient, family: str, verb: str, kinds: tuple[str, ...]) -> dict[str, int]:
    """Of an API server's own figures, by resource."""
    text = client.read("GET", "/metrics", accept="*/*")[1].decode()
    found = dict.fromkeys(kinds, 0)
    for labels, number in re.findall(rf"^{family}\{{([^}}]*)\}} (\d+)", text, re.MULTILINE):
        said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if said.get("verb") == verb and said.get("scope") == "cluster" and said.get("resource") in found:
            found[said["resource"]] += int(number)
    return found


class Members:
    """The members of the fleet, and what their API servers count."""

    def __init__(self, fleet: Fleet) -> None:
        self._clients = {member.name: member.client for member in fleet.members}

    async def watches(self) -> dict[str, dict[str, int]]:
        return await self._count("apiserver_longrunning_requests", "WATCH", WATCHED)

    async def lists(self) -> dict[str, dict[str, int]]:
        return await self._count("apiserver_request_total", "LIST", LISTED)

    async def _count(self, family: str, verb: str, kinds: tuple[str, ...]) -> dict[str, dict[str, int]]:
        return {name: await asyncio.to_thread(count, each, family, verb, kinds) for name, each in self._clients.items()}

    async def are_watched(self, watches: dict[str, dict[str, int]]) -> bool:
        return await self.watches() == watches


async def test_a_member_sees_the_watches_of_one_replica_however_many_there_are(
    real_fleet: Fleet, nats_server: NatsServer, tmp_path: Path
) -> None:
    members = Members(real_fleet)
    before = await members.watches()
    once = {name: {kind: number + 1 for kind, number in kinds.items()} for name, kinds in before.items()}
    async with AsyncExitStack() as stack:
        opened = open_replicas(real_fleet.kubeconfig, nats_server.url, folder(tmp_path, "writer"))
        replicas = await stack.enter_async_context(opened)
        await until(lambda: members.are_watched(once), what="each kind is watched once", every=0.1)
        lists = await members.lists()
        for more in (1, 2):
            follower = open_replicas(
                real_fleet.kubeconfig,
                [nats_server.url] * more,
                folder(tmp_path, f"followers{more}"),
                OPENMCP_NATS_WRITES="false",
            )
            replicas += await stack.enter_async_context(follower)
            answers = await asyncio.gather(*(replica.ask() for replica in replicas))
            assert all(answer.is_ok and answer.pods == answers[0].pods for answer in answers)
            assert await members.lists() == lists
            assert await members.watches() == once


def folder(parent: Path, name: str) -> Path:
    (made := parent / name).mkdir()
    return made
