"""A whole fleet: a host and its members on real API servers, pods that run, and metrics that arrive."""

import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from realfleet.apiserver import ApiServer, start_api_server, wait_ready
from realfleet.cache import Binaries, find_binaries
from realfleet.cluster import Cluster
from realfleet.collector import Collector, open_collectors
from realfleet.crds import install_crds
from realfleet.etcd import start_etcd
from realfleet.influx import Influx, start_influx
from realfleet.kubeconfig import Access, build_kubeconfig, write_private
from realfleet.member import create_viewers, start_member
from realfleet.membership import (
    HOST_NAME,
    KUBEFED_NAMESPACE,
    PLATFORM_NAMESPACE,
    Place,
    place_of,
    register_member,
    register_spare,
)
from realfleet.metrics_server import aggregation_flags
from realfleet.pki import build_cluster_files
from realfleet.ports import list_free_ports
from realfleet.processes import Servers, open_servers
from realfleet.workloads import NAMESPACES_PATH, build_namespace

SPARE_NAME = "spare"
"""A cluster that is registered in the host and has not joined. Nobody answers at its address."""

_DELIVERY_TIMEOUT = 120.0
_SPARE_URL = "https://192.0.2.10:6443"
_HOST_PLACE = Place("On-Premise", "KR", ("Seoul",))


@dataclass(frozen=True)
class FleetSize:
    """What a fleet has; pods and nodes are each member's, the cadence is the seconds between two metric deliveries."""

    members: int = 2
    pods: int = 50
    nodes: int = 3
    influx: bool = True
    cadence: float = 5.0
    metrics_servers: bool = False


@dataclass(frozen=True)
class Fleet:
    """A running fleet. Made by `open_fleet`."""

    host: Cluster
    members: tuple[Cluster, ...]
    kubeconfig: Path
    """Contexts `openmcp` (the current one), `cluster1` ..., everything embedded."""
    servers: Servers = field(repr=False)
    store: Influx | None = None
    signing_key: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    @property
    def influx(self) -> Influx:
        """The metric store. Raises LookupError for a fleet that was opened without one."""
        if self.store is None:
            raise LookupError("this fleet was opened without InfluxDB")
        return self.store

    def cluster(self, name: str) -> Cluster:
        """The host (`openmcp`) or a member by name. Raises LookupError."""
        for cluster in (self.host, *self.members):
            if cluster.name == name:
                return cluster
        raise LookupError(f"the fleet has no cluster {name!r}")

    def kubectl(self, cluster: str, *arguments: str, stdin: str | None = None) -> str:
        """The output of kubectl on one cluster. Raises FleetError."""
        return self.cluster(cluster).kubectl(*arguments, stdin=stdin)

    def wait_whole(self, timeout: float = 120.0) -> None:
        """Until every member runs exactly the pods it began with. Raises FleetError."""
        for member in self.members:
            member.wait_whole(timeout)

    def environment(self, kubeconfig: Path | None = None) -> dict[str, str]:
        """All that `openmcp-apiserver serve` needs in front of this fleet; `kubeconfig` is where that was copied to."""
        variables = {
            "OPENMCP_CLUSTER_SOURCE": "kubefed",
            "OPENMCP_KUBECONFIG": str(kubeconfig or self.kubeconfig),
            "OPENMCP_HOST_CONTEXT": self.host.name,
            "OPENMCP_SIGNING_KEY": self.signing_key,
            "API_USER_NAME": "openmcp",
            "API_USER_PW": "keti",
            "OPENMCP_PORT": "8080",
            "OPENMCP_OPS_PORT": "8081",
        }
        if self.store is not None:
            variables |= {
                "OPENMCP_METRIC_STORE": "influxql",
                "OPENMCP_INFLUX_URL": self.store.url,
                "OPENMCP_INFLUX_DATABASE": self.store.database,
                "OPENMCP_INFLUX_USERNAME": self.store.username,
                "OPENMCP_INFLUX_PASSWORD": self.store.password,
            }
        return variables


