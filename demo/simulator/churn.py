"""Slow change, as a cluster that is in use has: pods are replaced, one goes on crashing, events come and go."""

import asyncio
import random
import time
from itertools import count

from msgspec.structs import replace

from demo.simulator.kinds import EVENTS, PODS
from demo.simulator.naming import format_time
from demo.simulator.pods import PodSeed, PodState, build_pod_entry
from demo.simulator.population import DOCUMENTED_POD, ClusterPlan, build_events, build_seed, place_seed
from demo.simulator.store import Store

_STEP_SECONDS = 0.8
_KEPT_EVENTS = 300


async def churn_cluster(store: Store, plan: ClusterPlan, period: float) -> None:
    """Begins to replace a pod every `period` seconds, give or take half of it, until it is cancelled.

    A watch sees five changes of each, within 2.4 s.
    """
    choose = random.Random(plan.number)
    async with asyncio.TaskGroup() as replacing:
        for generation in count(1):
            await asyncio.sleep(period * choose.uniform(0.5, 1.5))
            if generation % 8 == 0:
                _crash_again(store, plan, choose)
            else:
                replacing.create_task(_replace_pod(store, plan, choose, generation))


def _seeds(store: Store, state: PodState) -> list[PodSeed]:
    """The pods of a state that nobody has written to from outside."""
    sources = [entry.source for entry in store.entries(PODS).values()]
    return [source for source in sources if isinstance(source, PodSeed) and source.state is state]


async def _replace_pod(store: Store, plan: ClusterPlan, choose: random.Random, generation: int) -> None:
    """What a ReplicaSet does when one of its pods is deleted: the new one is up before the old one is gone."""
    running = [seed for seed in _seeds(store, PodState.RUNNING) if seed.name != DOCUMENTED_POD]
    if not running:
        return
    old = choose.choice(running)
    new = build_seed(plan, old.workload, choose.randrange(10_000), time.time(), generation)
    leaving = replace(old, state=PodState.TERMINATING, changed=format_time())
    _write(store, plan, leaving)
    _write(store, plan, new)
    await asyncio.sleep(_STEP_SECONDS)
    placed = place_seed(plan, new, generation)
    _write(store, plan, placed)
    await asyncio.sleep(_STEP_SECONDS)
    _write(store, plan, replace(placed, state=PodState.RUNNING, changed=format_time()))
    await asyncio.sleep(_STEP_SECONDS)
    store.remove(PODS, (old.workload.namespace, old.name))


def _crash_again(store: Store, plan: ClusterPlan, choose: random.Random) -> None:
    crashing = _seeds(store, PodState.CRASHING)
    if crashing:
        seed = choose.choice(crashing)
        _write(store, plan, replace(seed, restarts=seed.restarts + 1, changed=format_time()))


def _write(store: Store, plan: ClusterPlan, seed: PodSeed) -> None:
    store.put(PODS, build_pod_entry(seed))
    for event in build_events(plan.name, seed):
        store.put(EVENTS, event)
    events = store.entries(EVENTS)
    for place in list(events)[: max(len(events) - _KEPT_EVENTS, 0)]:
        store.remove(EVENTS, place)
