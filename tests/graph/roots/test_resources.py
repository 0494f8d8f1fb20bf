"""Objects of any kind from members that page, expire, hang, refuse and talk nonsense; and how often they are asked."""

import json
from typing import Any

import pytest

from fleet.model.redaction import LAST_APPLIED
from tests.fakes.kubernetes import FakeCluster, Object, build_plain, build_pod, serve_kinds, status_body
from tests.graph.conftest import OpenGraph

SETS = "/apis/apps/v1/namespaces/shop/replicasets"
EVENTS = "/api/v1/namespaces/shop/events"
SECRETS = "/api/v1/secrets"
PODS = """query Pods($first: Int, $after: String, $mode: OnUnavailable) {
  resources(apiVersion: "v1", kind: "Pod", first: $first, after: $after, onUnavailable: $mode) {
    items { cluster { name } namespace name apiVersion kind manifest columns { name type value } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } clusters { name state message tookMs } } }"""
OWNERS = "{ pods { items { name owner { resource { name createdAt } } } } }"


def build_owned(name: str, owner: str) -> Object:
    pod = build_pod("shop", name)
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": f"uid-{owner}"}
    pod["metadata"]["ownerReferences"] = [reference | {"controller": True}]
    return pod


def build_set(name: str) -> Object:
    made = build_plain("ReplicaSet", name) | {"apiVersion": "apps/v1"}
    made["metadata"]["namespace"] = "shop"
    return made


def build_event(number: int, pod: str, *, uid: str = "", **times: str) -> Object:
    about = {"kind": "Pod", "namespace": "shop", "name": pod, "uid": uid or f"uid-shop-{pod}"}
    event = build_plain("Event", f"e{number}") | {"involvedObject": about, "reason": f"R{number}", "type": "Warning"}
    return event | {"message": "m", "count": 3, "source": {"component": "kubelet"}} | times


def say(cluster: FakeCluster, path: str, kind: str, *items: Object) -> None:
    listed = {"kind": f"{kind}List", "apiVersion": "v1", "metadata": {}, "items": list(items)}
    cluster.statuses[path] = (200, json.dumps(listed).encode())


@pytest.mark.parametrize("aggregated", [True, False])
async def test_a_server_without_tables_is_read_as_well(open_graph: OpenGraph, aggregated: bool) -> None:
    async with open_graph("c1", pods=1) as graph:
        serve_kinds(graph["c1"], aggregated=aggregated)
        page = (await graph.ask(PODS))["resources"]
    (item,) = page["items"]
    assert (item["kind"], item["manifest"]["kind"], item["namespace"], item["name"]) == ("Pod", "Pod", "shop", "p0")
    assert item["columns"] == [
        {"name": "Name", "type": "string", "value": "p0"},
        {"name": "Created At", "type": "date", "value": "2024-05-01T10:00:00Z"},
    ]


async def test_pages_go_on_with_the_members_tokens(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=0) as graph:
        for name in ("c1", "c2"):
            serve_kinds(graph[name])
            for number in range(5):
                graph[name].put(build_pod("shop", f"p{number}"))
        found: list[str] = []
        after, more = None, True
        while more:
            page = (await graph.ask(PODS, {"first": 2, "after": after}))["resources"]
            found += [f"{item['cluster']['name']}/{item['name']}" for item in page["items"]]
            more, after = page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]
        asked = [query for path, query in graph["c1"].calls if path == "/api/v1/pods" and "includeObject" in query]
    assert found == [f"{cluster}/p{number}" for cluster in ("c1", "c2") for number in range(5)]
    assert sum("continue=" in query for query in asked) >= 2


async def test_a_rare_name_is_looked_for_in_whole_chunks(open_graph: OpenGraph) -> None:
    query = """{ resources(apiVersion: "v1", kind: "Pod", first: 2, filter: { name: { contains: "rare" } }) {
      items { name } pageInfo { hasNextPage } } }"""
    async with open_graph("c1", pods=0) as graph:
        serve_kinds(graph["c1"])
        for number in range(40):
            graph["c1"].put(build_pod("shop", f"p{number:02}-{'rare' if number in (3, 39) else 'usual'}"))
        page = (await graph.ask(query))["resources"]
        asked = [query for path, query in graph["c1"].calls if path == "/api/v1/pods" and "includeObject" in query]
    assert [item["name"] for item in page["items"]] == ["p03-rare", "p39-rare"]
    assert page["pageInfo"] == {"hasNextPage": False}
    assert len(asked) == 1


async def test_an_expired_token_says_where_to_start(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=6) as graph:
        serve_kinds(graph["c1"])
        page = (await graph.ask(PODS, {"first": 2}))["resources"]
        graph["c1"].expire()
        error = await graph.fail(PODS, {"first": 2, "after": page["pageInfo"]["endCursor"]})
    assert error["code"] == "BAD_USER_INPUT"
    assert "start again without `after`" in error["message"]


