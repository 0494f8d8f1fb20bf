"""A whole simulated fleet: a host, its members, and a kubeconfig for all of them."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from msgspec import Struct

from demo.simulator.churn import churn_cluster
from demo.simulator.faults import Faults
from demo.simulator.kinds import HOST_KINDS, KUBEFEDCLUSTERS, MEMBER_KINDS, OPENMCPCLUSTERS, SECRETS
from demo.simulator.platform import (
    FEDERATION_NAMESPACE,
    PLATFORM_NAMESPACE,
    REGIONS,
    build_kubeconfig,
    build_kubefed_cluster,
    build_openmcp_cluster,
    build_spare_cluster,
    build_token_secret,
    secret_name,
)
from demo.simulator.population import ClusterPlan, build_node_plans, fill_store
from demo.simulator.server import BOOKMARK_SECONDS, ApiServer, Certificate
from demo.simulator.store import Store
from demo.simulator.workloads import HOST_WORKLOADS, WORKLOADS
from fleet.aio.tasks import open_task

HOST_NAME = "openmcp"
_HOST_PODS = 8


class SimulatedCluster(Struct, frozen=True):
    """One cluster of the fleet, as it was planned and as it runs."""

    plan: ClusterPlan
    server: ApiServer

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def token(self) -> str:
        """The bearer token it takes now."""
        return self.server.token

    @property
    def faults(self) -> Faults:
        return self.server.faults

    @property
    def store(self) -> Store:
        """Its objects, for changes that need no HTTP."""
        return self.server.store


class SimulatedFleet:
    """A running fleet. `kubeconfig` has a context `openmcp` (the host, current) and one for each member."""

    def __init__(
        self, host: SimulatedCluster, kubeconfig: Path, authority: bytes | None, background: AsyncExitStack
    ) -> None:
        self.host = host
        self.kubeconfig = kubeconfig
        self.authority = authority
        self._background = background
        self.members: dict[str, SimulatedCluster] = {}

    def __getitem__(self, name: str) -> SimulatedCluster:
        return self.host if name == HOST_NAME else self.members[name]

    def register(self, member: SimulatedCluster) -> None:
        """Makes a member known to the host, as a join does."""
        self.members[member.name] = member
        store, name, number, url = self.host.store, member.name, member.plan.number, member.url
        store.put(SECRETS, build_token_secret(name, member.token))
        store.put(KUBEFEDCLUSTERS, build_kubefed_cluster(name, number, url, self.authority))
        store.put(OPENMCPCLUSTERS, build_openmcp_cluster(name, number, url, member.token, self.authority))

    def unregister(self, name: str) -> None:
        """Takes a member out of the host, as an unjoin does. Its API server goes on."""
        self.host.store.remove(KUBEFEDCLUSTERS, (FEDERATION_NAMESPACE, name))
        self.host.store.remove(SECRETS, (FEDERATION_NAMESPACE, secret_name(name)))
        self.host.store.remove(OPENMCPCLUSTERS, (PLATFORM_NAMESPACE, name))

    async def churn(self, name: str, seconds: float) -> None:
        """Has a pod of a cluster replaced about every so many seconds from now on."""
        work = partial(churn_cluster, self[name].store, self[name].plan, seconds)
        await self._background.enter_async_context(open_task(f"churn of {name}", work))

    def rotate_token(self, name: str, *, publish: bool = True) -> str:
        """Gives a member another token. Without `publish` the host's Secret keeps the old one, which is now refused."""
        member = self.members[name]
        member.server.token = _build_token()
        if publish:
            self.host.store.put(SECRETS, build_token_secret(name, member.token))
        return member.token

    def write_kubeconfig(self) -> None:
        """Writes the addresses and tokens as they are now; readable by this user only."""
        clusters = {cluster.name: (cluster.url, cluster.token) for cluster in (self.host, *self.members.values())}
        self.kubeconfig.touch(mode=0o600)
        written = build_kubeconfig(clusters, HOST_NAME, self.authority)
        self.kubeconfig.write_bytes(orjson.dumps(written, option=orjson.OPT_INDENT_2))


@asynccontextmanager
async def open_simulated_fleet(
    clusters: int = 3,
    pods: int = 100,
    nodes: int = 3,
    *,
    churn_seconds: float | None = None,
    bookmark_seconds: float = BOOKMARK_SECONDS,
    directory: Path | None = None,
    certificate: Certificate | None = None,
) -> AsyncIterator[SimulatedFleet]:
    """Starts a host and `clusters` members with `pods` pods and `nodes` nodes each, on free ports of loopback.

    A pod of each cluster is replaced about every `churn_seconds`; None keeps everything still. Watches that ask for
    bookmarks get one every `bookmark_seconds`. The kubeconfig is written into `directory`, else into a temporary one
    that is gone at the end. With a certificate all of it speaks HTTPS, which kubectl wants before it sends a token.
    """
    async with AsyncExitStack() as stack:
        folder = directory or Path(stack.enter_context(TemporaryDirectory(prefix="simulated-fleet-")))

        async def start(number: int) -> SimulatedCluster:
            plan = _build_plan(number, _HOST_PODS if number == 0 else pods, nodes)
            kinds = MEMBER_KINDS if number else HOST_KINDS
            store = Store(kinds, first_version=100_000 + number * 1_000)
            fill_store(store, plan)
            server = ApiServer(store, kinds, _build_token(), bookmark_seconds, certificate)
            await stack.enter_async_context(server.serving())
            return SimulatedCluster(plan, server)

        authority = certificate.authority_pem if certificate else None
        fleet = SimulatedFleet(await start(0), folder / "kubeconfig", authority, stack)
        for number in range(1, clusters + 1):
            fleet.register(await start(number))
        fleet.host.store.put(OPENMCPCLUSTERS, build_spare_cluster(clusters + 1, fleet.authority))
        fleet.write_kubeconfig()
        if churn_seconds is not None:
            for name in fleet.members:
                await fleet.churn(name, churn_seconds)
        yield fleet


def _build_plan(number: int, pods: int, nodes: int) -> ClusterPlan:
    name = f"cluster{number}" if number else HOST_NAME
    region, zone, _ = REGIONS[(number - 1) % len(REGIONS)]
    node_plans = build_node_plans(name, number, nodes, pods, region, zone)
    return ClusterPlan(name, number, node_plans, WORKLOADS if number else HOST_WORKLOADS, pods)


def _build_token() -> str:
    return secrets.token_urlsafe(32)
