"""Pages of a federation whose members are lost and return, and whose objects come and go, between two pages."""

import asyncio
import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.federation import Federation
from fleet.model.kinds import NODES, PODS
from fleet.model.objects import OnUnavailable, OutcomeState
from fleet.model.queries import NodeColumn, NodeFilter, Order, Page, PageRequest, PodColumn, PodFilter
from fleet.model.visibility import EVERYTHING
from fleet.registry import FleetOptions, open_federation
from tests.fakes.kubernetes import FakeCluster, FakeSource, Object, build_plain, build_pod, build_spec
from tests.fakes.waiting import until

CLUSTERS = ("c1", "c2", "c3")
PRESENT = (OutcomeState.OK, OutcomeState.STALE)
OPTIONS = FleetOptions(member_timeout=0.06, heartbeat_seconds=0.01, fresh_seconds=0.02, breaker_failures=2)
VALUES: dict[Any, Any] = {
    PodColumn.NAME: lambda pod: pod.name,
    PodColumn.NAMESPACE: lambda pod: pod.namespace,
    PodColumn.CLUSTER: lambda pod: pod.cluster,
    PodColumn.NODE: lambda pod: pod.node_name,
    PodColumn.PHASE: lambda pod: pod.phase.value,
    PodColumn.STATUS: lambda pod: pod.status,
    PodColumn.RESTARTS: lambda pod: pod.restarts,
    PodColumn.CREATED_AT: lambda pod: pod.created_at,
    NodeColumn.NAME: lambda node: node.name,
    NodeColumn.CLUSTER: lambda node: node.cluster,
    NodeColumn.STATUS: lambda node: node.status,
    NodeColumn.CREATED_AT: lambda node: node.created_at,
}


class Thing(NamedTuple):
    """An object that may exist; made anew it is ordered as it was."""

    cluster: str
    namespace: str
    number: int

    def build(self, kind: str) -> Object:
        """The object, what it is ordered by being drawn from its number."""
        if kind == "Node":
            made = build_plain("Node", f"n{self.number}{self.namespace}")
            ready = {"type": "Ready", "status": str(self.number % 2 == 0)}
            made |= {"status": {"conditions": [ready]}}
        else:
            made = build_pod(self.namespace, f"p{self.number}", node=("n1", None, "n2")[self.number % 3])
            restarted = {"name": "c", "image": "i", "imageID": "", "ready": True, "restartCount": self.number % 2}
            made["status"]["containerStatuses"] = [restarted]
        made["metadata"]["creationTimestamp"] = f"2024-05-0{1 + self.number % 3}T10:00:00Z"
        return made


class Change(NamedTuple):
    """What happens between two pages: to a cluster, or to one of its objects."""

    what: str
    thing: Thing


THINGS = [Thing(*parts) for parts in itertools.product(CLUSTERS, ("a", "b"), range(5))]
LOSSES = ("leaves", "is offline", "refuses", "hangs", "is renewed")
CHANGES = st.builds(
    Change, st.sampled_from([*LOSSES, *["returns"] * 3, *["put", "delete"] * 3]), st.sampled_from(THINGS)
)
TURNS = st.lists(st.lists(CHANGES, min_size=1, max_size=4), min_size=2, max_size=6)
STABLE = st.frozensets(st.sampled_from(THINGS), min_size=8, max_size=15)
COLUMNS: dict[str, list[Any]] = {"Pod": list(PodColumn), "Node": list(NodeColumn)}


class World:
    """The clusters, what happens to them, and a reader of pages."""

    def __init__(self, kind: str, stable: frozenset[Thing], passing: frozenset[Thing]) -> None:
        self.kind = kind
        self.stable = stable
        self.clusters = {name: FakeCluster(name) for name in CLUSTERS}
        self.specs = {name: build_spec(name) for name in CLUSTERS}
        self.source = FakeSource(*self.clusters.values())
        self.renewed = itertools.count(2)
        for thing in stable | passing:
            self.clusters[thing.cluster].put(thing.build(kind))

    def suffer(self, change: Change) -> None:
        """Lets it happen. What is stable is neither deleted nor changed."""
        name = change.thing.cluster
        cluster = self.clusters[name]
        if change.what in ("put", "delete"):
            self._change_object(cluster, change)
        elif change.what == "leaves":
            self.specs.pop(name, None)
        elif change.what == "is offline":
            self.specs[name] = build_spec(name, offline="by the platform")
        elif change.what == "is renewed":
            self.specs[name] = build_spec(name, fingerprint=str(next(self.renewed)))
        elif change.what == "refuses":
            cluster.refusing = True
            cluster.cut_watches()
        elif change.what == "hangs":
            cluster.answering.clear()
        else:
            cluster.refusing = False
            cluster.answering.set()
            self.specs[name] = build_spec(name)
        self.source.say(*self.specs.values())

    async def settle(self, federation: Federation) -> None:
        """Until those that are lost are known to be; of other changes some have arrived by then, and some have not."""
        for _ in range(20):
            await asyncio.sleep(0)
        for name in [cluster.name for cluster in federation.list_clusters(EVERYTHING)]:
            if self.clusters[name].refusing or not self.clusters[name].answering.is_set():
                await until(partial(_is_silent, federation, name), what="a lost cluster's silence")

    def _change_object(self, cluster: FakeCluster, change: Change) -> None:
        made = change.thing.build(self.kind)
        key = (made["metadata"].get("namespace", ""), made["metadata"]["name"])
        if change.thing in self.stable:
            return
        if change.what == "put":
            cluster.put(made)
        elif key in cluster.objects[self.kind]:
            cluster.delete(self.kind, *key)

    async def read(
        self, federation: Federation, orders: tuple[Order, ...], request: PageRequest, mode: OnUnavailable
    ) -> Page[Any]:
        if self.kind == "Pod":
            return await federation.list_page(PODS, EVERYTHING, PodFilter(), orders, request, mode)
        return await federation.list_page(NODES, EVERYTHING, NodeFilter(), orders, request, mode)