async def test_one_hung_cluster_costs_its_place(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=1) as graph:
        for name in ("c1", "c2"):
            serve_kinds(graph[name])
        await graph.hang("c2")
        page = (await graph.ask(PODS, {"mode": "STALE"}))["resources"]
        error = await graph.fail(PODS, {"mode": "STRICT"})
    assert [item["cluster"]["name"] for item in page["items"]] == ["c1"]
    assert [outcome["state"] for outcome in page["clusters"]] == ["OK", "TIMEOUT"]
    assert page["clusters"][1]["tookMs"] >= 250
    assert (error["code"], error["cluster"]) == ("CLUSTER_TIMEOUT", "c2")


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        (403, status_body(403, "no"), "FORBIDDEN"),
        (500, b"<html>", "UNREACHABLE"),
        (504, b"", "TIMEOUT"),
        (200, b"nonsense", "UNREACHABLE"),
        (200, b'{"kind": "SecretList", "items": [{"metadata": {}}]}', "UNREACHABLE"),
    ],
)
async def test_a_members_failure_stays_in_its_place(
    open_graph: OpenGraph, status: int, body: bytes, state: str
) -> None:
    query = """{ resources(apiVersion: "v1", kind: "Secret") { items { name } clusters { name state message } } }"""
    async with open_graph("c1", "c2", pods=0) as graph:
        for name in ("c1", "c2"):
            serve_kinds(graph[name])
            say(graph[name], SECRETS, "Secret", build_plain("Secret", "s"))
        graph["c2"].statuses[SECRETS] = (status, body)
        page = (await graph.ask(query))["resources"]
    assert [item["name"] for item in page["items"]] == ["s"]
    assert [outcome["state"] for outcome in page["clusters"]] == ["OK", state]
    assert page["clusters"][1]["message"]


@pytest.mark.parametrize("status", [403, 500])
async def test_a_member_that_hides_its_kinds_is_told_of(open_graph: OpenGraph, status: int) -> None:
    async with open_graph("c1", "c2", pods=1) as graph:
        serve_kinds(graph["c1"])
        graph["c2"].statuses["/api"] = graph["c2"].statuses["/apis"] = (status, b"")
        page = (await graph.ask(PODS))["resources"]
    assert [outcome["state"] for outcome in page["clusters"]] == ["OK", "FORBIDDEN" if status == 403 else "UNREACHABLE"]


@pytest.mark.parametrize(("kind", "meant"), [("Pods", "v1 Pod"), ("pod", "v1 Pod"), ("Widget", None)])
async def test_a_slip_is_told_though_a_member_can_not_be_asked(
    open_graph: OpenGraph, kind: str, meant: str | None
) -> None:
    query = """query Find($kind: String!) { resources(apiVersion: "v1", kind: $kind) { clusters { state message } } }"""
    async with open_graph("c1", "c2", pods=1) as graph:
        serve_kinds(graph["c1"])
        graph["c2"].statuses["/api"] = graph["c2"].statuses["/apis"] = (500, b"")
        if meant is not None:
            error = await graph.fail(query, {"kind": kind})
            assert (error["code"], meant in error["message"]) == ("BAD_USER_INPUT", True)
            return
        outcomes = (await graph.ask(query, {"kind": kind}))["resources"]["clusters"]
    assert [outcome["state"] for outcome in outcomes] == ["OK", "UNREACHABLE"]
    assert "does not serve the kind Widget" in outcomes[0]["message"]


async def test_no_value_of_a_secret_gets_out(open_graph: OpenGraph) -> None:
    secret = build_plain("Secret", "s") | {"data": {"password": "aHVudGVyMg=="}, "stringData": {"a": "hunter2"}}
    secret["metadata"]["annotations"] = {LAST_APPLIED: "hunter2", "note": "kept"}
    query = """{ resources(apiVersion: "v1", kind: "Secret") { items { manifest annotations { key value }
      columns { value } conditions { type } labels { key } } } }"""
    async with open_graph("c1", pods=0) as graph:
        serve_kinds(graph["c1"])
        say(graph["c1"], SECRETS, "Secret", {key: secret[key] for key in secret if key not in ("kind", "apiVersion")})
        data = await graph.ask(query)
    assert "hunter2" not in json.dumps(data)
    assert "aHVudGVyMg" not in json.dumps(data)
    assert {"key": "note", "value": "kept"} in data["resources"]["items"][0]["annotations"]


async def test_a_hundred_pods_of_one_owner_cost_one_call(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=0) as graph:
        serve_kinds(graph["c1"])
        graph["c1"].statuses[f"{SETS}/web"] = (200, json.dumps(build_set("web")).encode())
        for number in range(100):
            graph["c1"].put(build_owned(f"w{number}", "web"))
        items: list[Any] = []
        while len(items) < 100:
            graph["c1"].calls.clear()
            items = (await graph.ask(OWNERS))["pods"]["items"]
        calls = [path for path, _ in graph["c1"].calls if path.startswith("/apis/")]
    assert {item["owner"]["resource"]["name"] for item in items} == {"web"}
    assert calls.count(f"{SETS}/web") <= 1


