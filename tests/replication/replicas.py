"""Servers as processes that follow one shared state, in front of a simulated fleet of the test's own process."""

import asyncio
import os
import re
import secrets
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from demo.simulator import SimulatedFleet
from demo.simulator.kinds import PODS
from realfleet.ports import list_free_ports
from tests.processes import RunningServer, open_server

QUERY = """{ pods(first: 10000) { items { namespace name status restarts nodeName cluster { name } }
             clusters { name state message ageSeconds } } }"""

LEASE = os.environ.get("NATS_LEASE", "3s")
"""So that tests need not wait long. The default is 6s."""

Shown = dict[str, set[tuple[Any, ...]]]


class Answer(Struct, frozen=True):
    """What a replica says of all pods: these, and how each cluster is."""

    pods: Shown
    states: dict[str, str]
    messages: dict[str, str]
    ages: dict[str, float]
    took: float

    @property
    def is_ok(self) -> bool:
        return set(self.states.values()) == {"OK"}


class ReplicaProcess:
    """One server. All share signing key and users, so that a token counts at each."""

    def __init__(self, server: RunningServer, ops: int, token: str) -> None:
        self.server, self._ops, self.token = server, ops, token
        self.answers: list[Answer] = []

    async def ask(self) -> Answer:
        """Fails the test where there is an error in the answer."""
        began = time.monotonic()
        body: Any = await self.server.ask(self.token, QUERY)
        took = time.monotonic() - began
        assert "errors" not in body, body
        pods: Shown = {}
        for pod in body["data"]["pods"]["items"]:
            pods.setdefault(pod["cluster"]["name"], set()).add(
                (pod["namespace"], pod["name"], pod["status"], pod["restarts"], pod["nodeName"])
            )
        said = {outcome["name"]: outcome for outcome in body["data"]["pods"]["clusters"]}
        answer = Answer(
            pods,
            {name: outcome["state"] for name, outcome in said.items()},
            {name: outcome["message"] or "" for name, outcome in said.items()},
            {name: outcome["ageSeconds"] for name, outcome in said.items()},
            took,
        )
        self.answers.append(answer)
        return answer

    async def figures(self, name: str) -> dict[str, float]:
        """A figure of the ops port by cluster."""
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self._ops}/metrics") as answer:
            text = await answer.text()
        found = re.findall(rf'^openmcp_state_{name}\{{cluster="([^"]+)"\}} (\S+)', text, re.MULTILINE)
        return {cluster: float(value) for cluster, value in found}

    async def written(self) -> set[str]:
        return {cluster for cluster, writes in (await self.figures("writer")).items() if writes}

    async def is_ok(self) -> bool:
        return (await self.ask()).is_ok

    def send(self, number: signal.Signals) -> None:
        os.kill(self.server.pid, number)


@asynccontextmanager
async def open_replicas(
    kubeconfig: Path, nats: str | Sequence[str], folder: Path, **settings: str
) -> AsyncIterator[list[ReplicaProcess]]:
    """One for each URL of NATS, as it is given."""
    urls = [nats] if isinstance(nats, str) else nats
    common = {
        "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
        "OPENMCP_KUBECONFIG": str(kubeconfig),
        "OPENMCP_SIGNING_KEY": secrets.token_urlsafe(48),
        "API_USER_NAME": "openmcp",
        "API_USER_PW": "keti",
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_COLLECT_INTERVAL": "0s",
        "OPENMCP_STATE": "nats",
        "OPENMCP_NATS_LEASE": LEASE,
    } | settings
    async with AsyncExitStack() as stack:
        opened = [
            _open(stack, common | {"OPENMCP_NATS_URL": url}, folder / f"replica{n}.log") for n, url in enumerate(urls)
        ]
        servers = await asyncio.gather(*opened)
        token = await servers[0][0].sign_in()
        yield [ReplicaProcess(server, ops, token) for server, ops in servers]


async def _open(stack: AsyncExitStack, environment: Mapping[str, str], log: Path) -> tuple[RunningServer, int]:
    port, ops = list_free_ports(2)
    environment = {**environment, "OPENMCP_PORT": str(port), "OPENMCP_OPS_PORT": str(ops)}
    environment["OPENMCP_EMBEDDED_FILE"] = str(log.with_suffix(".sqlite"))
    server = await stack.enter_async_context(open_server("serve", environment=environment, port=port, log=log))
    stack.callback(_continue, server.pid)
    return server, ops


def _continue(pid: int) -> None:
    """One that was stopped could not end."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def held(fleet: SimulatedFleet) -> dict[str, set[tuple[str, str]]]:
    """The namespaces and names of the pods that each cluster holds now."""
    clusters = (fleet.host, *fleet.members.values())
    return {cluster.name: set(cluster.store.entries(PODS)) for cluster in clusters}


def names(pods: Shown) -> dict[str, set[tuple[str, str]]]:
    return {cluster: {(pod[0], pod[1]) for pod in shown} for cluster, shown in pods.items()}


async def are_equal(fleet: SimulatedFleet, *replicas: ReplicaProcess) -> bool:
    """Whether all show the same, which is what the clusters hold, and that all are OK."""
    answers = await asyncio.gather(*(replica.ask() for replica in replicas))
    return all(
        answer.is_ok and answer.pods == answers[0].pods and names(answer.pods) == held(fleet) for answer in answers
    )


async def are_written(fleet: SimulatedFleet, *replicas: ReplicaProcess) -> bool:
    """Whether each cluster has one writer."""
    written = [cluster for replica in replicas for cluster in await replica.written()]
    return sorted(written) == sorted(("openmcp", *fleet.members))


def count_watches(fleet: SimulatedFleet) -> dict[str, int]:
    """Watches that run at each cluster."""
    return {cluster.name: cluster.faults.watches for cluster in (fleet.host, *fleet.members.values())}


def are_watched_once(fleet: SimulatedFleet) -> bool:
    """Each cluster, for each kind that is followed: pods, nodes, namespaces, events and five of workloads."""
    return set(count_watches(fleet).values()) == {9}


def count_lists(fleet: SimulatedFleet) -> dict[str, int]:
    """Lists that each cluster was asked for."""
    return {cluster.name: cluster.server.lists for cluster in (fleet.host, *fleet.members.values())}
