"""Pages of a server that follows the shared state, against one that watches by itself: equal answers."""

from functools import partial

from bench.changing import open_changing
from bench.interleave import Side, run_interleaved
from bench.load import fetch, time_next
from bench.metric_data import fill_file, list_pods
from bench.questions import Question, Way
from bench.row import Row, build_row, within
from bench.shared_state import Replicas, open_nats, open_replicas

MEMBERS, PODS = 10, 10_000
COUNT = 40
"""Answers of each side in a round."""
GOAL = within(1.1, "the other's")

_FOUND = """query ($s: String = "team=search") {
  pods(first: 100, filter: { labelSelector: $s }%s) { totalCount items { %s } } }"""
_ORDER = ", orderBy: [{ usage: CPU_CORES, direction: DESC }]"
QUESTIONS = {
    "by a label": _FOUND % ("", "name namespace phase"),
    "by a label, by usage": _FOUND % (_ORDER, "name namespace phase usage { cpuCores }"),
}
_WAYS = (Way.VARIABLES, Way.REMEMBERED)


async def measure(rounds: int) -> list[Row]:
    """Raises Skipped without a nats-server."""
    async with (
        open_nats() as nats,
        open_changing(MEMBERS, PODS // MEMBERS) as fleet,
        open_replicas(fleet.kubeconfig, nats, PODS) as replicas,
    ):
        pods = [pod for number in range(MEMBERS) for pod in await list_pods(replicas.alone, f"cluster{number:03d}")]
        for server in (replicas.alone, replicas.follower):
            await fill_file(server.usage_file, pods, points=1)
        return [
            await _measure(f"100 of {PODS:,} pods {title}, of a follower: {way.value}", text, way, replicas, rounds)
            for title, text in QUESTIONS.items()
            for way in _WAYS
        ]


async def _measure(title: str, text: str, way: Way, replicas: Replicas, rounds: int) -> Row:
    # Another filter each time, so that nothing is remembered of what it finds.
    question = Question(text, lambda number: {"s": f"team=search,tier!=none-{number}"})
    servers = {"ours": replicas.follower, "anchor": replicas.alone}
    asks = {name: question.iter_asks(way, server) for name, server in servers.items()}
    ours, anchor = [await fetch(next(coming)) for coming in asks.values()]
    assert ours == anchor, (ours, anchor)
    sides: dict[str, Side[float]] = {name: partial(time_next, coming, COUNT) for name, coming in asks.items()}
    times = {name: [each * 1000 for each in taken] for name, taken in (await run_interleaved(sides, rounds)).items()}
    return build_row(title, "ms", times["ours"], times["anchor"], against="a server that watches by itself", goal=GOAL)
