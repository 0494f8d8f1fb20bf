"""What a cluster has, is asked for, uses and used, equal to sums over what its API server and InfluxDB say."""

import itertools
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from realfleet.cluster import Cluster
from realfleet.fleet import Fleet
from tests.acceptance.plainly import MEASURED, SECOND, Steps, added, column_of, list_rows, usage_of
from tests.acceptance.truth import Json, number
from tests.processes import RunningServer

pytestmark = pytest.mark.real

AMOUNTS = {"cpuCores": "cpu", "memoryBytes": "memory", "ephemeralStorageBytes": "ephemeral-storage", "pods": "pods"}
RESOURCES = "{ cpuCores memoryBytes ephemeralStorageBytes pods }"
COLUMNS = {
    "mean": ("cpuCores", "MEAN"),
    "peak": ("memoryBytes", "MAX"),
    "high": ("cpuCores", "P95"),
    "rate": ("networkReceiveBytesPerSecond", "MEAN"),
}


def list_items(member: Cluster, kind: str) -> list[Json]:
    items: list[Json] = json.loads(member.kubectl("get", kind, "-A", "-o", "json"))["items"]
    return items


async def ask(served: RunningServer, token: str, selection: str, **variables: str) -> dict[str, Any]:
    """What the selection gives of each cluster."""
    declared = ", ".join(f"${name}: DateTime!" for name in variables)
    query = f"query Sums{f'({declared})' if declared else ''} {{ clusters {{ name {selection} }} }}"
    body: Any = await served.ask(token, query, variables)
    assert "errors" not in body, body["errors"]
    return {cluster["name"]: cluster for cluster in body["data"]["clusters"]}


@pytest.mark.parametrize("field", ["capacity", "allocatable"])
async def test_what_it_has_is_the_sum_over_its_nodes(
    real_fleet: Fleet, served: RunningServer, token: str, field: str
) -> None:
    answer = await ask(served, token, f"{field} {RESOURCES}")
    for member in real_fleet.members:
        said = [node["status"][field] for node in list_items(member, "nodes")]
        assert len(said) > 1
        for name, stored in AMOUNTS.items():
            assert answer[member.name][field][name] == pytest.approx(sum(number(amounts[stored]) for amounts in said))
    assert answer["openmcp"][field] == dict.fromkeys(AMOUNTS, 0)


async def test_what_it_is_asked_for_is_the_sum_over_its_pods(
    real_fleet: Fleet, served: RunningServer, token: str
) -> None:
    answer = await ask(served, token, f"requested {RESOURCES}")
    for member in real_fleet.members:
        running = [
            pod
            for pod in list_items(member, "pods")
            if pod["spec"].get("nodeName") and pod["status"]["phase"] not in ("Succeeded", "Failed")
        ]
        containers = [entry["resources"].get("requests", {}) for pod in running for entry in pod["spec"]["containers"]]
        requested = answer[member.name]["requested"]
        assert requested["pods"] == len(running)
        assert requested["cpuCores"] == pytest.approx(sum(number(entry.get("cpu", "0")) for entry in containers))
        assert requested["memoryBytes"] == sum(number(entry.get("memory", "0")) for entry in containers)


async def list_rows_of_nodes(fleet: Fleet, member: Cluster, start: int, end: int) -> list[list[Json]]:
    names = [node["metadata"]["name"] for node in list_items(member, "nodes")]
    return [
        await list_rows(fleet.influx, "Nodes", {"cluster": member.name, "node": name}, start, end) for name in names
    ]


async def test_its_usage_is_the_sum_of_its_nodes_newest_points(
    real_fleet: Fleet, served: RunningServer, token: str
) -> None:
    answer = await ask(served, token, f"usage {{ time {' '.join(MEASURED)} cpuPercent }} allocatable {{ cpuCores }}")
    now = int(time.time()) + 1
    for member in real_fleet.members:
        usage = answer[member.name]["usage"]
        at = datetime.fromisoformat(usage["time"])
        assert (datetime.now(UTC) - at).total_seconds() < 120
        # A point may have arrived while the store was read: each node's newest is of the time (in ms), or later.
        newest = []
        for rows in await list_rows_of_nodes(real_fleet, member, now - 180, now):
            later = [i for i, row in enumerate(rows) if row["time"] > at.timestamp() * SECOND - 10**6]
            newest.append([usage_of(rows, index) for index in later[:3]])
        sums = [
            {field: pytest.approx(sum(node[field] or 0.0 for node in nodes)) for field in MEASURED}
            for nodes in itertools.product(*newest)
        ]
        assert {field: usage[field] for field in MEASURED} in sums
        assert usage["cpuPercent"] == pytest.approx(
            usage["cpuCores"] / answer[member.name]["allocatable"]["cpuCores"] * 100
        )
    assert answer["openmcp"]["usage"] is None


async def test_its_history_is_the_sum_of_its_nodes_columns(
    real_fleet: Fleet, served: RunningServer, token: str
) -> None:
    end = (int(time.time()) - 20) // 60 * 60  # no point of it can still be on its way
    steps = Steps(end - 1800, end, 60)
    columns = " ".join(f"{alias}: {field}(aggregate: {how})" for alias, (field, how) in COLUMNS.items())
    selection = f'history(start: $start, end: $end, step: "{steps.step}s") {{ times {columns} }}'
    start, until = (datetime.fromtimestamp(at, UTC).isoformat() for at in (steps.start, steps.end))
    answer = await ask(served, token, selection, start=start, end=until)
    for member in real_fleet.members:
        history = answer[member.name]["history"]
        rows = await list_rows_of_nodes(real_fleet, member, steps.start - 120, steps.end)
        assert [datetime.fromisoformat(at).timestamp() * SECOND for at in history["times"]] == [
            low for low, _ in steps.parts()
        ]
        for alias, (field, how) in COLUMNS.items():
            sums = added(column_of(node, field, how, steps) for node in rows)
            assert sum(value is not None for value in sums) >= 20
            assert history[alias] == pytest.approx(sums), (member.name, alias)