@contextmanager
def open_fleet(
    members: int = 2,
    pods: int = 50,
    nodes: int = 3,
    *,
    influx: bool = True,
    cadence: float = 5.0,
    metrics_servers: bool = False,
    binaries: Binaries | None = None,
) -> Iterator[Fleet]:
    """A fleet whose pods run and whose metrics arrive; leaving the `with` ends every part of it.

    So does the death of this process by any signal. With `metrics_servers` each member has a metrics-server. Blocks for
    tens of seconds. Raises MissingServersError, FleetError, KubeError, InfluxError.
    """
    size = FleetSize(members, pods, nodes, influx, cadence, metrics_servers)
    programs = binaries or find_binaries()
    with ExitStack() as stack:
        servers = stack.enter_context(open_servers())
        fleet = _start_parts(servers, programs, size)
        if fleet.store is not None:
            apis = [member.api for member in fleet.members]
            collectors = stack.enter_context(open_collectors(apis, fleet.store, cadence))
            servers.wait_until(lambda: _have_delivered(collectors), "metrics arrive", _DELIVERY_TIMEOUT)
        yield fleet


def _start_parts(servers: Servers, binaries: Binaries, size: FleetSize) -> Fleet:
    """Everything at once; each part waits only for what it needs."""
    names = [HOST_NAME, *(f"cluster{number}" for number in range(1, size.members + 1))]
    ports = list_free_ports(3 * len(names))
    etcd_url = start_etcd(servers, binaries)
    apis = [
        _start_api_server(servers, binaries, name, port, etcd_url, aggregates=size.metrics_servers)
        for name, port in zip(names, ports, strict=False)
    ]
    kwok_ports, metrics_ports = ports[len(names) : 2 * len(names)], ports[2 * len(names) :]
    with ThreadPoolExecutor(max_workers=len(names) + 1) as pool:
        store = pool.submit(start_influx, servers, binaries) if size.influx else None
        host = pool.submit(_start_host, servers, binaries, apis[0], apis[1:])
        members = [
            pool.submit(_start_member, servers, binaries, api, number, size, kwok_ports[number], metrics_ports[number])
            for number, api in enumerate(apis[1:], start=1)
        ]
        _fail_early(servers, [host, *members, *([store] if store else [])])
    kubeconfig = write_private(servers.folder / "kubeconfig", build_kubeconfig([api.access for api in apis]))
    return Fleet(
        host=host.result(),
        members=tuple(member.result() for member in members),
        kubeconfig=kubeconfig,
        servers=servers,
        store=store.result() if store else None,
    )


def _start_api_server(
    servers: Servers, binaries: Binaries, name: str, port: int, etcd_url: str, *, aggregates: bool
) -> ApiServer:
    files = build_cluster_files(servers.folder / name, name)
    further = aggregation_flags(files) if aggregates else ()
    return start_api_server(servers, binaries, name, port, files, etcd_url, further=further)


def _start_host(servers: Servers, binaries: Binaries, api: ApiServer, members: list[ApiServer]) -> Cluster:
    """The host's resources and what it knows of the members, which need not answer yet."""
    kubeconfig = api.write_kubeconfig(servers.folder / api.cluster / "kubeconfig")
    wait_ready(servers, api)
    for namespace in (KUBEFED_NAMESPACE, PLATFORM_NAMESPACE):
        api.client.create(NAMESPACES_PATH, build_namespace(namespace))
    create_viewers(api.client)
    install_crds(servers, api.client)
    for number, member in enumerate(members, start=1):
        register_member(api.client, member.access, place_of(number))
    spare = Access(SPARE_NAME, _SPARE_URL, api.access.ca_pem, "no token, since nobody is there")
    register_spare(api.client, spare, place_of(len(members) + 1))
    return Cluster(api.cluster, _HOST_PLACE, kubeconfig, api, servers, binaries.kubectl)


def _start_member(
    servers: Servers,
    binaries: Binaries,
    api: ApiServer,
    number: int,
    size: FleetSize,
    kwok_port: int,
    metrics_port: int,
) -> Cluster:
    place, port = place_of(number), metrics_port if size.metrics_servers else None
    member = start_member(servers, binaries, api, number, place, size.pods, size.nodes, kwok_port, port)
    member.wait_whole(timeout=120.0 + size.pods)
    return member


def _fail_early(servers: Servers, parts: list[Future[Cluster] | Future[Influx]]) -> None:
    """The first part that fails, or a Ctrl-C, ends the others at once instead of at their bounds."""
    try:
        for part in as_completed(parts):
            part.result()
    except BaseException:
        servers.stop_all()
        raise


def _have_delivered(collectors: list[Collector]) -> bool:
    return all(collector.delivered.is_set() for collector in collectors)
