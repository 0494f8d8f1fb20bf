"""A page of pods over HTTP: ours in front of a simulated fleet, against stock Strawberry over the same records."""

import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from bench.interleave import run_interleaved
from bench.load import Ask, fetch, time_answers
from bench.row import Row, build_row, times_better
from bench.servers import LOOPBACK, Running, open_process, open_server, open_simulated, wait_answer, wait_until
from realfleet.ports import list_free_ports

MEMBERS = 5
PODS = 1_000
FIELDS = "__typename id namespace name uid phase status ready restarts createdAt nodeName podIP hostIP qosClass"
ONE = 0
ASKED = {ONE: 100, 100: 30, 5_000: 5}
"""Pods of a page (or one pod, named), and how often it is asked for in a round."""
GOALS = {ONE: 6, 100: 20, 5_000: 60}
"""How many times faster than stock an answer is to be."""


async def measure(rounds: int) -> list[Row]:
    """Time of one answer, one after the other on one connection."""
    async with open_pages() as (server, anchor):
        answer = await fetch(server.ask_graph("{ pods(first: 1) { items { namespace name cluster { name } } } }"))
        pod = orjson.loads(answer)["data"]["pods"]["items"][0]
        rows = []
        for size, times in ASKED.items():
            asked = server.ask_graph(_query_one(pod) if size == ONE else build_page_query(size))
            asks = {"ours": asked, "anchor": replace(asked, url=anchor)}
            weight = await _check_same(asks)
            samples = await run_interleaved(
                {side: partial(time_answers, [ask] * times) for side, ask in asks.items()}, rounds
            )
            ours, stock = ([second * 1000 for second in samples[side]] for side in ("ours", "anchor"))
            pods = "one pod by its name" if size == ONE else f"page of {size:,} pods"
            title = f"{pods}, 14 fields, {weight / 1024:,.1f} KiB"
            goal = times_better(GOALS[size], "stock")
            rows.append(build_row(title, "ms", ours, stock, against="stock Strawberry and its router", goal=goal))
        return [*rows, await _measure_first(server, anchor, rounds)]


async def _measure_first(server: Running, anchor: str, rounds: int) -> Row:
    """The largest page by a document that was never asked before: parsed, validated, compiled and encoded anew."""
    numbers = count()

    async def time_fresh(url: str | None) -> float:
        asked = server.ask_graph(build_page_query(max(ASKED)).replace(" uid ", f" u{next(numbers)}: uid "))
        return await time_answers([asked if url is None else replace(asked, url=url)])

    samples = await run_interleaved({"ours": partial(time_fresh, None), "anchor": partial(time_fresh, anchor)}, rounds)
    ours, stock = ([second * 1000 for second in samples[side]] for side in ("ours", "anchor"))
    title = f"page of {max(ASKED):,} pods, 14 fields, never asked before"
    return build_row(title, "ms", ours, stock, against="stock Strawberry and its router")


@asynccontextmanager
async def open_pages() -> AsyncIterator[tuple[Running, str]]:
    """Our server with all pods in memory, and the URL of the anchor with the same."""
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(open_simulated(MEMBERS, PODS))
        server = await stack.enter_async_context(open_server(fleet.kubeconfig))
        await wait_pods(server, MEMBERS * PODS)
        answer = await fetch(server.ask_graph(build_page_query(max(ASKED))))
        yield server, await stack.enter_async_context(open_anchor(orjson.loads(answer)["data"]["pods"]["items"]))


async def wait_pods(server: Running, pods: int) -> None:
    """Until it has that many pods in memory. Raises StartError."""
    await wait_until(partial(_holds, server, pods), f"{pods} pods are in memory")


def build_page_query(size: int) -> str:
    """A page of so many pods."""
    return f"{{ pods(first: {size}) {{ items {{ {FIELDS} }} }} }}"


@asynccontextmanager
async def open_anchor(records: list[dict[str, object]]) -> AsyncIterator[str]:
    """The anchor's URL, serving these records."""
    (port,) = list_free_ports(1)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "pods.json"
        file.write_bytes(orjson.dumps(records))
        arguments = ("-m", "bench.children.stock_graph", str(file), str(port))
        async with open_process(sys.executable, *arguments) as process:
            url = f"http://{LOOPBACK}:{port}/graphql"
            await wait_answer(process, Ask(f"{url}?query=%7B__typename%7D"))
            yield url


async def _holds(server: Running, pods: int) -> bool:
    answer = orjson.loads(await fetch(server.ask_graph("{ pods(first: 1) { totalCount } }")))
    return bool(answer["data"]["pods"]["totalCount"] >= pods)


async def _check_same(asks: dict[str, Ask]) -> int:
    """Bytes of our answer, when both say the same: up to the order of keys, spaces and escapes."""
    ours, anchor = await fetch(asks["ours"]), await fetch(asks["anchor"])
    plain = [orjson.dumps(orjson.loads(body)["data"], option=orjson.OPT_SORT_KEYS) for body in (ours, anchor)]
    assert plain[0] == plain[1], "the anchor answers something else"
    return len(ours)


def _query_one(pod: dict[str, Any]) -> str:
    name = f'cluster: "{pod["cluster"]["name"]}", namespace: "{pod["namespace"]}", name: "{pod["name"]}"'
    return f"{{ pod({name}) {{ {FIELDS} }} }}"
