"""Every running pod of every member, with usage and an hour of history, in one query, equal to the sources."""

import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from realfleet.fleet import Fleet
from tests.acceptance.truth import Json, PodName, list_columns, list_pods, list_points, number
from tests.processes import RunningServer

pytestmark = pytest.mark.real

QUESTION = """
query Everything($start: DateTime!, $end: DateTime!) {
  pods(filter: { phases: [RUNNING] }, first: 10000) {
    totalCount
    clusters { name state message ageSeconds tookMs }
    items {
      cluster { name role health }
      namespace name uid phase status ready restarts createdAt nodeName podIP hostIP qosClass
      labels { key value }
      owner { kind name }
      node { name internalIP }
      containers { name image ready }
      requests { cpuCores memoryBytes }
      limits { cpuCores memoryBytes }
      usage { time cpuCores memoryBytes }
      history(start: $start, end: $end, step: "10m") {
        start end step times
        cpuCores
        peak: memoryBytes(aggregate: MAX)
      }
    }
  }
}
"""


def name_of(pod: Json) -> PodName:
    return (pod["cluster"]["name"], pod["namespace"], pod["name"])


def total(containers: list[Json], resource: str) -> float | None:
    """The sum over all containers; none where a container names no amount."""
    amounts = [entry.get(resource) for entry in containers]
    return None if None in amounts else sum(number(amount) for amount in amounts if amount)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture(scope="module")
def window() -> tuple[str, str]:
    """The last whole hour of ten-minute steps, so that no new point can fall into it."""
    now = datetime.now(UTC)
    end = now.replace(minute=now.minute - now.minute % 10, second=0, microsecond=0)
    return ((end - timedelta(minutes=50)).strftime("%Y-%m-%dT%H:%M:%SZ"), end.strftime("%Y-%m-%dT%H:%M:%SZ"))


@pytest.fixture(scope="module")
async def answer(served: RunningServer, token: str, window: tuple[str, str]) -> Any:
    start, end = window
    body = await served.ask(token, QUESTION, {"start": start, "end": end})
    assert "errors" not in body, body["errors"]
    return body["data"]


async def test_every_running_pod_of_every_member_is_there(real_fleet: Fleet, answer: Any) -> None:
    running = {name for name, pod in list_pods(real_fleet).items() if pod["status"]["phase"] == "Running"}
    assert {name_of(pod) for pod in answer["pods"]["items"]} == running
    assert answer["pods"]["totalCount"] == len(running)
    states = {outcome["name"]: outcome["state"] for outcome in answer["pods"]["clusters"]}
    assert states == dict.fromkeys(["openmcp", *(member.name for member in real_fleet.members)], "OK")


async def test_each_plain_field_is_what_kubectl_says(real_fleet: Fleet, answer: Any) -> None:
    truth = list_pods(real_fleet)
    columns = list_columns(real_fleet)
    for pod in answer["pods"]["items"]:
        said = truth[name_of(pod)]
        metadata, spec, status = said["metadata"], said["spec"], said["status"]
        assert (pod["ready"], pod["status"], str(pod["restarts"])) == columns[name_of(pod)]
        assert pod["uid"] == metadata["uid"]
        assert instant(pod["createdAt"]) == instant(metadata["creationTimestamp"])
        assert pod["phase"] == status["phase"].upper()
        assert pod["nodeName"] == pod["node"]["name"] == spec["nodeName"]
        assert (pod["podIP"], pod["hostIP"], pod["qosClass"]) == (
            status.get("podIP"),
            status.get("hostIP"),
            status["qosClass"],
        )
        assert {label["key"]: label["value"] for label in pod["labels"]} == metadata["labels"]
        assert pod["owner"] == {key: metadata["ownerReferences"][0][key] for key in ("kind", "name")}
        assert [entry["image"] for entry in pod["containers"]] == [entry["image"] for entry in spec["containers"]]


async def test_requests_and_limits_are_the_containers_sums(real_fleet: Fleet, answer: Any) -> None:
    truth = list_pods(real_fleet)
    for pod in answer["pods"]["items"]:
        for kind in ("requests", "limits"):
            containers = [entry["resources"].get(kind, {}) for entry in truth[name_of(pod)]["spec"]["containers"]]
            said = pod[kind] or {"cpuCores": None, "memoryBytes": None}
            assert said["cpuCores"] == pytest.approx(total(containers, "cpu"))
            assert said["memoryBytes"] == total(containers, "memory")


async def test_usage_is_the_newest_stored_point(real_fleet: Fleet, answer: Any) -> None:
    for pod in answer["pods"]["items"]:
        usage = pod["usage"]
        assert datetime.now(UTC) - instant(usage["time"]) < timedelta(minutes=2)
        at = instant(usage["time"])
        near = await list_points(
            real_fleet.influx,
            name_of(pod),
            (at - timedelta(seconds=1)).isoformat(),
            (at + timedelta(seconds=1)).isoformat(),
        )
        stored = [
            (pytest.approx(number(row["CPUUsageNanoCores"])), number(row["MemoryWorkingSetBytes"])) for row in near
        ]
        assert (usage["cpuCores"], usage["memoryBytes"]) in stored


async def test_history_is_a_plain_computation_over_the_stored_points(
    real_fleet: Fleet, answer: Any, window: tuple[str, str]
) -> None:
    start, end = (instant(text) for text in window)
    for pod in answer["pods"]["items"][::7]:
        history = pod["history"]
        assert (instant(history["start"]), instant(history["end"]), history["step"]) == (start, end, "10m")
        assert [instant(time) for time in history["times"]] == [start + timedelta(minutes=10 * i) for i in range(5)]
        rows = await list_points(real_fleet.influx, name_of(pod), *window)
        assert rows
        for index, time in enumerate(history["times"]):
            low = int(instant(time).timestamp()) * 10**9
            step = [row for row in rows if low <= row["time"] < low + 600 * 10**9]
            cpu = statistics.fmean(number(row["CPUUsageNanoCores"]) for row in step) if step else None
            memory = max((number(row["MemoryWorkingSetBytes"]) for row in step), default=None)
            assert history["cpuCores"][index] == pytest.approx(cpu)
            assert history["peak"][index] == memory
