"""What yesterday's portals do all day, beside nginx with TLS, in front of a fleet that is at work.

Ten simulated members with their heartbeats and watches, the nodes' points in an InfluxDB 1.x as the original had them,
and a real API server that has the object of 1 KB. nginx passes that object on, with TLS on both ways as ours, checks
neither token nor rights, and writes no log line. The original can't be run here: `GOALS` has what it gave, as parts of
nginx, in one run with both.

Where each call has a connection of its own, wrk resumes its TLS session, with nginx as with ours. The portals do not,
which costs both servers the same few microseconds more, and them a lot.
"""

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import yaml

from bench.interleave import run_interleaved
from bench.load import Ask, Load, fetch
from bench.metric_data import build_node_lines, list_nodes
from bench.nginx import open_proxy
from bench.passing import CALLS, MAX_MORE_DESCRIPTORS, Process, call_many
from bench.row import Goal, Row, Scale, amount, build_row, within
from bench.rows.pass_through import PATH, is_passed, pad
from bench.rows.portal import LABELLED_NODES, build_pages, load_waves
from bench.rows.proxies import rate_row
from bench.rows.real_pass_through import start_api
from bench.rows.usage import in_front_of
from bench.servers import PASSWORD, USER, Running, Simulated, open_server, open_simulated, wait_pods, wait_until
from bench.skipped import Skipped
from bench.wrk import run_wrk
from realfleet.cache import MissingServersError, find_binaries
from realfleet.influx import start_influx
from realfleet.pki import build_cluster_files
from realfleet.processes import open_servers

MEMBERS, NODES, PODS = 10, 10, 500
SECONDS = 2.0
REAL = "real"
OBJECT = "1 KB object"

GOALS: Mapping[tuple[str, bool, int], tuple[float, float]] = {
    (OBJECT, True, 1): (3, 0.29),
    (OBJECT, True, 16): (3, 0.20),
    (OBJECT, False, 1): (2, 0.62),
    (OBJECT, False, 16): (2, 0.55),
    ("newest metric of a node", True, 1): (2, 0.56),
    ("newest metric of a node", True, 16): (2, 0.31),
    ("newest metric of a node", False, 1): (1.5, 0.94),
    ("newest metric of a node", False, 16): (1.5, 0.77),
    ("/token", False, 1): (1, 1.72),
    ("/token", False, 16): (1, 1.22),
}
"""By what is asked for, whether connections are kept, and how many there are: times the original, its part of nginx."""

OF_NGINX: Mapping[tuple[bool, int], float] = {(True, 1): 0.85, (True, 16): 0.7, (False, 16): 0.7}
"""What the object is to reach of nginx itself, by whether connections are kept and how many there are."""

MEMORY = amount(81, "MiB")
"""What the original took in that run; it did not give back what calls took."""

GROWTH = amount(8, "MiB")
_NGINX = "nginx with TLS, the 1 KB object"


@dataclass(frozen=True)
class Legacy:
    """The server, what it is asked, and nginx in front of the same object."""

    server: Running
    fleet: Simulated
    asks: Mapping[str, Ask]
    nginx: Ask


async def measure(rounds: int) -> list[Row]:
    """Rates, pages and what is held on to. Raises Skipped without the real servers, nginx or wrk."""
    async with _open_legacy() as legacy:
        idle = Process("server", legacy.server.pid).megabytes
        rows = [row for key in GOALS for row in await _compare_rates(legacy, rounds, *key)]
        rows += await _compare_pages(legacy, rounds)
        return rows + await _measure_memory(legacy, idle)


