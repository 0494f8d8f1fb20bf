"""A Prometheus that is ill costs the figures that are asked of it and nothing else, and is used once it is well."""

import asyncio
import getpass
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.metric_server import MetricServerConfig, MetricServerKind
from demo.simulator import SimulatedFleet, open_simulated_fleet
from fleet.metrics.remote_write.encode import encode_write
from fleet.model.objects import PodKey
from fleet.model.usage import NANOSECONDS, Point
from realfleet.metric_server import MetricServer
from realfleet.series import build_recorded
from tests.fakes.faults import Faults, open_proxy
from tests.fakes.waiting import until
from tests.processes import RunningServer, free_port, open_server
from tests.required import need
from tests.rest_compat.serving import open_client

pytestmark = pytest.mark.real

PODS = '{ pods(filter: {clusters: ["cluster1"]}, first: 100) { items { namespace name usage { cpuCores } } } }'
NGINX = """\
daemon off; {user} pid {folder}/nginx.pid;
events {{ }}
http {{ {temporary} access_log off; server {{ listen 127.0.0.1:{port}; location / {{ return {status} "not now"; }} }} }}
"""


@dataclass(frozen=True)
class Measured:
    """A server, its token, and the pods of its cluster that have usage in the store."""

    server: RunningServer
    token: str
    pods: list[PodKey]

    async def ask(self) -> Any:
        return await self.server.ask(self.token, PODS)

    async def is_well(self) -> bool:
        answer = await self.ask()
        return "errors" not in answer and all(pod["usage"] for pod in answer["data"]["pods"]["items"])

    async def assert_told(self, code: str, said: str, legacy_status: int = 503) -> None:
        """The pods are listed, and each figure is an error that says what is wrong; so does the legacy answer."""
        answer = await self.ask()
        items = answer["data"]["pods"]["items"]
        assert [(pod["namespace"], pod["name"], pod["usage"]) for pod in items] == [
            (pod.namespace, pod.name, None) for pod in self.pods
        ]
        assert {error["extensions"]["code"] for error in answer["errors"]} == {code}
        assert all(said in error["message"] for error in answer["errors"]), answer["errors"][0]
        pod = self.pods[0]
        async with open_client(self.server.url, self.token) as client:
            target = f"/metrics/namespaces/{pod.namespace}/pods/{pod.name}?clustername=cluster1"
            legacy = await client.ask("GET", target)
        assert legacy.status == legacy_status
        assert said in legacy.body.decode()


@pytest.fixture(scope="module")
async def fleet() -> AsyncIterator[SimulatedFleet]:
    async with open_simulated_fleet(clusters=1, pods=10) as opened:
        yield opened


@pytest.fixture(scope="module")
def store(start_real_metric_server: Callable[..., MetricServer]) -> MetricServer:
    return start_real_metric_server(MetricServerKind.PROMETHEUS)


@asynccontextmanager
async def open_measured(fleet: SimulatedFleet, store: MetricServer, url: str, folder: Path) -> AsyncIterator[Measured]:
    """A server that reads a store by `url`, which has written to it a point of each pod of some seconds ago."""
    port = free_port()
    environment = {
        "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
        "OPENMCP_KUBECONFIG": str(fleet.kubeconfig),
        "OPENMCP_SIGNING_KEY": "a key for the tests of an ill Prometheus",
        "API_USER_NAME": "openmcp",
        "API_USER_PW": "keti",
        "OPENMCP_METRIC_STORE": "prometheus",
        "OPENMCP_PROMETHEUS_URL": url,
        "OPENMCP_PROMETHEUS_RECORDED": "true",
        "OPENMCP_MEMBER_TIMEOUT": "1s",
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(port),
        "OPENMCP_OPS_PORT": str(free_port()),
    }
    async with open_server("serve", environment=environment, port=port, log=folder / "log") as server:
        token = await server.sign_in()
        answer: Any = await server.ask(token, PODS.replace(" usage { cpuCores }", ""))
        pods = [PodKey("cluster1", pod["namespace"], pod["name"]) for pod in answer["data"]["pods"]["items"]]
        await asyncio.to_thread(write_points, store, pods)
        yield Measured(server, token, pods)


@asynccontextmanager
async def open_ill(fleet: SimulatedFleet, store: MetricServer, folder: Path) -> AsyncIterator[tuple[Measured, Faults]]:
    """The same, well, by a line that can be made bad."""
    async with open_proxy(store.url) as (url, faults), open_measured(fleet, store, url, folder) as measured:
        await until(measured.is_well, what="usage of each pod", every=0.1)
        yield measured, faults


