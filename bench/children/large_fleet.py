"""What a large fleet costs a process that holds it, and what reading it takes there.

`python -m bench.children.large_fleet memory whole|fields PODS` says what pods take, with or without whole objects;
`... memory workloads PODS` what the Deployments of so many pods take,
`... pages MEMBERS PODS ROUNDS` what questions take, PODS being those of a member. One line of JSON each.
`... pages MEMBERS PODS ROUNDS NATS` asks one that follows what `... write MEMBERS PODS NATS` publishes until its input
ends, after a line that says that all has been.
"""

import asyncio
import ctypes
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import msgspec
import orjson
import uvloop
from msgspec import Struct
from msgspec.structs import replace

from auth.principal import Principal
from bench.children.load_cache import read_rss
from bench.memory_fleet import MemorySource, MemoryUsage, iter_deployments, iter_pages
from bench.servers import wait_until
from fleet.cache.store import build_store
from fleet.cache.stores import Stores
from fleet.federation import Federation
from fleet.kubernetes.codec.codec import PODS, WORKLOADS, Codec
from fleet.kubernetes.codec.pods import build_pod, decode_pod
from fleet.live.usage_cache import UsageCache
from fleet.members.watching import Watching
from fleet.model import kinds
from fleet.model.objects import Pod
from fleet.model.visibility import Role, Scope
from fleet.ports import MetricStore
from fleet.registry import BuildFiller, FleetOptions, open_federation
from fleet.replication.options import NatsOptions
from fleet.replication.replica import open_replica
from graph.limits.limits import DEFAULT_LIMITS
from graph.loading.context import Context
from graph.loading.loaders import build_loaders
from graph.schema import schema

_ADMINISTRATOR = Principal("bench", Scope(Role.ADMIN))
_ALONE = 50
_SECONDS = 240.0
_UNLIMITED = replace(DEFAULT_LIMITS, cost=1_000_000_000)
_MEMBERS = 10
_RANKED = """{ pods(first: 100, filter: { labelSelector: "LABEL" }, orderBy: [{ usage: CPU_CORES, direction: DESC }]) {
    totalCount items { name namespace phase usage { cpuCores } } } }"""
_FILTERED = (
    '{ pods(first: 100, filter: { labelSelector: "team=search" }) { totalCount items { name namespace phase } } }'
)
_PLAIN = "{ pods(first: 100) { totalCount pageInfo { endCursor } items { name namespace phase } } }"
_TEXT = "{ pods(first: 100, orderBy: [{ field: NAME, direction: DESC }]) { items { name namespace phase } } }"
_GROUPS = """{ pods(first: 0) { groups(by: NAMESPACE) { totalCount items { keys { value } count } } } }"""
_GROUPS_REQUESTS = """{ pods(first: 0) { groups(by: NAMESPACE, orderBy: [{ requests: MEMORY_BYTES, direction: DESC }]) {
    items { keys { value } count requests { cpuCores memoryBytes } } } } }"""
_GROUPS_USAGE = """{ pods(first: 0) {
    groups(by: NAMESPACE, orderBy: [{ usage: MEMORY_PERCENT, percentOf: REQUEST, direction: DESC }]) {
    items { keys { value } count requests { memoryBytes } usage { memoryBytes memoryPercent(of: REQUEST) } } } } }"""
_SEARCHED = """{ search(text: "TEXT", first: 20) {
    hits { kind cluster namespace name field value object { ... on Pod { status } } } } }"""
_WORKLOADS = """{ workloads(first: 100, orderBy: [{ field: RESTARTS, direction: DESC }]) {
    totalCount items { name namespace kind desired ready rollout restarts } } }"""
_USING = """{ workloads(first: 20, orderBy: [{ usage: CPU_CORES, direction: DESC }]) {
    items { name namespace kind usage { cpuCores } } } }"""
_PROBLEMS = "{ problems { totalCount items { cause reason count clusters since examples { name message } } } }"
_TENTH = """query Read($after: String) { pods(first: 10000, after: $after) {
    pageInfo { hasNextPage endCursor } items { name namespace phase status restarts } } }"""


class Memory(Struct):
    """Pods, and how much the process's resident memory grew by them, in bytes."""

    pods: int
    rss_bytes: int


class Times(Struct):
    """Seconds of each sample, by what was asked; `rss_bytes` is what the fleet takes of the process."""

    samples: dict[str, list[float]]
    pods: int
    rss_bytes: int
    sync_seconds: float


