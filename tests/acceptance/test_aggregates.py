"""Every aggregate of every column, over points with gaps and a counter that starts anew, asked of the served fleet."""

import json
import random
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from realfleet.fleet import Fleet
from tests.acceptance.plainly import AGGREGATES, MEASURED, SECOND, Steps, added, column_of, list_rows
from tests.processes import RunningServer

pytestmark = pytest.mark.real

CLUSTER = "cluster1"
HOURS_AGO = 4 * 3600  # before anything that the fleet's own collectors write
SPAN, STEP, EVERY = 1200, 120, 5


def draw_cells(dice: random.Random, seconds: int, counted: int) -> str:
    """One point's cells as the platform's collector writes them; now and then one is absent."""
    cells = {
        "CPUUsageNanoCores": f"{dice.randrange(4 * 10**9)}n",
        "MemoryWorkingSetBytes": str(dice.randrange(2**33)),
        "FsUsedBytes": str(dice.randrange(2**36)),
        "NetworkRxBytes": str(counted),
        "NetworkTxBytes": str(counted * 3),
    }
    if seconds % 35 == 0:
        del cells[dice.choice(sorted(cells))]
    return ",".join(f'{name}="{value}"' for name, value in cells.items())


def draw_points(dice: random.Random, series: str, start: int) -> list[str]:
    """Points from two minutes before the span on, with two minutes without any, and a counter that starts anew."""
    lines, counted = [], 10**9
    for seconds in range(-120, SPAN, EVERY):
        counted = dice.randrange(5_000) if seconds == 3 * STEP + 40 else counted + dice.randrange(10**6)
        if not 5 * STEP <= seconds < 6 * STEP:
            moment = (start + seconds) * SECOND + dice.randrange(SECOND)
            lines.append(f"{series} {draw_cells(dice, seconds, counted)} {moment}")
    return lines


@pytest.fixture(scope="module")
def past(real_fleet: Fleet) -> Steps:
    """Where the points are; they are of a pod and of two nodes that the cluster has."""
    start = (int(time.time()) - HOURS_AGO) // STEP * STEP
    dice = random.Random(20260731)  # drawn alike in each run
    namespace, pod, node = name_pod(real_fleet)
    lines = draw_points(dice, f"Pods,cluster={CLUSTER},namespace={namespace},node={node},pod={pod}", start)
    for number in (1, 2):
        lines += draw_points(dice, f"Nodes,cluster={CLUSTER},node=kube1-worker{number}", start)
    real_fleet.influx.write("\n".join(lines))
    return Steps(start, start + SPAN, STEP)


def name_pod(fleet: Fleet) -> tuple[str, str, str]:
    pod = json.loads(fleet.kubectl(CLUSTER, "get", "pods", "-A", "-o", "json"))["items"][0]
    return pod["metadata"]["namespace"], pod["metadata"]["name"], pod["spec"]["nodeName"]


async def ask(served: RunningServer, token: str, field: str, steps: Steps) -> dict[str, Any]:
    """Every column of the field's history, by measure and aggregate."""
    columns = " ".join(f"{name}_{how}: {name}(aggregate: {how})" for name in MEASURED for how in AGGREGATES)
    start, end = (datetime.fromtimestamp(at, UTC).isoformat() for at in (steps.start, steps.end))
    history = f'history(start: "{start}", end: "{end}", step: "{STEP}s") {{ {columns} }}'
    body: Any = await served.ask(token, f"{{ found: {field} {{ {history} }} }}")
    assert "errors" not in body, body["errors"]
    columns_of: dict[str, Any] = body["data"]["found"]["history"]
    return columns_of


EACH = [(name, how) for name in MEASURED for how in AGGREGATES]


async def test_a_pods_columns(real_fleet: Fleet, served: RunningServer, token: str, past: Steps) -> None:
    namespace, pod, _ = name_pod(real_fleet)
    field = f'pod(cluster: "{CLUSTER}", namespace: "{namespace}", name: "{pod}")'
    history = await ask(served, token, field, past)
    tags = {"cluster": CLUSTER, "namespace": namespace, "pod": pod}
    rows = await list_rows(real_fleet.influx, "Pods", tags, past.start - 120, past.end)
    for name, how in EACH:
        plain = column_of(rows, name, how, past)
        assert [step for step, value in enumerate(plain) if value is None] == [5]
        assert history[f"{name}_{how}"] == pytest.approx(plain), (name, how)
        assert min(value for value in plain if value is not None) >= 0  # the counter that fell makes no rate below 0


async def test_a_nodes_columns_and_a_clusters(
    real_fleet: Fleet, served: RunningServer, token: str, past: Steps
) -> None:
    nodes = ["kube1-worker1", "kube1-worker2"]
    whole = await ask(served, token, f'cluster(name: "{CLUSTER}")', past)
    histories = [await ask(served, token, f'node(cluster: "{CLUSTER}", name: "{node}")', past) for node in nodes]
    stored = [
        await list_rows(real_fleet.influx, "Nodes", {"cluster": CLUSTER, "node": node}, past.start - 120, past.end)
        for node in nodes
    ]
    for name, how in EACH:
        plain = [column_of(rows, name, how, past) for rows in stored]
        for history, column in zip(histories, plain, strict=True):
            assert history[f"{name}_{how}"] == pytest.approx(column), (name, how)
        assert whole[f"{name}_{how}"] == pytest.approx(added(plain)), (name, how)
