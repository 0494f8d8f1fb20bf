"""Loads all pods of a kubeconfig's clusters once, in one of several ways, and says what that cost this process.

`python -m bench.children.load_cache cache|json|msgspec KUBECONFIG` writes one line of JSON: pods, seconds (wall),
cpu_seconds (of this process), rss_bytes (how much its resident memory grew).
"""

import asyncio
import gc
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import orjson
import uvloop
import yaml

from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.model.kinds import PODS
from fleet.model.objects import OnUnavailable
from fleet.model.queries import PageRequest, PodFilter
from fleet.model.visibility import EVERYTHING
from fleet.registry import FleetOptions, open_federation

_SYNC_SECONDS = 60.0
_PAGE = 250  # as large as the reflector's


@dataclass(frozen=True)
class Cost:
    """What it cost to have the pods in memory."""

    pods: int
    seconds: float
    cpu_seconds: float
    rss_bytes: int


@dataclass(frozen=True)
class Place:
    """A cluster and how it is reached."""

    cluster: str
    server: str
    token: str


def load_places(kubeconfig: Path) -> list[Place]:
    """The clusters of a kubeconfig's contexts."""
    config = yaml.safe_load(kubeconfig.read_text())
    users = {entry["name"]: entry["user"] for entry in config["users"]}
    clusters = {entry["name"]: entry["cluster"] for entry in config["clusters"]}
    contexts = {entry["name"]: entry["context"] for entry in config["contexts"]}
    return [
        Place(name, clusters[context["cluster"]]["server"], users[context["user"]]["token"])
        for name, context in contexts.items()
    ]


@asynccontextmanager
async def open_cache(kubeconfig: Path) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Ours: the federation with its watches open; loads nodes and namespaces as well."""
    async with AsyncExitStack() as stack:

        async def load() -> int:
            source = await stack.enter_async_context(open_kubeconfig_source((kubeconfig,)))
            federation = await stack.enter_async_context(open_federation(source, FleetOptions()))
            await federation.wait_synced(_SYNC_SECONDS)
            one = PageRequest(first=1)
            page = await federation.list_page(PODS, EVERYTHING, PodFilter(), (), one, OnUnavailable.STRICT)
            return len(page.matched)

        yield load


@asynccontextmanager
async def open_dicts(
    places: list[Place], decode: Callable[[bytes], Any]
) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """The anchor: the same lists in the same pages, decoded to dicts and kept by name."""
    kept: dict[tuple[str, str, str], Any] = {}
    async with aiohttp.ClientSession() as session:

        async def load_cluster(place: Place) -> None:
            headers = {"Authorization": f"Bearer {place.token}", "Accept-Encoding": "identity"}
            query = {"limit": str(_PAGE)}
            while True:
                async with session.get(f"{place.server}/api/v1/pods", params=query, headers=headers) as answer:
                    page = decode(await answer.read())
                for item in page["items"]:
                    kept[place.cluster, item["metadata"]["namespace"], item["metadata"]["name"]] = item
                if not (following := page["metadata"].get("continue")):
                    return
                query["continue"] = following

        async def load() -> int:
            async with asyncio.TaskGroup() as group:
                for place in places:
                    group.create_task(load_cluster(place))
            return len(kept)

        yield load


async def measure(way: str, kubeconfig: Path) -> Cost:
    """Runs one way of loading, with everything imported and the garbage collected before and after."""
    decoders: dict[str, Callable[[bytes], Any]] = {"json": json.loads, "msgspec": msgspec.json.decode}
    opened = open_cache(kubeconfig) if way == "cache" else open_dicts(load_places(kubeconfig), decoders[way])
    async with opened as load:
        gc.collect()
        rss, cpu, started = read_rss(), time.process_time(), time.perf_counter()
        pods = await load()
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
        gc.collect()
        return Cost(pods, seconds, cpu_seconds, read_rss() - rss)


def read_rss() -> int:
    """Resident bytes of this process. Source: proc(5), /proc/pid/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmRSS")


if __name__ == "__main__":
    logging.disable()  # that the clusters' connections close at the end is no news
    print(orjson.dumps(uvloop.run(measure(sys.argv[1], Path(sys.argv[2])))).decode())
