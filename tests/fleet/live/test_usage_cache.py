"""Usage that is held for all who rank pods: asked for once, as old as is allowed, and never in anybody's way."""

import asyncio
from collections.abc import Collection

import pytest
from msgspec.structs import replace

from fleet.aio.recorder import Recorder, recording
from fleet.live.usage_cache import MOST_NAMED, UsageCache
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import Pod
from fleet.model.ordered import Ordered
from fleet.model.usage import Measure, Usage
from tests.fakes.graph import CountingStore
from tests.fakes.records import build_pod_record
from tests.fakes.waiting import until

CPU = frozenset({Measure.CPU_CORES})
PODS = {name: [build_pod_record(name, "x", f"p{number}") for number in range(3)] for name in ("c1", "c2")}


def pods_of(clusters: Collection[str]) -> list[list[Pod]]:
    return [PODS[name] for name in clusters]


def all_of(*clusters: str) -> Ordered[Pod]:
    return Ordered(pods_of(clusters))


def open_held(max_age: float) -> tuple[CountingStore, UsageCache]:
    store = CountingStore()
    for number, pod in enumerate(PODS["c1"][:2] + PODS["c2"]):
        store.known[pod.key] = Usage(time_ns=1, cpu_cores=float(number))
    return store, UsageCache(store, pods_of, max_age=max_age)


async def test_one_question_serves_all_that_ask_at_once_and_for_a_while() -> None:
    store, held = open_held(60)
    answers = await asyncio.gather(
        *(held.read(all_of("c1", "c2"), CPU) for _ in range(5)), held.read(all_of("c1"), CPU)
    )
    assert [usage and usage.cpu_cores for usage in answers[0]] == [0.0, 1.0, None, 2.0, 3.0, 4.0]
    await held.read(all_of("c2"), CPU)
    assert [len(call.keys) for call in store.calls] == [6]


async def test_a_cluster_or_a_measure_that_is_not_held_is_asked_for_and_joins_the_rest() -> None:
    store, held = open_held(60)
    await held.read(all_of("c1"), CPU)
    await held.read(all_of("c1", "c2"), CPU)
    assert {key.cluster for key in store.calls[-1].keys} == {"c2"}
    await held.read(all_of("c1"), frozenset({Measure.FS_USED_BYTES}))
    await held.read(all_of("c1"), CPU | {Measure.FS_USED_BYTES})
    assert len(store.calls) == 3


async def test_what_is_in_demand_is_renewed_while_it_is_served_and_counts_for_nobody() -> None:
    store, held = open_held(0.2)
    await held.read(all_of("c1"), CPU)
    recorder = Recorder()
    with recording(recorder):
        await until(lambda: held.is_old("c1", CPU))
        await held.read(all_of("c1"), CPU)
        assert len(store.calls) == 1  # it was answered at once
        await until(lambda: len(store.calls) == 2)
    assert recorder.metric_queries == 0


async def test_what_nobody_asks_for_is_forgotten() -> None:
    _, held = open_held(0.05)
    await held.read(all_of("c1"), CPU)
    assert held.clusters == {"c1"}
    await until(lambda: not held.clusters)


async def test_a_store_that_fails_is_told_to_each_who_waits_and_asked_anew() -> None:
    store, held = open_held(60)
    store.failure = "down"
    results = await asyncio.gather(*(held.read(all_of("c1"), CPU) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [MetricsUnavailable] * 3
    store.failure = None
    assert (await held.read(all_of("c1"), CPU))[1] is not None


async def test_one_who_goes_away_takes_nothing_from_the_others() -> None:
    store, held = open_held(60)
    store.answering.clear()
    leaving, staying = (asyncio.create_task(held.read(all_of("c1"), CPU)) for _ in range(2))
    await until(lambda: len(store.calls) == 1)
    leaving.cancel()
    store.answering.set()
    assert (await staying)[1] is not None


async def test_pods_that_changed_or_came_since_are_found_by_their_names() -> None:
    store, held = open_held(60)
    await held.read(all_of("c1", "c2"), CPU)
    changed = [replace(pod, restarts=1) for pod in PODS["c1"]]
    new = build_pod_record("c1", "x", "p3")
    # A part over two clusters, as what is bounded by usage is.
    usages = await held.read(Ordered([[*changed, new, *PODS["c2"][1:]]]), CPU)
    assert [usage and usage.cpu_cores for usage in usages] == [0.0, 1.0, None, None, 3.0, 4.0]
    assert len(store.calls) == 1


async def test_others_have_a_turn_after_each_whole_cluster() -> None:
    _, held = open_held(60)
    await held.read(all_of("c1", "c2"), CPU)
    many = Ordered([PODS[name][:1] * (MOST_NAMED + 1) for name in ("c1", "c2")])
    reading, turns = asyncio.create_task(held.read(many, CPU)), 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns == 3
    assert len(await reading) == len(many)


async def test_pods_in_the_places_of_others_have_their_own_usage() -> None:
    _, held = open_held(60)
    await held.read(all_of("c1", "c2"), CPU)
    first, second, third = PODS["c2"]
    places = [second, replace(first, restarts=1), build_pod_record("c2", "x", "p9")], [first, replace(second), third]
    for pods, expected in zip(places, ([3.0, 2.0, None], [2.0, 3.0, 4.0]), strict=True):
        usages = await held.read(Ordered([pods]), CPU)
        assert [usage and usage.cpu_cores for usage in usages] == expected


@pytest.mark.parametrize(
    ("max_age", "pods", "worth"),
    [(60, 0, False), (60, MOST_NAMED, False), (60, MOST_NAMED + 1, True), (0, 9999, False)],
)
async def test_few_pods_are_named_and_many_are_worth_a_whole_cluster(max_age: float, pods: int, worth: bool) -> None:
    _, held = open_held(max_age)
    assert held.is_worth(Ordered([PODS["c1"][:1] * pods]), CPU) is worth


async def test_few_pods_are_read_from_what_is_held_already() -> None:
    _, held = open_held(60)
    await held.read(all_of("c1"), CPU)
    assert held.is_worth(all_of("c1"), CPU)
    assert not held.is_worth(all_of("c1", "c2"), CPU)
