"""Yesterday's `/metrics/...` answers are the same bytes from every store: those of a plain list of points."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from auth.authenticator import AuthOptions, open_authenticator
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Kind, Point
from fleet.ports import MetricStore
from tests.fleet.metrics.stores import Filled, FilledInflux
from tests.rest_compat.routes.test_metrics import FULL, NINE
from tests.rest_compat.serving import Client, Clusters, Points, open_client, open_served

NODE = NodeKey("cluster1", "kube1-worker1")
POD = PodKey("cluster1", "shop", "web")
ODD = PodKey("cluster1", "shop", 'a|b.*") |> drop()')
KEY = b"a key for these tests and nothing else, long enough"

STEPS = [
    Point(time_ns=NINE, cpu_cores=0.25, memory_bytes=3 * 2**30, node="kube1-worker1"),
    Point(time_ns=NINE + 5 * NANOSECONDS, cpu_cores=2.0, node="kube1-worker1"),
    Point(time_ns=NINE + 10 * NANOSECONDS + 1, memory_bytes=1_234_567, fs_used_bytes=0, node="kube1-worker2"),
]
TARGETS = [
    "/metrics/nodes/kube1-worker1?clustername=cluster1",
    "/metrics/nodes/kube1-worker2?clustername=cluster1",
    "/metrics/namespaces/shop/pods/web?clustername=cluster1",
    f"/metrics/namespaces/shop/pods/{quote(ODD.name, safe='')}?clustername=cluster1",
    "/metrics/namespaces/other/pods/web?clustername=cluster1&timeStart=2020-09-03_09:00:00",
    *(
        f"/metrics/namespaces/shop/pods/web?clustername=cluster1{times}"
        for times in (
            "&timeStart=2020-01-01_00:00:00",
            "&timeStart=2020-09-03_09:00:05",
            "&timeEnd=2020-09-03_09:00:05",
            "&timeStart=2020-09-03_09:00:05&timeEnd=2020-09-03_09:00:10",
            "&timeStart=2020-09-03_09:00:05&timeEnd=2020-09-03_09:00:10.000000002",
            "&timeStart=2020-09-03_09:00:10&timeEnd=2020-09-03_09:00:05",
            "&timeStart=2030-01-01_00:00:00",
        )
    ),
]


@dataclass(frozen=True)
class Both:
    """The routes in front of a store, and in front of a plain list of the same points."""

    stored: Client
    plain: Client


@asynccontextmanager
async def open_both(store: MetricStore, points: dict[PodKey | NodeKey, list[Point]]) -> AsyncIterator[Both]:
    async with AsyncExitStack() as stack:
        options = AuthOptions(signing_key=KEY, administrator=("openmcp", "keti"))
        authenticator = await stack.enter_async_context(open_authenticator(options))
        token = await authenticator.login("openmcp", "keti")
        clients = []
        for each in (store, Points(points)):
            state = {
                "federation": Clusters({"cluster1": None}),  # type: ignore[dict-item]  # nobody asks the member
                "metric_store": each,
                "authenticator": authenticator,
                "request_timeout": 5.0,
            }
            url = await stack.enter_async_context(open_served(state))
            clients.append(await stack.enter_async_context(open_client(url, token)))
        yield Both(*clients)


async def assert_same(both: Both) -> None:
    for target in TARGETS:
        stored, plain = await both.stored.ask("GET", target), await both.plain.ask("GET", target)
        assert (stored.status, stored.body) == (plain.status, plain.body), target
        assert stored.status == 200


async def test_every_answer_is_the_same_bytes(filled: Filled) -> None:
    pods = {POD: [FULL, *STEPS], ODD: STEPS[:1]}
    nodes = {NODE: [FULL]}
    await filled.write(
        [(key, point) for key, points in pods.items() for point in points],
        [(key, point) for key, points in nodes.items() for point in points],
    )
    kept: dict[PodKey | NodeKey, list[Point]] = {
        **{key: [filled.kept(Kind.POD, point) for point in points] for key, points in pods.items()},
        **{key: [filled.kept(Kind.NODE, point) for point in points] for key, points in nodes.items()},
    }
    async with open_both(filled.store, kept) as both:
        await assert_same(both)


@pytest.mark.real
async def test_points_of_every_type_are_in_the_answer(any_influx: FilledInflux) -> None:
    """Text, then numbers some weeks later, then text."""
    cells = ((-28, '"250m"', 0.25), (-14, "0.5", 0.5), (0, '"2"', 2.0))
    points = []
    for days, cell, cores in cells:
        time_ns = NINE + days * 86_400 * NANOSECONDS
        any_influx.write_cells(POD, time_ns, STEPS[0].node or "", CPUUsageNanoCores=cell)
        points.append(Point(time_ns=time_ns, cpu_cores=cores, node=STEPS[0].node))
    async with open_both(any_influx.store, {POD: points}) as both:
        await assert_same(both)
