"""Usage of 1,000 pods, and an hour of 100, through the graph: against the store's own query for the same figures."""

import asyncio
import base64
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

import orjson

from bench.interleave import run_interleaved
from bench.load import Ask, fetch, time_answers, time_next
from bench.metric_data import POINTS, build_lines, fill_file, list_pods
from bench.questions import Question, Way
from bench.row import Row, build_row, within
from bench.servers import LOOPBACK, Running, open_process, open_server, open_simulated, wait_answer
from bench.skipped import Skipped
from bench.sql_endpoint import NEWEST, parameters_of
from fleet.model.objects import PodKey
from fleet.model.usage import NANOSECONDS
from realfleet.cache import MissingServersError, find_binaries
from realfleet.influx import Influx, start_influx
from realfleet.ports import list_free_ports
from realfleet.processes import Servers, open_servers

CLUSTER = "cluster1"
PODS = 1_000
CHARTED = 100
COUNT = 8
"""Answers of each side in a round."""
GOAL = within(1.3, "the store's")

WAYS = (Way.VARIABLES, Way.NEW_TEXT, Way.REMEMBERED)
USAGE = Question(
    f"""query ($n: Int = {PODS}) {{ pods(first: $n, filter: {{clusters: ["{CLUSTER}"]}}) {{
      items {{ namespace name usage {{ @time cpuCores memoryBytes }} }} }} }}""",
    lambda number: {"n": PODS + number},
)
HISTORY = Question(
    f"""query ($last: Duration = "1h") {{ pods(first: {CHARTED}, filter: {{clusters: ["{CLUSTER}"]}}) {{
      items {{ namespace name history(last: $last, step: "1m") {{ @start cpuCores memoryBytes }} }} }} }}""",
    lambda number: {"last": f"{3600 - number % 60}s"},
)
_FIELDS = "CPUUsageNanoCores,MemoryWorkingSetBytes"

Side = Callable[[], Awaitable[float]]


def in_front_of(influx: Influx) -> dict[str, str]:
    """The settings of a server that reads this InfluxDB."""
    return {
        "OPENMCP_METRIC_STORE": "influxql",
        "OPENMCP_INFLUX_URL": influx.url,
        "OPENMCP_INFLUX_USERNAME": influx.username,
        "OPENMCP_INFLUX_PASSWORD": influx.password,
    }


async def measure_influx(rounds: int) -> list[Row]:
    """In front of an InfluxDB 1.x. Raises Skipped without one."""
    try:
        binaries = find_binaries()
    except MissingServersError as error:
        raise Skipped(f"needs the real servers, which `make real` builds ({error})") from error
    async with AsyncExitStack() as stack:
        servers: Servers = stack.enter_context(open_servers())
        influx = await asyncio.to_thread(start_influx, servers, binaries)
        fleet = await stack.enter_async_context(open_simulated(1, PODS))
        server = await stack.enter_async_context(open_server(fleet.kubeconfig, in_front_of(influx)))
        pods = await list_pods(server, CLUSTER)
        # All at once: each waits until its part is on the disk, which is once a second.
        await asyncio.gather(*(asyncio.to_thread(influx.write, lines) for lines in build_lines(pods)))
        now = time.time_ns()
        latest = (
            f"SELECT {_FIELDS} FROM Pods WHERE cluster = '{CLUSTER}' AND time >= {now - 3600 * NANOSECONDS} "  # noqa: S608 - names of this file
            "GROUP BY cluster,namespace,pod ORDER BY time DESC LIMIT 1"
        )
        hour = (
            f"SELECT {_FIELDS} FROM Pods WHERE cluster = '{CLUSTER}' AND ({_any_of(pods[:CHARTED])}) "  # noqa: S608 - names of this file
            f"AND time >= {now - 3600 * NANOSECONDS} GROUP BY cluster,namespace,pod"
        )
        stores = [partial(time_answers, [_ask_influx(influx, text)] * COUNT) for text in (latest, hour)]
        return await compare(server, stores, rounds, "InfluxDB 1.x", "its own query over HTTP")


async def measure_embedded(rounds: int) -> list[Row]:
    """In front of the embedded store."""
    async with open_simulated(1, PODS) as fleet, open_server(fleet.kubeconfig) as server:
        pods = await list_pods(server, CLUSTER)
        now = time.time()
        # The same points in a file that no server has: they stay rows.
        plain = server.usage_file.with_name("plain.sqlite")
        for file in (server.usage_file, plain):
            await fill_file(file, pods, now=lambda: now)
        stores = [
            partial(asyncio.to_thread, _time_latest, plain),
            partial(asyncio.to_thread, _time_hour, plain, pods[:CHARTED]),
        ]
        measured = await compare(server, stores, rounds, "embedded store", "its SQL, rows fetched, no HTTP")
        return [*measured, await _compare_served(server, plain, rounds)]


