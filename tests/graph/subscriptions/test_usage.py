"""Usage that is followed: one question an interval for all, and what is sent of it."""

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.model.errors import MetricsTooCostly
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Measure
from tests.fakes.waiting import until
from tests.graph.conftest import build_usage
from tests.graph.subscriptions.serving import Live, open_live

POD = '{cluster: "c1", namespace: "shop", name: "p0"}'
USAGE = "usage { cpuCores }"


def ask(pods: str = f"[{POD}]", nodes: str = "[]", interval: str = "1s", selection: str = USAGE) -> str:
    return (
        f'subscription {{ usage(pods: {pods}, nodes: {nodes}, interval: "{interval}") '
        f"{{ pod {{ name }} node {{ name }} {selection} }} }}"
    )


def measure(live: Live, key: PodKey | NodeKey, cores: float, time_ns: int) -> None:
    live.store.known[key] = replace(build_usage(cores), time_ns=time_ns)


P0, P2 = PodKey("c1", "shop", "p0"), PodKey("c1", "shop", "p2")
N1 = NodeKey("c1", "n1")


async def test_all_named_objects_first_and_then_when_a_point_is_new() -> None:
    async with open_live("c1") as live:
        measure(live, P0, 0.5, 1)
        measure(live, N1, 2.0, 1)
        async with live.ready(ask(nodes='[{cluster: "c1", name: "n1"}]')) as socket:
            first = (await socket.next())["data"]["usage"]
            assert first == [
                {"pod": {"name": "p0"}, "node": None, "usage": {"cpuCores": 0.5}},
                {"pod": None, "node": {"name": "n1"}, "usage": {"cpuCores": 2.0}},
            ]
            asked = len(live.store.calls)
            await until(lambda: len(live.store.calls) >= asked + 2)
            measure(live, P0, 0.7, 2)
            again = (await socket.next())["data"]["usage"]
            assert [entry["usage"]["cpuCores"] for entry in again] == [0.7, 2.0]


async def test_all_who_follow_an_interval_share_one_question() -> None:
    async with open_live("c1") as live:
        measure(live, P0, 0.5, 1)
        measure(live, P2, 0.2, 1)
        other = ask('[{cluster: "c1", namespace: "shop", name: "p2"}]', selection="usage { memoryBytes }")
        async with live.ready(ask()) as one, live.ready(other) as two, live.events(ask()) as three:
            for socket in (one, two, three):
                await socket.next()
            live.store.calls.clear()
            await until(lambda: len(live.store.calls) >= 3)
    assert {call.name for call in live.store.calls} == {"latest_pods"}
    assert all(call.keys == {P0, P2} for call in live.store.calls[:3])
    assert all(call.asked == {Measure.CPU_CORES, Measure.MEMORY_BYTES} for call in live.store.calls[:3])


async def test_a_store_that_fails_is_told_once_and_so_is_its_return() -> None:
    async with open_live("c1") as live, live.ready(ask()) as socket:
        await socket.next()
        live.store.failure = "the metric store is down"
        failed = await socket.next()
        assert failed["errors"] == [
            {"message": "the metric store is down", "extensions": {"code": "METRICS_UNAVAILABLE"}}
        ]
        asked = len(live.store.calls)
        await until(lambda: len(live.store.calls) >= asked + 2)
        measure(live, P0, 0.9, 3)
        live.store.failure = None
        assert (await socket.next())["data"]["usage"][0]["usage"] == {"cpuCores": 0.9}


async def test_what_may_be_missing_of_a_cluster_is_told_beside_what_there_is() -> None:
    other = POD.replace("c1", "c2")
    async with open_live("c1", "c2") as live:
        measure(live, P0, 0.5, 1)
        measure(live, PodKey("c2", "shop", "p0"), 0.7, 1)
        live.store.problems, live.store.lost = {"c2": "a part is away"}, {PodKey("c2", "shop", "p0")}
        async with live.ready(ask(f"[{POD}, {other}]")) as both, live.ready(ask()) as one:
            told = await both.next()
            assert (await one.next()).keys() == {"data"}
            live.store.lost = set()
            whole = await both.next()
    assert [sample["usage"] for sample in told["data"]["usage"]] == [{"cpuCores": 0.5}]
    assert told["errors"] == [
        {
            "message": "measurements of c2 are missing: a part is away",
            "path": ["usage"],
            "extensions": {"code": "METRICS_UNAVAILABLE", "cluster": "c2"},
        }
    ]
    assert [sample["usage"]["cpuCores"] for sample in whole["data"]["usage"]] == [0.5, 0.7]
    assert "errors" not in whole


async def test_a_question_that_a_store_refuses_as_too_large_keeps_its_code() -> None:
    async with open_live("c1") as live:
        live.store.failure = MetricsTooCostly("fewer pods would do")
        async with (
            live.ready(ask()) as samples,
            live.ready("subscription { podEvents { pod { usage { time } } } }") as pods,
        ):
            told = [(await socket.next())["errors"][0] for socket in (samples, pods)]
    assert [error["message"] for error in told] == ["fewer pods would do"] * 2
    assert [error["extensions"] for error in told] == [{"code": "COST_EXCEEDED"}] * 2


@pytest.mark.parametrize(
    ("query", "who", "code", "words"),
    [
        (ask(interval="500ms"), "ann", "BAD_USER_INPUT", "`interval` is 1s at least"),
        (ask(interval="2h"), "ann", "BAD_USER_INPUT", "`interval` is 1s at least and 1h at most"),
        (ask(pods="[]"), "ann", "BAD_USER_INPUT", "name `pods` or `nodes`"),
        (ask(pods="[" + POD.replace("c1", "c9") + "]"), "ann", "NOT_FOUND", "no cluster is named"),
        (ask(pods="[" + POD.replace("shop", "ops") + "]"), "sam", "FORBIDDEN", "out of your reach"),
        (ask(pods="[]", nodes='[{cluster: "c1", name: "n1"}]'), "sam", "FORBIDDEN", "nodes belong to the whole"),
    ],
)
async def test_what_can_not_be_sampled_is_an_error(query: str, who: str, code: str, words: str) -> None:
    async with open_live("c1") as live, live.ready(query, who=who) as socket:
        message: Any = await socket.receive()
    assert message["type"] == "error"
    assert message["payload"][0]["extensions"]["code"] == code
    assert words in message["payload"][0]["message"]


async def test_more_than_the_bound_of_objects_is_refused() -> None:
    query = "subscription A($p: [PodRef!]) { usage(pods: $p) { usage { time } } }"
    pods = [{"cluster": "c1", "namespace": "shop", "name": f"p{number}"} for number in range(501)]
    async with open_live("c1") as live, live.ready(query, p=pods) as socket:
        message: Any = await socket.receive()
    assert "500 pods and nodes at most, not 501" in message["payload"][0]["message"]