async def test_many_owners_are_read_with_one_list(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=0) as graph:
        serve_kinds(graph["c1"])
        say(graph["c1"], SETS, "ReplicaSet", *(build_set(f"set{number}") for number in range(19)))
        for number in range(20):
            graph["c1"].put(build_owned(f"w{number}", f"set{number}"))
        items: list[Any] = []
        while len(items) < 20:
            graph["c1"].calls.clear()
            items = (await graph.ask(OWNERS))["pods"]["items"]
        calls = [path for path, _ in graph["c1"].calls if path.startswith(SETS)]
    owners = {item["name"]: item["owner"]["resource"] for item in items}
    assert owners.pop("w19") is None
    assert [owner["name"] for _, owner in sorted(owners.items())] == sorted(f"set{n}" for n in range(19))
    assert calls == [SETS]


async def test_an_owner_that_was_made_anew_is_not_the_owner(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=0) as graph:
        serve_kinds(graph["c1"])
        other = build_set("web")
        other["metadata"]["uid"] = "another"
        graph["c1"].statuses[f"{SETS}/web"] = (200, json.dumps(other).encode())
        graph["c1"].put(build_owned("w", "web"))
        items: list[Any] = []
        while not items:
            items = (await graph.ask(OWNERS))["pods"]["items"]
    assert items[0]["owner"] == {"resource": None}


async def test_an_owner_of_a_kind_that_is_not_served_is_null(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=0) as graph:
        graph["c1"].statuses["/api"] = graph["c1"].statuses["/apis"] = (404, b"")
        graph["c1"].statuses["/api/v1"] = (404, b"")
        graph["c1"].put(build_owned("w", "web"))
        items: list[Any] = []
        while not items:
            items = (await graph.ask(OWNERS))["pods"]["items"]
    assert items[0]["owner"] == {"resource": None}


@pytest.mark.parametrize("name", ["", ".", "..", "a/status", "a%2fb", "a?b", "a\\nb"])
async def test_a_name_that_is_none_is_refused(open_graph: OpenGraph, name: str) -> None:
    query = """query Get($name: String!) {
      resource(cluster: "c1", apiVersion: "v1", kind: "Pod", namespace: "shop", name: $name) { name } }"""
    async with open_graph("c1") as graph:
        serve_kinds(graph["c1"])
        error = await graph.fail(query, {"name": name})
    assert error["code"] == "BAD_USER_INPUT"


async def test_events_of_a_page_are_one_list_newest_first(open_graph: OpenGraph) -> None:
    query = """{ pods(filter: {namespaces: ["shop"]}) { items { name
      events(first: 2) { reason type message count firstSeen lastSeen source regarding { kind name } } } } }"""
    async with open_graph("c1", pods=6) as graph:
        serve_kinds(graph["c1"])
        events = [
            build_event(1, "p0", lastTimestamp="2024-05-01T10:00:00Z", firstTimestamp="2024-05-01T09:00:00Z"),
            build_event(2, "p0", lastTimestamp="2024-05-01T12:00:00Z"),
            build_event(3, "p0", eventTime="2024-05-01T11:00:00.123456Z"),
            build_event(4, "p2", uid="of a pod of that name before"),
            build_event(5, "elsewhere"),
            build_event(6, "p4", lastTimestamp="0000-01-01T00:00:00Z"),
        ]
        say(graph["c1"], EVENTS, "Event", *events, {"metadata": {"name": "broken"}, "involvedObject": 7})
        items = (await graph.ask(query))["pods"]["items"]
        calls = [query for path, query in graph["c1"].calls if path == EVENTS]
    assert {item["name"]: [event["reason"] for event in item["events"]] for item in items} == {
        "p0": ["R2", "R3"],
        "p2": [],
        "p4": ["R6"],
    }
    assert items[0]["events"][0] | {"firstSeen": None} == {
        "reason": "R2",
        "type": "Warning",
        "message": "m",
        "count": 3,
        "firstSeen": None,
        "lastSeen": "2024-05-01T12:00:00Z",
        "source": "kubelet",
        "regarding": {"kind": "Pod", "name": "p0"},
    }
    assert len(calls) == 1


async def test_events_that_can_not_be_asked_null_their_field(open_graph: OpenGraph) -> None:
    query = '{ pod(cluster: "c1", namespace: "shop", name: "p0") { name events { reason } } }'
    async with open_graph("c1", pods=1) as graph:
        serve_kinds(graph["c1"])
        graph["c1"].statuses[EVENTS] = (403, status_body(403, "events are forbidden"))
        result = await graph.execute(query)
        few = await graph.fail(query.replace("events", "events(first: 1001)"))
    assert result.data == {"pod": {"name": "p0", "events": None}}
    assert [error.extensions for error in result.errors or ()] == [{"code": "FORBIDDEN", "cluster": "c1"}]
    assert few["code"] == "BAD_USER_INPUT"
