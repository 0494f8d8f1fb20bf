"""An object of 1 KB through the server, against asking the same API server directly."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import repeat

import aiohttp
import orjson

from bench.interleave import run_interleaved
from bench.load import AnswerError, Ask, Load, fetch, run_load
from bench.row import Row, build_row
from bench.servers import Running, StartError, open_server, open_simulated, wait_until

NAMESPACE = "default"
PATH = f"/api/v1/namespaces/{NAMESPACE}"
BYTES = 1024
CONNECTIONS = (1, 16)
SECONDS = 0.8
"""How long each side is asked in a round."""

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "bench"}


async def measure(rounds: int) -> list[Row]:
    """In front of a simulated member."""
    async with open_simulated(1, 10) as fleet, open_server(fleet.kubeconfig) as server:
        direct = Ask(fleet.urls["cluster1"] + PATH, _HEADERS | {"Authorization": f"Bearer {fleet.tokens['cluster1']}"})
        return await compare(server, "cluster1", direct, rounds, "simulated member")


async def compare(server: Running, cluster: str, direct: Ask, rounds: int, upstream: str) -> list[Row]:
    """Rows of both numbers of connections. The object is made 1 KB large first."""
    await pad(direct)
    ours = server.ask(f"{PATH}?clustername={cluster}")
    await wait_until(partial(is_passed, ours), f"{cluster} is reached through the server")
    assert await fetch(ours) == await fetch(direct), "what passes through is not what the API server says"
    rows: list[Row] = []
    for connections in CONNECTIONS:
        sides: Mapping[str, Callable[[], Awaitable[Load]]] = {
            "ours": partial(run_load, repeat(ours), connections, SECONDS),
            "anchor": partial(run_load, repeat(direct), connections, SECONDS),
        }
        for warm_up in sides.values():
            await warm_up()
        samples = await run_interleaved(sides, rounds)
        rows += _build_rows(samples, f"1 KB from a {upstream}, {connections} conn.")
    return rows


def _build_rows(samples: Mapping[str, list[Load]], title: str) -> list[Row]:
    rates = {side: [load.rate for load in loads] for side, loads in samples.items()}
    half = {side: [load.p50 * 1000 for load in loads] for side, loads in samples.items()}
    most = {side: [load.p99 * 1000 for load in loads] for side, loads in samples.items()}
    return [
        build_row(
            f"{title}: rate", "/s", rates["ours"], rates["anchor"], against="asked directly", higher_is_better=True
        ),
        build_row(f"{title}: p50", "ms", half["ours"], half["anchor"], against="asked directly"),
        build_row(f"{title}: p99", "ms", most["ours"], most["anchor"], against="asked directly"),
    ]


async def pad(direct: Ask) -> None:
    """Makes the object about 1 KB large, by an annotation."""
    filling = "x" * max(0, BYTES - len(await fetch(direct)) - len(',"annotations":{"bench":""}'))
    change = orjson.dumps({"metadata": {"annotations": {"bench": filling}}})
    headers = dict(direct.headers) | {"Content-Type": "application/merge-patch+json"}
    async with (
        aiohttp.ClientSession() as session,
        session.patch(direct.url, data=change, headers=headers, ssl=direct.tls or True) as answer,
    ):
        if answer.status != 200:
            raise StartError(f"the object can't be made 1 KB large: {answer.status}")


async def is_passed(ask: Ask) -> bool:
    """Whether the question is answered with 200."""
    try:
        await fetch(ask)
    except (OSError, AnswerError):
        return False
    return True
