"""Lists ordered and bounded by usage are what a plain sort of the stored points is, for one question to InfluxDB."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from realfleet.fleet import Fleet
from tests.acceptance.truth import Json, PodName, list_pods, number, query_influx
from tests.processes import RunningServer

pytestmark = pytest.mark.real

MILLISECOND = 10**6
QUESTION = """
fragment Used on Pod { cluster { name } namespace name usage { time memoryBytes memoryPercent cpuCores } }
query Top($after: String) {
  top: pods(first: 20, after: $after, orderBy: [{ usage: MEMORY_PERCENT, direction: DESC }]) {
    totalCount pageInfo { endCursor } items { ...Used }
  }
  bounded: pods(first: 10000, filter: { usage: [{ field: MEMORY_PERCENT, gte: 40 }, { field: CPU_CORES, gt: 0 }] }) {
    totalCount counts(by: CLUSTER) { key count } items { ...Used }
  }
  all: pods(first: 10000) { items { ...Used } }
}
"""


def name_of(pod: Json) -> PodName:
    return (pod["cluster"]["name"], pod["namespace"], pod["name"])


async def list_stored(fleet: Fleet) -> dict[tuple[PodName, int], tuple[float, float]]:
    """Cores and bytes of every pod at every time (milliseconds) of the last minutes, as they are stored."""
    since = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    chosen = "cluster, namespace, pod, CPUUsageNanoCores, MemoryWorkingSetBytes"
    rows = await query_influx(fleet.influx, f"SELECT {chosen} FROM Pods WHERE time >= $since", {"since": since})  # noqa: S608 - a test's own words
    return {
        ((row["cluster"], row["namespace"], row["pod"]), round(row["time"] / MILLISECOND)): (
            number(row["CPUUsageNanoCores"]),
            number(row["MemoryWorkingSetBytes"]),
        )
        for row in rows
    }


def limit_of(pod: Json) -> float | None:
    """The memory that its containers may use together; none where one of them is not limited."""
    limits = [entry["resources"].get("limits", {}).get("memory") for entry in pod["spec"]["containers"]]
    return None if None in limits else sum(number(limit) for limit in limits)


async def compute(fleet: Fleet, answer: Any) -> dict[PodName, tuple[float, float | None]]:
    """Cores, and memory in percent of the limit, of every measured pod at the answer's time, from the stored points."""
    stored, limits = await list_stored(fleet), {name: limit_of(pod) for name, pod in list_pods(fleet).items()}
    used: dict[PodName, tuple[float, float | None]] = {}
    for pod in answer["all"]["items"]:
        if pod["usage"] is None:
            continue  # it is younger than its first measurement
        name = name_of(pod)
        time = round(datetime.fromisoformat(pod["usage"]["time"]).timestamp() * 1000)
        cores, memory = stored[name, time]
        limit = limits[name]
        used[name] = (cores, memory / limit * 100 if limit else None)
    return used


async def test_the_20_closest_to_their_memory_limit(real_fleet: Fleet, served: RunningServer, token: str) -> None:
    body: Any = await served.ask(token, QUESTION, extensions={"explain": True})
    assert "errors" not in body, body["errors"]
    used = await compute(real_fleet, body["data"])
    shares = {name: share for name, (_, share) in used.items() if share is not None}
    assert 20 < len(shares) < len(used)  # some pods have no limit

    top = body["data"]["top"]
    assert [name_of(pod) for pod in top["items"]] == sorted(shares, key=lambda name: (-shares[name], name))[:20]
    assert [pod["usage"]["memoryPercent"] for pod in top["items"]] == [shares[name_of(pod)] for pod in top["items"]]
    assert top["totalCount"] == len(body["data"]["all"]["items"])
    assert body["extensions"]["explain"]["metricQueries"] == 1


async def test_bounds_hold_for_all_that_are_answered(real_fleet: Fleet, served: RunningServer, token: str) -> None:
    body: Any = await served.ask(token, QUESTION)
    used = await compute(real_fleet, body["data"])
    within = {name for name, (cores, share) in used.items() if cores > 0 and share is not None and share >= 40}
    bounded = body["data"]["bounded"]
    assert 0 < len(within) < len(used)
    assert {name_of(pod) for pod in bounded["items"]} == within
    assert bounded["totalCount"] == sum(group["count"] for group in bounded["counts"]) == len(within)


async def test_the_last_page_holds_what_has_no_limit(served: RunningServer, token: str) -> None:
    pages: list[Any] = []
    cursor = None
    while not pages or pages[-1]["items"]:
        body: Any = await served.ask(token, QUESTION, {"after": cursor})
        pages.append(body["data"]["top"])
        cursor = pages[-1]["pageInfo"]["endCursor"]
    shares = [(pod["usage"] or {"memoryPercent": None})["memoryPercent"] for pod in pages[-2]["items"]]
    assert shares[-1] is None
    assert shares == sorted(shares, key=lambda share: (share is None, -(share or 0)))
