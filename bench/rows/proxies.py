"""What passing through costs beside nginx as the proxy and beside asking directly, in front of a cheap upstream."""

import ssl
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import yaml

from bench.interleave import run_interleaved
from bench.load import Ask, Load, fetch
from bench.nginx import open_files_server, open_proxy
from bench.row import Goal, Row, build_row
from bench.rows.pass_through import is_passed
from bench.servers import HOST_CONTEXT, Running, open_server, wait_until
from bench.wrk import run_wrk
from realfleet.pki import ClusterFiles, build_cluster_files

SECONDS = 2.0
CONNECTIONS = 16
SIZES = (("1 KB", 1_000), ("100 KB", 100_000), ("5 MB", 5_000_000))

_TOKEN = "a-token-of-the-benchmark"
_LIST = b'{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}'


async def measure(rounds: int) -> list[Row]:
    """In front of nginx with TLS, which does next to nothing for an answer. Raises Skipped without nginx or wrk."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        for name in ("upstream", "proxy"):
            (folder / name).mkdir()
        files = build_cluster_files(folder / "files", "cluster1")
        paths = {f"/api/v1/namespaces/x{size}": _build_object(size) for _, size in SIZES}
        contents = paths | {"/readyz": b"ok", "/version": b'{"gitVersion":"v1.36.3"}'}
        contents |= {"/api/v1/pods": _LIST, "/api/v1/nodes": _LIST}
        upstream = await stack.enter_async_context(open_files_server(folder / "upstream", files, contents))
        proxy = await stack.enter_async_context(open_proxy(folder / "proxy", files, upstream, f"Bearer {_TOKEN}"))
        server = await stack.enter_async_context(open_server(_write_kubeconfig(folder, files, upstream)))
        rows: list[Row] = []
        for (name, _), path in zip(SIZES, paths, strict=True):
            sides = await build_sides(server, files, upstream, proxy, path)
            rows += await compare(sides, rounds, f"{name} from nginx")
        return rows


async def build_sides(
    server: Running,
    files: ClusterFiles,
    upstream: str,
    proxy: str,
    path: str,
    cluster: str = HOST_CONTEXT,
    token: str = _TOKEN,
) -> Mapping[str, Ask]:
    """The same question three ways; what comes back is checked to be the same."""
    headers = {"Accept": "application/json"}
    tls = ssl.create_default_context(cafile=str(files.ca))
    direct = Ask(upstream + path, headers | {"Authorization": f"Bearer {token}"}, tls=tls)
    ours = server.ask(f"{path}?clustername={cluster}")
    await wait_until(partial(is_passed, ours), "the upstream is reached through the server")
    sides = {"ours": ours, "nginx": Ask(proxy + path, headers), "direct": direct}
    assert len({await fetch(ask) for ask in sides.values()}) == 1, "the three ways do not answer the same"
    return sides


async def compare(asks: Mapping[str, Ask], rounds: int, title: str) -> list[Row]:
    """Throughput against nginx's, and the time that a single caller waits against asking directly."""
    many = await run_interleaved(_load(asks, ("ours", "nginx"), CONNECTIONS, kept=True), rounds)
    alone = await run_interleaved(_load(asks, ("ours", "nginx", "direct"), 1, kept=True), rounds)
    return [
        rate_row(f"{title}, {CONNECTIONS} conn.: rate", many),
        _wait_row(f"{title}, 1 conn.: p50", alone, "direct", "asked directly"),
        _wait_row(f"{title}, 1 conn.: p50", alone, "nginx", "nginx as the proxy"),
    ]


async def compare_single_calls(asks: Mapping[str, Ask], rounds: int, title: str) -> list[Row]:
    """Throughput against nginx's, one connection a call, as yesterday's portals do."""
    samples = await run_interleaved(_load(asks, ("ours", "nginx"), CONNECTIONS, kept=False), rounds)
    return [rate_row(f"{title}, a conn. a call: rate", samples)]


def rate_row(
    name: str, samples: Mapping[str, list[Load]], goal: Goal | None = None, against: str = "nginx as the proxy"
) -> Row:
    ours, nginx = ([load.rate for load in samples[side]] for side in ("ours", "nginx"))
    return build_row(name, "/s", ours, nginx, against=against, higher_is_better=True, goal=goal)


def _wait_row(name: str, samples: Mapping[str, list[Load]], anchor: str, against: str) -> Row:
    ours, other = ([load.p50 * 1000 for load in samples[side]] for side in ("ours", anchor))
    return build_row(name, "ms", ours, other, against=against)


def _load(
    asks: Mapping[str, Ask], sides: tuple[str, ...], connections: int, *, kept: bool
) -> Mapping[str, Callable[[], Awaitable[Load]]]:
    return {side: partial(run_wrk, asks[side], connections, SECONDS, kept=kept) for side in sides}


def _build_object(size: int) -> bytes:
    head, tail = b'{"kind":"Namespace","apiVersion":"v1","metadata":{"annotations":{"x":"', b'"}}}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


def _write_kubeconfig(folder: Path, files: ClusterFiles, url: str) -> Path:
    name = HOST_CONTEXT
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url, "certificate-authority": str(files.ca)}}],
        "users": [{"name": name, "user": {"token": _TOKEN}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path