@asynccontextmanager
async def _open_legacy() -> AsyncIterator[Legacy]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        (folder / "proxy").mkdir()
        files = build_cluster_files(folder / "files", "legacy")
        fleet = await stack.enter_async_context(open_simulated(MEMBERS, PODS, NODES))
        servers = stack.enter_context(open_servers())
        try:
            binaries = find_binaries()
        except MissingServersError as error:
            raise Skipped(f"needs the real servers, which `make real` builds ({error})") from error
        api = await asyncio.to_thread(start_api, servers, binaries, REAL)
        influx = await asyncio.to_thread(start_influx, servers, binaries)
        written = _add_member(fleet.kubeconfig, api.write_kubeconfig(servers.folder / "kubeconfig"), folder)
        bearer = f"Bearer {api.tokens.admin}"
        direct = Ask(
            api.url + PATH, {"Authorization": bearer}, tls=ssl.create_default_context(cafile=str(api.files.ca))
        )
        await pad(direct)
        proxy = await stack.enter_async_context(open_proxy(folder / "proxy", api.files, api.url, bearer, files))
        server = await stack.enter_async_context(open_server(written, in_front_of(influx), files))
        await wait_pods(server, MEMBERS * PODS)
        nodes = await list_nodes(server)
        for lines in build_node_lines(nodes):
            await asyncio.to_thread(influx.write, lines)
        asks = {
            OBJECT: server.ask(f"{PATH}?clustername={REAL}"),
            "newest metric of a node": server.ask(f"/metrics/nodes/{nodes[0].name}?clustername={nodes[0].cluster}"),
            "/token": replace(server.ask(f"/token?username={USER}&password={PASSWORD}"), headers={}),
        }
        nginx = Ask(proxy + PATH, {"Accept": "application/json"}, tls=server.tls)
        for ask in (*asks.values(), nginx):
            await wait_until(partial(is_passed, ask), f"{ask.url} is answered")
        assert await fetch(nginx) == await fetch(asks[OBJECT]), "nginx does not pass the same on"
        yield Legacy(server, fleet, asks, nginx)


def _add_member(simulated: Path, real: Path, folder: Path) -> Path:
    """A kubeconfig of the simulated clusters and the real one."""
    config, more = (yaml.safe_load(path.read_text()) for path in (simulated, real))
    for part in ("clusters", "users", "contexts"):
        config[part] += more[part]
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


async def _compare_rates(legacy: Legacy, rounds: int, what: str, kept: bool, connections: int) -> list[Row]:
    """Ours against nginx in the same way."""
    sides: Mapping[str, Callable[[], Awaitable[Load]]] = {
        side: partial(run_wrk, ask, connections, SECONDS, kept=kept)
        for side, ask in (("ours", legacy.asks[what]), ("nginx", legacy.nginx))
    }
    samples = await run_interleaved(sides, rounds)
    times, part = GOALS[what, kept, connections]
    goals = [Goal(Scale.RATIO, times * part, f"{times:g} x the original's {part:g}")]
    if what == OBJECT and (kept, connections) in OF_NGINX:
        goals.append(within(OF_NGINX[kept, connections], "nginx"))
    way = f"{connections} conn." if kept else f"{connections} at once, a conn. a call"
    return [rate_row(f"{what}, {way}", samples, goal, _NGINX) for goal in goals]


async def _compare_pages(legacy: Legacy, rounds: int) -> list[Row]:
    """The portal's pages by its own calls, against as many of 1 KB through nginx, in the same waves."""
    nodes = await list_nodes(legacy.server)
    names = {key.cluster: [node.name for node in nodes if node.cluster == key.cluster] for key in nodes}
    rows = []
    for page in build_pages(names):
        if page.question is LABELLED_NODES:  # of the same calls as another
            continue
        waves = [[legacy.server.ask(path) for path in wave] for wave in page.waves]
        sides = {
            "ours": partial(load_waves, waves),
            "nginx": partial(load_waves, [[legacy.nginx] * len(wave) for wave in waves]),
        }
        samples = await run_interleaved(sides, rounds)
        ours, nginx = ([second * 1000 for second in samples[side]] for side in sides)
        rows.append(build_row(f"{page.title}: by the old calls", "ms", ours, nginx, against=_NGINX))
    return rows


async def _measure_memory(legacy: Legacy, idle: float) -> list[Row]:
    """Before the calls of the rows above, and what ten thousand more leave behind."""
    process = Process("server", legacy.server.pid)
    before, descriptors = process.megabytes, process.descriptors
    await call_many(legacy.server, CALLS)
    title = f"legacy face, {MEMBERS + 2} clusters of {NODES} nodes and {PODS} pods"
    return [
        build_row(f"{title}: memory", "MiB", [idle], goal=MEMORY),
        build_row(f"{title}: more after {CALLS:,} calls", "MiB", [process.megabytes - before], goal=GROWTH),
        build_row(
            f"{title}: descriptors, more after {CALLS:,} calls",
            "",
            [process.descriptors - descriptors],
            goal=amount(MAX_MORE_DESCRIPTORS, "kept"),
        ),
    ]
