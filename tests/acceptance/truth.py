"""What is true of the real fleet, asked of kubectl and InfluxDB by other means than the server's."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp

from realfleet.fleet import Fleet
from realfleet.influx import Influx

Json = dict[str, Any]
PodName = tuple[str, str, str]

SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(1000),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
}


def number(text: str) -> float:
    """A quantity as a number, by a table of suffixes."""
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if text.endswith(suffix):
            return float(Decimal(text.removesuffix(suffix)) * SUFFIXES[suffix])
    return float(Decimal(text))


def list_pods(fleet: Fleet) -> dict[PodName, Json]:
    """Every pod of every member, as `kubectl get pods -A -o json` says."""
    found: dict[PodName, Json] = {}
    for member in fleet.members:
        for pod in json.loads(fleet.kubectl(member.name, "get", "pods", "-A", "-o", "json"))["items"]:
            found[(member.name, pod["metadata"]["namespace"], pod["metadata"]["name"])] = pod
    return found


def list_columns(fleet: Fleet) -> dict[PodName, tuple[str, str, str]]:
    """READY, STATUS and RESTARTS of every pod, as `kubectl get pods -A` prints them."""
    found: dict[PodName, tuple[str, str, str]] = {}
    for member in fleet.members:
        for line in fleet.kubectl(member.name, "get", "pods", "-A", "--no-headers").splitlines():
            namespace, name, ready, status, restarts, *_ = line.split()
            found[(member.name, namespace, name)] = (ready, status, restarts)
    return found


async def query_influx(influx: Influx, statement: str, parameters: Mapping[str, str]) -> list[Json]:
    """The rows of one statement, as dicts; times are integer nanoseconds."""
    sign_in = aiohttp.encode_basic_auth(influx.username, influx.password)
    query = urlencode({"q": statement, "db": influx.database, "epoch": "ns", "params": json.dumps(dict(parameters))})
    async with (
        aiohttp.ClientSession(headers={"Authorization": sign_in}) as session,
        session.get(f"{influx.url}/query?{query}") as answer,
    ):
        result = (await answer.json())["results"][0]
    assert "error" not in result, result
    return [
        dict(zip(series["columns"], row, strict=True))
        for series in result.get("series", [])
        for row in series["values"]
    ]


async def list_points(influx: Influx, pod: PodName, start: str, end: str) -> list[Json]:
    """The stored rows of a pod in [start, end), RFC 3339, oldest first."""
    cluster, namespace, name = pod
    return await query_influx(
        influx,
        "SELECT CPUUsageNanoCores, MemoryWorkingSetBytes FROM Pods"
        " WHERE cluster = $cluster AND namespace = $namespace AND pod = $pod AND time >= $start AND time < $end",
        {"cluster": cluster, "namespace": namespace, "pod": name, "start": start, "end": end},
    )