def write_points(store: MetricServer, pods: list[PodKey]) -> None:
    now = time.time_ns()
    ages = (5, 20, 35)
    points = [
        (pod, Point(time_ns=now - age * NANOSECONDS, cpu_cores=0.5, memory_bytes=1)) for pod in pods for age in ages
    ]
    store.write(encode_write(build_recorded(points)))


def refuse(faults: Faults) -> None:
    faults.refusing = True
    faults.reset()


def reset(faults: Faults) -> None:
    faults.resetting = True
    faults.reset()


def silence(faults: Faults) -> None:
    faults.black_hole = True


def cut(faults: Faults) -> None:
    faults.cut_after = 300
    faults.reset()


def heal(faults: Faults) -> None:
    faults.refusing = faults.resetting = faults.black_hole = False
    faults.cut_after = None
    faults.reset()


@pytest.mark.parametrize(
    ("make_ill", "said"),
    [(refuse, "Prometheus"), (reset, "Prometheus"), (silence, "did not answer within"), (cut, "Prometheus")],
)
async def test_a_bad_line_costs_the_figures_and_no_more(
    fleet: SimulatedFleet, store: MetricServer, tmp_path: Path, make_ill: Callable[[Faults], None], said: str
) -> None:
    async with open_ill(fleet, store, tmp_path) as (measured, faults):
        make_ill(faults)
        await measured.assert_told("METRICS_UNAVAILABLE", said)
        heal(faults)
        await until(measured.is_well, what="usage after the line is well again", every=0.1)


async def test_a_slow_line_is_waited_for(fleet: SimulatedFleet, store: MetricServer, tmp_path: Path) -> None:
    async with open_ill(fleet, store, tmp_path) as (measured, faults):
        faults.latency = 0.1
        assert await measured.is_well()


async def test_one_that_hangs_is_told_and_used_when_it_goes_on(
    fleet: SimulatedFleet, store: MetricServer, tmp_path: Path
) -> None:
    async with open_ill(fleet, store, tmp_path) as (measured, _):
        store.pause()
        try:
            await measured.assert_told("METRICS_UNAVAILABLE", "did not answer within")
        finally:
            store.resume()
        await until(measured.is_well, what="usage after it goes on", every=0.1)


async def test_one_that_is_killed_is_told_and_used_when_it_is_back(
    fleet: SimulatedFleet, store: MetricServer, tmp_path: Path
) -> None:
    async with open_measured(fleet, store, store.url, tmp_path) as measured:
        await until(measured.is_well, what="usage of each pod", every=0.1)
        await asyncio.to_thread(store.kill)
        try:
            await measured.assert_told("METRICS_UNAVAILABLE", "does not accept connections")
        finally:
            await asyncio.to_thread(store.start)
        await until(measured.is_well, what="usage after it is back", every=0.1)


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_a_status_is_told(fleet: SimulatedFleet, store: MetricServer, tmp_path: Path, status: int) -> None:
    async with (
        open_nginx(tmp_path, status) as url,
        open_measured(fleet, store, url, tmp_path) as measured,
    ):
        await measured.assert_told("METRICS_UNAVAILABLE", str(status))


@pytest.mark.parametrize(
    ("kind", "flag"),
    [
        (MetricServerKind.PROMETHEUS, "--query.max-samples=3"),
        (MetricServerKind.VICTORIA_METRICS, "-search.maxSamplesPerQuery=1"),
    ],
    ids=["prometheus", "victoria-metrics"],
)
async def test_a_limit_of_the_store_is_a_cost(
    fleet: SimulatedFleet,
    start_real_metric_server: Callable[..., MetricServer],
    tmp_path: Path,
    kind: MetricServerKind,
    flag: str,
) -> None:
    store = start_real_metric_server(kind, MetricServerConfig(flags=(flag,)))
    async with open_measured(fleet, store, store.url, tmp_path) as measured:
        await measured.assert_told("COST_EXCEEDED", "fewer objects", 400)


@asynccontextmanager
async def open_nginx(folder: Path, status: int) -> AsyncIterator[str]:
    """What stands in front of many a store, and answers for it."""
    port = free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    config = NGINX.format(
        user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
        folder=folder,
        temporary="".join(f"{kind}_temp_path {folder}/{kind}; " for kind in kinds),
        port=port,
        status=status,
    )
    (folder / "nginx.conf").write_text(config)
    command = (need("nginx"), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf"))
    started = await asyncio.create_subprocess_exec(*command)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        started.terminate()
        await started.wait()
