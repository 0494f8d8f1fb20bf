"""Any kind of real API servers, as it changes: how many watches that takes, what is told, and to whom."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest

from auth.principal import Principal
from fleet.kubernetes.codec.codec import EventType
from fleet.kubernetes.codec.tables import TableCodec
from fleet.kubernetes.codec.watch import iter_lines
from fleet.kubernetes.discovery import Served
from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.model.visibility import Role, Scope
from fleet.ports import Call
from fleet.registry import FleetOptions, open_federation
from graph.subscriptions.hub import open_hub
from realfleet.client import KubeClient, KubeError
from realfleet.crds import CRDS_PATH
from realfleet.fleet import Fleet
from tests.fakes.graph import CountingStore
from tests.fakes.kubernetes import FakeSource
from tests.fakes.waiting import until
from tests.graph.conftest import ADMIN
from tests.graph.subscriptions.serving import Live, Socket, Users, serve

pytestmark = pytest.mark.real

FOLLOW = """subscription Follow($version: String!, $kind: String!, $filter: ResourceFilter) {
  resourceEvents(apiVersion: $version, kind: $kind, filter: $filter) {
    type resource { cluster { name } namespace name columns { name value } manifest } } }"""
MAPS = "/api/v1/namespaces/shop/configmaps"
SHOP: dict[str, Any] = {
    "version": "v1",
    "kind": "ConfigMap",
    "filter": {"namespaces": ["shop"], "clusters": ["cluster1"]},
}
GADGETS = "/apis/example.org/v1/gadgets"


@pytest.fixture
async def live(real_fleet: Fleet) -> AsyncIterator[Live]:
    users = Users()
    users.known |= {
        "ed": Principal("ed", Scope(Role.EDIT)),
        "sam": Principal("sam", Scope(Role.VIEW, ("cluster1",), ("shop",))),
        "eve": Principal("eve", Scope(Role.EDIT, namespaces=("shop", "kube-system"))),
    }
    store = CountingStore()
    async with (
        open_kubeconfig_source((real_fleet.kubeconfig,)) as source,
        open_federation(source, FleetOptions(member_timeout=4.0)) as federation,
        open_hub(federation, store, users, request_timeout=8.0) as hub,
    ):
        await federation.wait_synced(20)
        made = Live(FakeSource(), federation, store, users, hub)
        async with serve(made):
            yield made


@pytest.fixture
def client(real_fleet: Fleet) -> KubeClient:
    return real_fleet.cluster("cluster1").client


@pytest.fixture
def maps(client: KubeClient) -> Iterator[None]:
    """Two ConfigMaps in `shop`, and whatever a test makes of them is gone after it."""
    for name in ("m1", "m2"):
        put(client, name)
    yield
    for item in client.get(MAPS)["items"]:
        if item["metadata"]["name"].startswith("m"):
            client.delete(f"{MAPS}/{item['metadata']['name']}")


def put(client: KubeClient, name: str, **labels: str) -> None:
    client.create(MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}})


def count_watches(client: KubeClient, resource: str) -> int:
    """Open watches of a resource, by the API server's own metrics."""
    text = client.read("GET", "/metrics", accept="*/*")[1].decode()
    lines = re.findall(r"^apiserver_longrunning_requests\{([^}]*)\} (\d+)", text, re.MULTILINE)
    return sum(int(count) for labels, count in lines if f'resource="{resource}"' in labels and 'verb="WATCH"' in labels)


async def is_count(count: Callable[[], Awaitable[int]], wanted: int) -> bool:
    return await count() == wanted


async def told(socket: Socket) -> tuple[str, Any]:
    event = (await socket.next())["data"]["resourceEvents"]
    return event["type"], event["resource"]


async def until_told(socket: Socket, type: str, name: str) -> Any:  # noqa: A002 - the field's name in the graph
    while True:
        seen, resource = await told(socket)
        if (seen, resource["name"]) == (type, name):
            return resource


@pytest.mark.usefixtures("maps")
async def test_first_what_is_there_then_what_changes_as_kubectl_prints_it(live: Live, client: KubeClient) -> None:
    async with live.ready(FOLLOW, **SHOP) as socket:
        there = {name: await until_told(socket, "ADDED", name) for name in ("m1", "m2")}
        assert [column["name"] for column in there["m1"]["columns"]] == ["Name", "Data", "Age"]
        await asyncio.to_thread(client.merge, f"{MAPS}/m1", {"data": {"a": "b"}})
        changed = await until_told(socket, "MODIFIED", "m1")
        assert {column["name"]: column["value"] for column in changed["columns"]}["Data"] == 1
        assert changed["manifest"]["data"] == {"a": "b"}
        assert (changed["cluster"]["name"], changed["namespace"]) == ("cluster1", "shop")
        await asyncio.to_thread(client.delete, f"{MAPS}/m1")
        await until_told(socket, "DELETED", "m1")
        await asyncio.to_thread(put, client, "m3")
        assert (await until_told(socket, "ADDED", "m3"))["manifest"]["kind"] == "ConfigMap"