async def _compare_served(server: Running, plain: Path, rounds: int) -> Row:
    """Against the same SQL behind HTTP: what a client could have of the file without us."""
    (port,) = list_free_ports(1)
    endpoint = Ask(f"http://{LOOPBACK}:{port}/")
    command = ("-m", "bench.sql_endpoint", str(plain), CLUSTER, str(port))
    async with open_process(sys.executable, *command) as process:
        await wait_answer(process, endpoint)
        asks = USAGE.iter_asks(Way.REMEMBERED, server)
        assert await _fetch_items(next(asks)) == await _fetch_items(endpoint)
        title = f"usage of {PODS:,} pods, embedded store, both over HTTP: {Way.REMEMBERED.value}"
        return await _measure(
            title, asks, partial(time_answers, [endpoint] * COUNT), rounds, "its SQL behind a bare endpoint, same JSON"
        )


async def compare(server: Running, stores: Sequence[Side], rounds: int, store: str, against: str) -> list[Row]:
    """Both questions in each way; `stores` ask the same of the store itself."""
    rows = []
    titles = (f"usage of {PODS:,} pods, {store}", f"an hour of {CHARTED} pods at {POINTS} points, {store}")
    for title, question, anchor in zip(titles, (USAGE, HISTORY), stores, strict=True):
        for way in WAYS:
            asks = question.iter_asks(way, server)
            _check_whole(await fetch(next(asks)), PODS if question is USAGE else CHARTED)
            rows.append(await _measure(f"{title}: {way.value}", asks, anchor, rounds, against))
    return rows


async def _measure(title: str, asks: Iterator[Ask], anchor: Side, rounds: int, against: str) -> Row:
    sides: dict[str, Side] = {"ours": partial(time_next, asks, COUNT), "anchor": anchor}
    samples = await run_interleaved(sides, rounds)
    ours, theirs = ([second * 1000 for second in samples[side]] for side in ("ours", "anchor"))
    return build_row(title, "ms", ours, theirs, against=against, goal=GOAL)


def _check_whole(body: bytes, pods: int) -> None:
    items = orjson.loads(body)["data"]["pods"]["items"]
    assert len(items) == pods
    for item in items:
        if "usage" in item:
            assert item["usage"]["cpuCores"] is not None, item
        else:
            assert sum(value is not None for value in item["history"]["cpuCores"]) >= POINTS - 1, item


async def _fetch_items(ask: Ask) -> list[Any]:
    items = orjson.loads(await fetch(ask))["data"]["pods"]["items"]
    return sorted(items, key=lambda item: str(item["name"]))


def _any_of(pods: Sequence[PodKey]) -> str:
    groups: dict[str, list[str]] = {}
    for pod in pods:
        groups.setdefault(pod.namespace, []).append(f"pod = '{pod.name}'")
    return " OR ".join(f"(namespace = '{namespace}' AND ({' OR '.join(names)}))" for namespace, names in groups.items())


def _ask_influx(influx: Influx, text: str) -> Ask:
    secret = base64.b64encode(f"{influx.username}:{influx.password}".encode()).decode()
    headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"db": influx.database, "q": text, "epoch": "ns"}).encode()
    return Ask(f"{influx.url}/query", headers, body)


def _time_latest(path: Path) -> float:
    return _time_sql(path, NEWEST, parameters_of(CLUSTER), PODS)


def _time_hour(path: Path, pods: Sequence[PodKey]) -> float:
    names = " OR ".join(["(series.namespace = ? AND series.name = ?)"] * len(pods))
    return _time_sql(
        path,
        "SELECT series.namespace, series.name, points.time_ns, cpu_cores, memory_bytes FROM series "  # noqa: S608 - question marks
        f"CROSS JOIN points WHERE series.kind = ? AND series.cluster = ? AND ({names}) "
        "AND points.series_id = series.id AND points.time_ns >= ?",
        (
            *parameters_of(CLUSTER),
            *(text for pod in pods for text in (pod.namespace, pod.name)),
            time.time_ns() - 3600 * NANOSECONDS,
        ),
        len(pods) * (POINTS - 1),
    )


def _time_sql(path: Path, text: str, values: Sequence[str | int], least: int) -> float:
    """The median time of asking the file, in seconds."""
    times = []
    with closing(sqlite3.connect(path)) as connection:
        for _ in range(COUNT):
            started = time.perf_counter()
            rows = connection.execute(text, values).fetchall()
            times.append(time.perf_counter() - started)
            assert len(rows) >= least, f"{len(rows)} rows"
    return median(times)
