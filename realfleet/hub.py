"""A hub and a cluster beside it on real API servers, without nodes or pods: for what lists clusters in objects."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from realfleet.apiserver import ApiServer, start_api_server, wait_ready
from realfleet.cache import Binaries, find_binaries
from realfleet.etcd import start_etcd
from realfleet.pki import build_cluster_files
from realfleet.ports import list_free_ports
from realfleet.processes import Servers, open_servers


@dataclass(frozen=True)
class Hub:
    """`api` is the hub's. Made by `open_hub`."""

    api: ApiServer
    member: ApiServer
    kubeconfig: Path
    """An administrator's, of the hub alone."""
    servers: Servers = field(repr=False)
    binaries: Binaries = field(repr=False)


@contextmanager
def open_hub() -> Iterator[Hub]:
    """Both ready. Raises MissingServersError, FleetError."""
    binaries = find_binaries()
    with open_servers() as servers:
        etcd_url = start_etcd(servers, binaries)
        hub, member = (
            start_api_server(servers, binaries, name, port, build_cluster_files(servers.folder / name, name), etcd_url)
            for name, port in zip(("hub", "member"), list_free_ports(2), strict=True)
        )
        for api in (hub, member):
            wait_ready(servers, api)
        yield Hub(hub, member, hub.write_kubeconfig(servers.folder / "hub.yaml"), servers, binaries)