def measure_memory(way: str, pods: int) -> Memory:
    """Fills stores as reflectors do, from pages of bytes."""
    codec = PODS if way == "whole" else Codec("Pod", PODS.path, _without_manifest)
    stores = [build_store(kinds.PODS) for _ in range(_MEMBERS)]
    before = _settled_rss()
    for number, store in enumerate(stores):
        staged = store.stage()
        for page in iter_pages(number, pods // _MEMBERS):
            staged.add(codec.decode_list(page, f"cluster{number:03d}").records)
        staged.commit()
    return Memory(sum(map(len, stores)), _settled_rss() - before)


def measure_workloads(pods: int) -> Memory:
    """Likewise, of Deployments, without the pods that they run."""
    ((kind, codec),) = ((kind, codec) for kind, codec in WORKLOADS.items() if kind[0] == "Deployment")
    stores = [Stores() for _ in range(_MEMBERS)]
    before = _settled_rss()
    for number, store in enumerate(stores):
        staged = store.workloads.part(*kind).stage()
        for page in iter_deployments(pods // _MEMBERS):
            staged.add(codec.decode_list(page, f"cluster{number:03d}").records)
        staged.commit()
    return Memory(sum(len(store.workloads) for store in stores), _settled_rss() - before)


def _without_manifest(raw: bytes, cluster: str) -> Pod:
    return build_pod(decode_pod(raw), cluster, b"")


def _settled_rss() -> int:
    """Resident bytes after what is free was given back to the system."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    return read_rss()


@asynccontextmanager
async def _open_fleet(members: int, pods: int, build: BuildFiller) -> AsyncIterator[Federation]:
    """As soon as all pods are in memory."""
    async with open_federation(MemorySource(members, pods), FleetOptions(fresh_seconds=3600), build) as federation:
        held = UsageCache(cast("MetricStore", MemoryUsage()), federation.pods_of, max_age=3600)

        async def has_all() -> bool:
            found = await _ask(federation, held, "{ pods(first: 0) { totalCount } }")
            return bool(found["pods"]["totalCount"] == members * pods)

        await wait_until(has_all, "all pods are in memory", _SECONDS)
        yield federation


async def write(members: int, pods: int, nats: str) -> None:
    """Lists all and publishes it, says so, and goes on until standard input ends."""
    async with open_replica(_share(nats, writes=True)) as replica, _open_fleet(members, pods, replica.fill):

        async def has_published() -> bool:
            figures = [*replica.figures()]
            return sum(each.published for each in figures) >= members * pods and not any(
                each.pending for each in figures
            )

        await wait_until(has_published, "all pods are published", _SECONDS)
        print("written", flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _share(nats: str, *, writes: bool) -> NatsOptions:
    return NatsOptions(servers=(nats,), replica=f"bench-{os.getpid()}", writes=writes)


async def measure_pages(members: int, pods: int, rounds: int, nats: str | None = None) -> Times:
    """Executes operations on the graph, encoding included and HTTP not, when all is in memory."""
    before, started = _settled_rss(), time.perf_counter()
    async with AsyncExitStack() as stack:
        build: BuildFiller = Watching
        if nats is not None:
            build = (await stack.enter_async_context(open_replica(_share(nats, writes=False)))).fill
        federation = await stack.enter_async_context(_open_fleet(members, pods, build))
        synced = time.perf_counter() - started
        rss = _settled_rss() - before
        gc.freeze()
        store = MemoryUsage()
        held = UsageCache(cast("MetricStore", store), federation.pods_of, max_age=3600)
        asks: dict[str, Callable[[], Awaitable[Any]]] = {
            "plain": lambda: _ask(federation, held, _PLAIN),
            "filtered": lambda: _ask(federation, held, _FILTERED),
            "ranked": lambda: _ask(federation, held, _RANKED.replace("LABEL", "team=search")),
            "ranked tenth": lambda: _ask(federation, held, _RANKED.replace("LABEL", "tier=t3")),
            "by name": lambda: _ask(federation, held, _TEXT),
            "groups": lambda: _ask(federation, held, _GROUPS),
            "groups requests": lambda: _ask(federation, held, _GROUPS_REQUESTS),
            "groups usage": lambda: _ask(federation, held, _GROUPS_USAGE),
            "searched": lambda: _ask(federation, held, _SEARCHED.replace("TEXT", "svc-0012")),
            "searched for nothing": lambda: _ask(federation, held, _SEARCHED.replace("TEXT", "nothing of that sort")),
            "workloads": lambda: _ask(federation, held, _WORKLOADS),
            "workloads usage": lambda: _ask(federation, held, _USING),
            "problems": lambda: _ask(federation, held, _PROBLEMS),
            "all": lambda: _read_all(federation, held),
        }
        samples: dict[str, list[float]] = {name: [] for name in asks}
        for number in range(rounds + 1):
            for name, ask in asks.items():
                began = time.perf_counter()
                await ask()
                if number:  # the first one of each warms up
                    samples[name].append(time.perf_counter() - began)
        # By itself: above, questions that look at every pod empty the processor's caches before each one.
        samples["filtered alone"] = []
        for _ in range(_ALONE):
            began = time.perf_counter()
            await asks["filtered"]()
            samples["filtered alone"].append(time.perf_counter() - began)
        return Times(samples, members * pods, rss, synced)


async def _ask(federation: Federation, held: UsageCache, query: str, **variables: Any) -> Any:
    deadline = asyncio.get_running_loop().time() + 600
    store = cast("MetricStore", MemoryUsage())
    loaders = build_loaders(federation, _ADMINISTRATOR.scope, store, now=time.time(), deadline=deadline, held=held)
    context = Context(_ADMINISTRATOR, federation, loaders, encoded=True, limits=_UNLIMITED)
    result = await schema.execute(query, variable_values=variables, context_value=context)
    assert result.errors is None, result.errors
    orjson.dumps(result.data)
    return result.data


async def _read_all(federation: Federation, held: UsageCache) -> None:
    after: str | None = None
    while True:
        data = await _ask(federation, held, _TENTH, after=after)
        info = data["pods"]["pageInfo"]
        if not info["hasNextPage"]:
            return
        after = info["endCursor"]


if __name__ == "__main__":
    if sys.argv[1] == "memory" and sys.argv[2] == "workloads":
        answer: Memory | Times = measure_workloads(int(sys.argv[3]))
    elif sys.argv[1] == "memory":
        answer = measure_memory(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1] == "write":
        sys.exit(uvloop.run(write(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
    else:
        members, pods, rounds = map(int, sys.argv[2:5])
        answer = uvloop.run(measure_pages(members, pods, rounds, *sys.argv[5:]))
    print(msgspec.json.encode(answer).decode())