@pytest.mark.usefixtures("maps")
async def test_all_who_follow_share_one_watch_that_ends_with_the_last(live: Live, client: KubeClient) -> None:
    before = await asyncio.to_thread(count_watches, client, "configmaps")
    watches = partial(asyncio.to_thread, count_watches, client, "configmaps")
    other = SHOP | {"filter": {"name": {"startsWith": "m"}}}
    async with live.ready(FOLLOW, **SHOP) as first:
        await until_told(first, "ADDED", "m1")
        async with live.ready(FOLLOW, "sam", **other) as second, live.ready(FOLLOW, "ed", **other) as third:
            for socket in (second, third):
                await until_told(socket, "ADDED", "m2")
            assert live.hub.channels == 3
            assert await watches() == before + 1
        await until(lambda: live.hub.channels == 1)
        assert await watches() == before + 1
    await until(partial(is_count, watches, before), every=0.05)
    assert live.federation.kinds.held_bytes == 0


@pytest.mark.usefixtures("maps")
async def test_each_is_told_what_is_within_reach_and_wanted(live: Live, client: KubeClient) -> None:
    everything = {"version": "v1", "kind": "ConfigMap"}
    labelled = SHOP | {"filter": {"labelSelector": "app=web", "fieldSelector": "metadata.name!=m4"}}
    async with live.ready(FOLLOW, "sam", **everything) as shopper, live.ready(FOLLOW, **labelled) as web:
        await until_told(shopper, "ADDED", "m2")
        elsewhere = MAPS.replace("shop", "default")
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "far"}}
        await asyncio.to_thread(client.create, elsewhere, made)
        try:
            for name, app in (("m3", "db"), ("m4", "web"), ("m5", "web")):
                await asyncio.to_thread(put, client, name, app=app)
            seen = [await told(shopper) for _ in range(3)]
            assert [resource["name"] for _, resource in seen] == ["m3", "m4", "m5"]
            assert (await told(web))[1]["name"] == "m5"
        finally:
            await asyncio.to_thread(client.delete, f"{elsewhere}/far")


@pytest.mark.usefixtures("maps")
async def test_a_server_that_is_started_again_is_followed_again(
    real_fleet: Fleet, live: Live, client: KubeClient
) -> None:
    happening = 'subscription { events(filter: {reasons: ["Restarted"]}) { message count } }'
    async with live.ready(FOLLOW, **SHOP) as socket, live.ready(happening) as events:
        await until_told(socket, "ADDED", "m2")
        await until(lambda: live.hub.channels == 2)
        await asyncio.to_thread(real_fleet.cluster("cluster1").restart)
        await asyncio.to_thread(client.delete, f"{MAPS}/m2")
        head = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "again", "namespace": "shop"}}
        about = {"kind": "Pod", "namespace": "shop", "name": "p"}
        made = head | {"involvedObject": about, "reason": "Restarted", "message": "hello", "type": "Normal"}
        await asyncio.to_thread(client.create, "/api/v1/namespaces/shop/events", made)
        await asyncio.to_thread(put, client, "m9")
        seen = [await told(socket) for _ in range(2)]
        assert sorted((what, resource["name"]) for what, resource in seen) == [("ADDED", "m9"), ("DELETED", "m2")]
        assert (await events.next())["data"]["events"] == {"message": "hello", "count": 1}


async def test_a_bookmark_among_tables_moves_the_version(live: Live) -> None:
    served = Served("v1", "ConfigMap", "configmaps", namespaced=True, verbs=frozenset({"list", "watch"}))
    codec = TableCodec(served)
    query = urlencode({**codec.query, "watch": "true", "allowWatchBookmarks": "true", "sendInitialEvents": "true"})
    query += "&resourceVersionMatch=NotOlderThan&timeoutSeconds=60"
    connection = live.federation.get_connection(ADMIN.scope, "cluster1")
    call = Call("GET", codec.path, 10.0, query, ((b"accept", codec.accept),), idle_timeout=30.0)
    async with connection.open_stream(call) as stream, contextlib.aclosing(iter_lines(stream.chunks())) as lines:  # type: ignore[type-var]  # a generator
        async for line in lines:
            event = codec.decode_event(line, "cluster1")
            if event.type is EventType.BOOKMARK:
                break
            assert event.record is not None
            assert [column.name for column in event.record.columns] == ["Name", "Data", "Age"]
    assert int(event.resource_version) > 0


