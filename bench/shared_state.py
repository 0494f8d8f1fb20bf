"""Servers that share one state, beside one that watches by itself."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.servers import Running, open_server, wait_pods
from bench.skipped import Skipped
from realfleet.cache import MissingServersError, find_nats
from realfleet.nats import NatsServer, start_nats
from realfleet.processes import open_servers

FOLLOWS = {"OPENMCP_NATS_WRITES": "false"}
_TICKS = os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def open_nats() -> AsyncIterator[NatsServer]:
    """A nats-server with JetStream. Raises Skipped where there is none."""
    try:
        program = find_nats()
    except MissingServersError as error:
        raise Skipped(f"needs nats-server ({error})") from error
    with open_servers() as servers:
        yield await asyncio.to_thread(start_nats, servers, program)


@dataclass(frozen=True)
class Replicas:
    """The three that are compared: all have all pods in memory."""

    alone: Running
    writer: Running
    follower: Running


@asynccontextmanager
async def open_replicas(kubeconfig: Path, nats: NatsServer, pods: int) -> AsyncIterator[Replicas]:
    """A server that watches by itself, one that writes what all share, and one that only follows. Raises StartError."""
    shared = share(nats)
    async with (
        open_server(kubeconfig) as alone,
        open_server(kubeconfig, shared) as writer,
        open_server(kubeconfig, shared | FOLLOWS) as follower,
    ):
        for server in (alone, writer, follower):
            await wait_pods(server, pods)
        yield Replicas(alone, writer, follower)


def share(nats: NatsServer) -> dict[str, str]:
    """The settings of a server that takes part in the shared state."""
    return {"OPENMCP_STATE": "nats", "OPENMCP_NATS_URL": nats.url}


def read_cpu(pid: int) -> float:
    """Seconds of CPU that a process took until now. Source: proc(5), /proc/pid/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def read_resident(pid: int) -> int:
    """Its resident bytes. Source: proc(5), /proc/pid/statm."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def check_linux() -> None:
    """Raises Skipped where the system does not say what a process takes."""
    if sys.platform != "linux":
        raise Skipped("needs Linux, which says in /proc what a process takes")
