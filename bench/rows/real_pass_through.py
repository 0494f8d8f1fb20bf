"""The same 1 KB in front of a real kube-apiserver: one API server and one etcd, nothing else of a fleet."""

import asyncio
import ssl
from contextlib import AsyncExitStack

from bench.load import Ask
from bench.nginx import open_proxy
from bench.row import Row
from bench.rows import proxies
from bench.rows.pass_through import PATH, compare
from bench.servers import open_server
from bench.skipped import Skipped
from realfleet.apiserver import ApiServer, start_api_server, wait_ready
from realfleet.cache import Binaries, MissingServersError, find_binaries
from realfleet.etcd import start_etcd
from realfleet.pki import build_cluster_files
from realfleet.ports import list_free_ports
from realfleet.processes import Servers, open_servers

_NAME = "cluster1"


async def measure(rounds: int) -> list[Row]:
    """In front of a real API server, HTTPS on both ways to it. Raises Skipped without the real servers."""
    try:
        binaries = find_binaries()
    except MissingServersError as error:
        raise Skipped(f"needs the real servers, which `make real` builds ({error})") from error
    async with AsyncExitStack() as stack:
        servers = stack.enter_context(open_servers())
        api = await asyncio.to_thread(start_api, servers, binaries)
        kubeconfig = api.write_kubeconfig(servers.folder / "kubeconfig")
        server = await stack.enter_async_context(open_server(kubeconfig))
        headers = {"Accept": "application/json", "User-Agent": "bench", "Authorization": f"Bearer {api.tokens.admin}"}
        direct = Ask(api.url + PATH, headers, tls=ssl.create_default_context(cafile=str(api.files.ca)))
        rows = await compare(server, _NAME, direct, rounds, "real API server")
        (servers.folder / "proxy").mkdir()
        proxy = await stack.enter_async_context(
            open_proxy(servers.folder / "proxy", api.files, api.url, f"Bearer {api.tokens.admin}")
        )
        sides = await proxies.build_sides(server, api.files, api.url, proxy, PATH, _NAME, api.tokens.admin)
        title = "1 KB from a real API server"
        rows += await proxies.compare(sides, rounds, title)
        return rows + await proxies.compare_single_calls(sides, rounds, title)


def start_api(servers: Servers, binaries: Binaries, name: str = _NAME) -> ApiServer:
    """One API server on an etcd of its own, when it is ready."""
    (port,) = list_free_ports(1)
    files = build_cluster_files(servers.folder / name, name)
    api = start_api_server(servers, binaries, name, port, files, start_etcd(servers, binaries))
    wait_ready(servers, api)
    return api