def _is_silent(federation: Federation, name: str) -> bool:
    age = federation.get_cluster(EVERYTHING, name).age_seconds
    return age is None or age > OPTIONS.fresh_seconds


def is_before(left: Any, right: Any, orders: tuple[Order, ...]) -> bool:
    """Whether an object comes before another, by the definition of the order."""
    for order in orders:
        a, b = VALUES[order.column](left), VALUES[order.column](right)
        if a != b:
            if a is None or b is None:
                return b is None
            return bool(a > b if order.descending else a < b)
    return bool(left.key < right.key)


async def read_all(
    world: World, orders: tuple[Order, ...], first: int, mode: OnUnavailable, turns: list[list[Change]]
) -> tuple[list[Any], list[Page[Any]]]:
    """The records of what is stable, and all pages, a turn of changes before each but the first."""
    changes: Iterator[list[Change]] = itertools.cycle(turns)
    async with open_federation(world.source, OPTIONS) as federation:
        await federation.wait_synced(5)
        whole = await world.read(federation, (), PageRequest(first=1000), OnUnavailable.STALE)
        names = {(made.cluster, made.build(world.kind)["metadata"]["name"], made.namespace) for made in world.stable}
        stable = [item for item in whole.items if (item.cluster, item.name, _namespace_of(item)) in names]
        assert len(stable) == len(world.stable)
        pages = [await world.read(federation, orders, PageRequest(first), mode)]
        while pages[-1].has_next:
            for change in next(changes):
                world.suffer(change)
            await world.settle(federation)
            pages.append(await world.read(federation, orders, PageRequest(first, pages[-1].cursors[-1]), mode))
            assert len(pages) <= len(THINGS) + 1
    return stable, pages


def _namespace_of(item: Any) -> str:
    return str(item.namespace or item.name[-1])


@pytest.mark.parametrize("mode", [OnUnavailable.PARTIAL, OnUnavailable.STALE])
@pytest.mark.parametrize("kind", ["Pod", "Node"])
@given(st.data(), STABLE, st.frozensets(st.sampled_from(THINGS), max_size=10), TURNS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_comes_twice_and_nothing_that_could_be_read_is_skipped(
    kind: str,
    mode: OnUnavailable,
    data: st.DataObject,
    stable: frozenset[Thing],
    passing: frozenset[Thing],
    turns: list[list[Change]],
) -> None:
    """No object is on two pages, not even one that was deleted and made anew; what existed throughout is on one page.

    Exactly: it is on the page whose cursors enclose its place in the order if that page has its cluster (OK or STALE in
    its outcomes), and on none if it has not. So of a cluster that is on every page nothing is skipped, and of one that
    was away for some pages only what those pages passed: what comes after the cursor when it returns is read. The
    outcomes of each page say of which clusters it has nothing.
    """
    orders = tuple(
        data.draw(st.lists(st.builds(Order, st.sampled_from(COLUMNS[kind]), st.booleans()), max_size=2), label="orders")
    )
    first = data.draw(st.integers(1, 4), label="first")
    kept, pages = asyncio.run(read_all(World(kind, stable, passing), orders, first, mode, turns))
    read = [item.key for page in pages for item in page.items]
    assert len(set(read)) == len(read)
    for page, before in zip(pages, [None, *pages], strict=False):
        there = {outcome.cluster for outcome in page.outcomes if outcome.state in PRESENT}
        on_it = {item.key for item in page.items}
        for thing in kept:
            behind = before is None or is_before(before.items[-1], thing, orders)
            passed = behind and not (page.has_next and is_before(page.items[-1], thing, orders))
            assert (thing.key in on_it) is (passed and thing.cluster in there), (thing.key, page.outcomes)
