"""What a member that hangs costs a question that has to ask it: its deadline at first, nothing once that is known."""

import time

import orjson

from bench.load import Ask, fetch, time_answers
from bench.row import Row, amount, build_row, within
from bench.servers import Running, Simulated, open_server, open_simulated, wait_until

MEMBERS = 3
ILL = "cluster3"
DEADLINE_SECONDS = 5.0
"""The server's default for a call to a member."""
COUNT = 20

_QUERY = '{ resources(apiVersion: "v1", kind: "ConfigMap", first: 50) { items { id } clusters { name state } } }'


async def measure(rounds: int) -> list[Row]:
    """Of a list that is asked of all members now."""
    firsts, opens, wells = [], [], []
    async with open_simulated(MEMBERS, 20) as fleet, open_server(fleet.kubeconfig) as server:
        ask = server.ask_graph(_QUERY)
        whole = orjson.loads(await fetch(ask))
        assert "errors" not in whole, whole
        for _ in range(rounds):
            await _wait_health(server, "READY")
            wells.append(await time_answers([ask] * COUNT) * 1000)
            firsts.append(await _time_first(fleet, ask))
            await _wait_health(server, "OFFLINE")
            opens.append(await time_answers([ask] * COUNT) * 1000)
            await fleet.order(ILL, "clear")
    title = f"one of {MEMBERS} members hangs"
    return [
        build_row(f"{title}: first answer", "s", firsts, goal=amount(DEADLINE_SECONDS + 0.1, "s")),
        build_row(f"{title}: once known", "ms", opens, wells, against="all well", goal=within(1.1, "well")),
    ]


async def _time_first(fleet: Simulated, ask: Ask) -> float:
    await fleet.order(ILL, "hang")
    started = time.perf_counter()
    answer = orjson.loads(await fetch(ask))
    taken = time.perf_counter() - started
    states = {outcome["name"]: outcome["state"] for outcome in answer["data"]["resources"]["clusters"]}
    assert states[ILL] != "OK", states
    return taken


async def _wait_health(server: Running, health: str) -> None:
    async def is_so() -> bool:
        answer = orjson.loads(await fetch(server.ask_graph(f'{{ cluster(name: "{ILL}") {{ health }} }}')))
        return bool(answer["data"]["cluster"]["health"] == health)

    await wait_until(is_so, f"{ILL} is {health}")
