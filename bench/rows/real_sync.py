"""The first list of 10,000 pods of a real API server: until in memory, against `kubectl get pods -A -o json`."""

import asyncio
import ssl
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import aiohttp
import msgspec
import orjson

from bench.children.load_cache import Cost
from bench.interleave import run_interleaved
from bench.memory_fleet import build_pod
from bench.row import Row, build_row, within
from bench.rows.real_pass_through import start_api
from bench.servers import StartError, run_to_end
from bench.skipped import Skipped
from realfleet.apiserver import ApiServer
from realfleet.cache import MissingServersError, find_binaries
from realfleet.processes import open_servers

PODS = 10_000
_AT_ONCE = 16


async def measure(rounds: int) -> list[Row]:
    """Both start anew for each sample; ours is the time of the lists, kubectl's of the whole command.

    Raises Skipped without the real servers.
    """
    try:
        binaries = find_binaries()
    except MissingServersError as error:
        raise Skipped(f"needs the real servers, which `make real` builds ({error})") from error
    async with AsyncExitStack() as stack:
        servers = stack.enter_context(open_servers())
        api = await asyncio.to_thread(start_api, servers, binaries)
        kubeconfig = api.write_kubeconfig(servers.folder / "kubeconfig")
        await _create_pods(api)
        sides = {"ours": partial(_sync, kubeconfig), "kubectl": partial(_get_all, binaries.kubectl, kubeconfig)}
        seconds = await run_interleaved(sides, rounds)
    title = f"{PODS:,} pods of a real API server: until in memory"
    against, goal = "kubectl get pods -A -o json", within(1, "kubectl's")
    return [build_row(title, "s", seconds["ours"], seconds["kubectl"], against=against, goal=goal)]


async def _create_pods(api: ApiServer) -> None:
    context = ssl.create_default_context(cafile=str(api.files.ca))
    headers = {"Authorization": f"Bearer {api.tokens.admin}", "Content-Type": "application/json"}
    numbers = iter(range(PODS))
    async with aiohttp.ClientSession(api.url, headers=headers, connector=aiohttp.TCPConnector(ssl=context)) as session:

        async def create(path: str, body: object) -> None:
            async with session.post(f"/api/v1/namespaces/default/{path}", data=orjson.dumps(body)) as answer:
                if answer.status != 201:
                    raise StartError(f"a real API server refuses {path}: {(await answer.text())[:300]}")

        async def create_next() -> None:
            for number in numbers:
                await create("pods", _build_request(number))

        await create("serviceaccounts", {"metadata": {"name": "default"}})
        await asyncio.gather(*(create_next() for _ in range(_AT_ONCE)))


def _build_request(number: int) -> object:
    """A pod as a controller would ask for it; the API server adds the rest."""
    pod = orjson.loads(build_pod(0, number, PODS, 0))
    kept = ("name", "labels", "annotations")
    spec = {"containers": pod["spec"]["containers"], "automountServiceAccountToken": False}
    for container in spec["containers"]:
        del container["volumeMounts"]
    return {"metadata": {name: pod["metadata"][name] for name in kept}, "spec": spec}


async def _sync(kubeconfig: Path) -> float:
    cost = msgspec.json.decode(await run_to_end("-m", "bench.children.load_cache", "cache", str(kubeconfig)), type=Cost)
    if cost.pods != PODS:
        raise StartError(f"{cost.pods} of {PODS} pods are in memory")
    return cost.seconds


async def _get_all(kubectl: Path, kubeconfig: Path) -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        kubectl, f"--kubeconfig={kubeconfig}", "get", "pods", "-A", "-o", "json", stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        raise StartError("kubectl failed")
    return time.perf_counter() - began
