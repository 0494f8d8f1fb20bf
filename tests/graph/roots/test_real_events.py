"""Events of real API servers, as they list them and as they change."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.registry import FleetOptions, open_federation
from realfleet.client import KubeClient
from realfleet.fleet import Fleet
from tests.fakes.kubernetes import FakeSource
from tests.fakes.waiting import until
from tests.graph.conftest import Graph

pytestmark = pytest.mark.real

SHOP = "/api/v1/namespaces/shop/events"
LIST = """query List($f: EventFilter) { events(filter: $f, first: 10000) {
  items { id cluster { name } namespace reason count lastSeen regarding { kind name } } clusters { name state } } }"""


@pytest.fixture(scope="module")
async def graph(real_fleet: Fleet) -> AsyncIterator[Graph]:
    async with (
        open_kubeconfig_source((real_fleet.kubeconfig,)) as source,
        open_federation(source, FleetOptions(member_timeout=4.0)) as federation,
    ):
        await federation.wait_synced(20)
        yield Graph(FakeSource(), federation)


def write(client: KubeClient, name: str, *, count: int, at: float, first: bool) -> None:
    """As client-go's recorder writes an event, and writes it again when it repeats."""
    times = {"lastTimestamp": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "count": count}
    if first:
        about = {"kind": "Pod", "namespace": "shop", "name": "made-up"}
        head = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "shop"}}
        client.create(SHOP, head | {"involvedObject": about, "reason": "MadeUp", "type": "Warning"} | times)
    else:
        client.merge(f"{SHOP}/{name}", times)


async def list_made_up(graph: Graph) -> list[Any]:
    wanted = {"reasons": ["MadeUp"], "types": ["Warning"], "regarding": {"kind": "Pod", "name": {"eq": "made-up"}}}
    items: list[Any] = (await graph.ask(LIST, {"f": wanted}))["events"]["items"]
    return items


async def test_an_event_is_told_when_it_happens_and_when_it_repeats(real_fleet: Fleet, graph: Graph) -> None:
    client, now = real_fleet.cluster("cluster1").client, time.time()
    for name, count, at, first in (("a", 1, now + 5, True), ("b", 1, now + 6, True), ("a", 2, now + 7, False)):
        await asyncio.to_thread(write, client, f"made-up-{name}", count=count, at=at, first=first)
    stores = graph.federation.feed.stores("cluster1")
    assert stores is not None
    await until(lambda: (event := stores.events.get(("shop", "made-up-a"))) is not None and event.count == 2)
    newest = (await graph.ask(LIST))["events"]["items"][:2]
    assert newest == await list_made_up(graph)
    assert [(item["cluster"]["name"], item["namespace"], item["count"]) for item in newest] == [
        ("cluster1", "shop", 2),
        ("cluster1", "shop", 1),
    ]
    find = "query Find($id: ID!) { object(id: $id) { ... on Resource { kind name } } }"
    found = await graph.ask(find, {"id": newest[0]["id"]})
    assert found["object"] == {"kind": "Event", "name": "made-up-a"}
    await asyncio.to_thread(client.delete, f"{SHOP}/made-up-b")
    assert len(await list_made_up(graph)) == 2


async def test_a_series_of_the_newer_kind_is_one_event(real_fleet: Fleet, graph: Graph) -> None:
    client, path = real_fleet.cluster("cluster1").client, "/apis/events.k8s.io/v1/namespaces/shop/events"
    start = datetime(2025, 1, 1, tzinfo=UTC)
    regarding = {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "serial"}
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "serial", "namespace": "shop"},
        "eventTime": start.isoformat(timespec="microseconds"),
        "reportingController": "example.org/tester",
        "reportingInstance": "tester-1",
        "action": "Testing",
        "reason": "Serial",
        "regarding": regarding,
        "note": "again and again",
        "type": "Normal",
    }
    await asyncio.to_thread(client.create, path, event)
    later = (start + timedelta(minutes=3)).isoformat(timespec="microseconds")
    await asyncio.to_thread(client.merge, f"{path}/serial", {"series": {"count": 5, "lastObservedTime": later}})
    stores = graph.federation.feed.stores("cluster1")
    assert stores is not None
    await until(lambda: (known := stores.events.get(("shop", "serial"))) is not None and known.count == 5)
    query = '{ events(filter: {reasons: ["Serial"]}) { items { count firstSeen lastSeen message source } } }'
    assert (await graph.ask(query))["events"]["items"] == [
        {
            "count": 5,
            "firstSeen": "2025-01-01T00:00:00Z",
            "lastSeen": "2025-01-01T00:03:00Z",
            "message": "again and again",
            "source": "example.org/tester",
        }
    ]
    await asyncio.to_thread(client.delete, f"{path}/serial")


async def test_all_that_the_servers_list_is_there(real_fleet: Fleet, graph: Graph) -> None:
    for name in ("cluster1", "cluster2"):
        listed = await asyncio.to_thread(real_fleet.cluster(name).client.get, "/api/v1/events")
        wanted = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in listed["items"]}
        stores = graph.federation.feed.stores(name)
        assert stores is not None
        await until(lambda keys=wanted, ring=stores.events: all(map(ring.get, keys)))  # type: ignore[misc]
        assert wanted
    page = (await graph.ask(LIST))["events"]
    assert {outcome["state"] for outcome in page["clusters"]} == {"OK"}
    times = [datetime.fromisoformat(item["lastSeen"]) for item in page["items"]]
    assert times == sorted(times, reverse=True)