async def test_rights_are_those_of_resources(live: Live) -> None:
    refused = (
        ("sam", {"version": "v1", "kind": "Secret"}, "FORBIDDEN"),
        ("sam", {"version": "v1", "kind": "Node"}, "FORBIDDEN"),
        ("ed", {"version": "v1", "kind": "Secret"}, "FORBIDDEN"),
        ("eve", {"version": "v1", "kind": "Secret", "filter": {"namespaces": ["shop", "kube-system"]}}, "FORBIDDEN"),
        ("ann", {"version": "v1", "kind": "ConfigMop"}, "BAD_USER_INPUT"),
        ("ann", {"version": "v1", "kind": "ComponentStatus"}, "BAD_USER_INPUT"),
        ("ann", {"version": "authentication.k8s.io/v1", "kind": "TokenReview"}, "BAD_USER_INPUT"),
        ("ann", SHOP | {"filter": {"fieldSelector": "data.x=1"}}, "BAD_USER_INPUT"),
        ("ann", SHOP | {"filter": {"labelSelector": "=="}}, "BAD_USER_INPUT"),
        ("ann", SHOP | {"filter": {"clusters": ["none"]}}, "NOT_FOUND"),
    )
    for who, variables, code in refused:
        async with live.ready(FOLLOW, who, **variables) as socket:
            message = await socket.receive()
            assert message["type"] == "error", (who, variables, message)
            assert message["payload"][0]["extensions"]["code"] == code, message


async def test_secrets_are_redacted(live: Live, client: KubeClient) -> None:
    path, secret = "/api/v1/namespaces/shop/secrets", {"apiVersion": "v1", "kind": "Secret", "data": {"key": "aGk="}}
    wanted = {"version": "v1", "kind": "Secret", "filter": {"namespaces": ["shop"]}}
    await asyncio.to_thread(client.create, path, secret | {"metadata": {"name": "s1"}})
    try:
        async with live.ready(FOLLOW, "ed", **wanted) as socket:
            assert (await until_told(socket, "ADDED", "s1"))["manifest"]["data"] == {"key": "REDACTED"}
            await asyncio.to_thread(client.merge, f"{path}/s1", {"data": {"other": "aGk="}})
            assert set((await until_told(socket, "MODIFIED", "s1"))["manifest"]["data"].values()) == {"REDACTED"}
    finally:
        await asyncio.to_thread(client.delete, f"{path}/s1")


@contextlib.asynccontextmanager
async def open_gadgets(fleet: Fleet, client: KubeClient) -> AsyncIterator[None]:
    """A kind of one's own, with one object."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    version["additionalPrinterColumns"] = [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]
    names = {"kind": "Gadget", "plural": "gadgets", "singular": "gadget", "listKind": "GadgetList"}
    head = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    spec = {"group": "example.org", "scope": "Cluster", "names": names, "versions": [version]}
    definition = head | {"metadata": {"name": "gadgets.example.org"}, "spec": spec}
    await asyncio.to_thread(client.create, CRDS_PATH, definition)
    waiting = ("wait", "--for=condition=Established", "crd/gadgets.example.org", "--timeout=60s")
    await asyncio.to_thread(fleet.kubectl, "cluster1", *waiting)
    made = {"apiVersion": "example.org/v1", "kind": "Gadget", "metadata": {"name": "g1"}, "spec": {"size": 7}}
    await asyncio.to_thread(partial(fleet.kubectl, "cluster1", "apply", "-f", "-", stdin=json.dumps(made)))
    try:
        yield
    finally:
        with contextlib.suppress(KubeError):
            await asyncio.to_thread(client.delete, f"{CRDS_PATH}/gadgets.example.org")
            await until(partial(is_gone, client), every=0.1)


async def test_a_kind_that_is_taken_away_and_comes_back(real_fleet: Fleet, live: Live, client: KubeClient) -> None:
    wanted = {"version": "example.org/v1", "kind": "Gadget"}
    async with open_gadgets(real_fleet, client), live.socket() as socket:
        await socket.init()
        await socket.subscribe(FOLLOW, **wanted)
        seen = await until_told(socket, "ADDED", "g1")
        assert {column["name"]: column["value"] for column in seen["columns"]} == {"Name": "g1", "Size": 7}
        await asyncio.to_thread(client.delete, f"{CRDS_PATH}/gadgets.example.org")
        await until_told(socket, "DELETED", "g1")
        await until(partial(is_gone, client), every=0.1)
        async with open_gadgets(real_fleet, client):
            await until_told(socket, "ADDED", "g1")


def is_gone(client: KubeClient) -> bool:
    return client.read("GET", f"{CRDS_PATH}/gadgets.example.org")[0] == 404
