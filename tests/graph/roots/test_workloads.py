"""Workloads in the graph: lists, filters, orders, their pods, what they use, and who may see them."""

import pytest
from msgspec.structs import replace

from auth.principal import Principal
from fleet.model.objects import PodKey
from fleet.model.visibility import EVERYTHING, Role, Scope
from tests.fakes.kubernetes import WORKLOADS, FakeCluster, build_pod, build_workload, own, status_body
from tests.fakes.waiting import until
from tests.graph.conftest import NOW, OPTIONS, Graph, OpenGraph, build_usage

DONE = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
OF_CLUSTER = "query($name: String!) { workloads(filter: { clusters: [$name] }) { items { kind podCount } } }"


def furnish(cluster: FakeCluster) -> None:
    """A Deployment of two ReplicaSets, a StatefulSet that lacks a pod, a CronJob's Job, a custom owner; all in shop."""
    for kind, name, spec, status in (
        ("Deployment", "web", {"replicas": 2}, DONE),
        ("StatefulSet", "db", {"replicas": 3}, DONE | {"replicas": 2}),
        ("CronJob", "nightly", {"schedule": "0 3 * * *"}, {}),
    ):
        cluster.put(build_workload(kind, "shop", name, spec, status))
    job = build_workload("Job", "shop", "nightly-1", {"completions": 1}, {"active": 1})
    cluster.put(own(job, "CronJob", "nightly", api_version="batch/v1"))
    for name, kind, owner, version in (
        ("web-1-a", "ReplicaSet", "web-1", "apps/v1"),
        ("web-2-a", "ReplicaSet", "web-2", "apps/v1"),
        ("db-0", "StatefulSet", "db", "apps/v1"),
        ("nightly-1-a", "Job", "nightly-1", "batch/v1"),
        ("canary-a", "Rollout", "canary", "argoproj.io/v1alpha1"),
    ):
        app = owner.partition("-")[0]
        cluster.put(own(build_pod("shop", name, app=app), kind, owner, api_version=version))


async def furnished(graph: Graph, *names: str) -> Graph:
    for name in names:
        furnish(graph[name])
        for pod in ("web-1-a", "web-2-a", "db-0"):
            graph.store.known[PodKey(name, "shop", pod)] = build_usage(0.25)

        async def is_known(name: str = name) -> bool:
            listed = await graph.ask(OF_CLUSTER, {"name": name})
            found = {(each["kind"], each["podCount"]) for each in listed["workloads"]["items"]}
            return found == {("CronJob", 1), ("Deployment", 2), ("Job", 1), ("Rollout", 1), ("StatefulSet", 1)}

        await until(is_known, what=f"workloads of {name}")
    return graph


async def test_all_kinds_are_listed_by_name_with_those_that_only_pods_tell_of(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=0) as opened:
        graph = await furnished(opened, "c1")
        found = await graph.ask("{ workloads { totalCount items { kind apiVersion name desired rollout podCount } } }")
    rows = [tuple(each.values()) for each in found["workloads"]["items"]]
    assert rows == [
        ("Rollout", "argoproj.io/v1alpha1", "canary", None, None, 1),
        ("StatefulSet", "apps/v1", "db", 3, "PROGRESSING", 1),
        ("CronJob", "batch/v1", "nightly", None, "COMPLETE", 1),
        ("Job", "batch/v1", "nightly-1", 1, "PROGRESSING", 1),
        ("Deployment", "apps/v1", "web", 2, "COMPLETE", 2),
    ]
    assert found["workloads"]["totalCount"] == 5


FILTERS = [
    ("kinds: []", []),
    ("clusters: []", []),
    ('kinds: ["Deployment", "Rollout"]', ["canary", "web"]),
    ('name: { startsWith: "nightly" }', ["nightly", "nightly-1"]),
    ('name: { eq: "web" }, namespaces: ["shop"]', ["web"]),
    ('namespaces: ["ops"]', []),
    ('labelSelector: "app=db"', ["db"]),
    ("rollouts: [PROGRESSING]", ["db", "nightly-1"]),
    ("available: true", ["web"]),
    ("available: false", ["db"]),
    ("usage: [{ field: CPU_CORES, gt: 0.3 }]", ["web"]),
    ('images: { contains: "web" }', ["web"]),
    ('images: { tag: "latest" }', ["canary"]),
    ("restarts: { gte: 1 }", []),
    ('createdAt: { lt: "2025-01-01T00:00:00Z" }', ["db", "nightly", "nightly-1", "web"]),
    ('age: { lt: "1h" }', []),
    ('not: { kinds: ["Job", "CronJob"] }', ["canary", "db", "web"]),
    ('anyOf: [{ rollouts: [COMPLETE], namespaces: ["shop"] }, { name: { eq: "db" } }]', ["db", "nightly", "web"]),
]


@pytest.mark.parametrize(("wanted", "expected"), FILTERS)
async def test_filters(open_graph: OpenGraph, wanted: str, expected: list[str]) -> None:
    async with open_graph("c1", pods=0) as opened:
        graph = await furnished(opened, "c1")
        found = await graph.ask(f"{{ workloads(filter: {{ {wanted} }}) {{ totalCount items {{ name }} }} }}")
    assert [each["name"] for each in found["workloads"]["items"]] == expected
    assert found["workloads"]["totalCount"] == len(expected)


ORDERS = [
    ("field: NAME, direction: DESC", ["web", "nightly-1", "nightly", "db", "canary"]),
    ("field: KIND", ["nightly", "web", "nightly-1", "canary", "db"]),
    ("field: DESIRED, direction: DESC", ["db", "web", "nightly-1", "canary", "nightly"]),
    ("field: UNAVAILABLE, direction: DESC", ["db", "web", "canary", "nightly", "nightly-1"]),
    ("field: CREATED_AT", ["db", "nightly", "nightly-1", "web", "canary"]),
    ("field: RESTARTS", ["canary", "db", "nightly", "nightly-1", "web"]),
    ("usage: CPU_CORES, direction: DESC", ["web", "db", "canary", "nightly", "nightly-1"]),
]


@pytest.mark.parametrize(("order", "expected"), ORDERS)
async def test_orders_page_by_page(open_graph: OpenGraph, order: str, expected: list[str]) -> None:
    query = f"""query($after: String) {{ workloads(orderBy: {{ {order} }}, first: 2, after: $after) {{
      pageInfo {{ hasNextPage endCursor }} items {{ name }} }} }}"""
    async with open_graph("c1", pods=0) as opened:
        graph, names, after = await furnished(opened, "c1"), [], None
        while True:
            page = (await graph.ask(query, {"after": after}))["workloads"]
            names += [each["name"] for each in page["items"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
    assert names == expected


async def test_what_many_changes_come_to_is_waited_for(open_graph: OpenGraph) -> None:
    """Workloads are brought into step with their pods in turns with others."""
    async with open_graph("c1", pods=0) as graph:
        for number in range(200):
            graph["c1"].put(own(build_pod("shop", f"p{number}"), "StatefulSet", f"db-{number}"))
        pods = graph.federation.pods_of
        await until(lambda: len(pods(["c1"])[0]) == 200, what="the pods")
        counts = graph.federation.count_objects(EVERYTHING)
        assert counts.workloads("c1", None) >= 200, "as many as there will be, known before any work"
        workloads = graph.federation._roster.get(EVERYTHING, "c1").stores.marked_workloads
        assert workloads.marks == 200
        found = await graph.ask("{ workloads(first: 0) { totalCount } }")
    assert found["workloads"]["totalCount"] == 200


async def test_two_kinds_of_one_name_are_two_workloads_on_two_pages(open_graph: OpenGraph) -> None:
    query = """query($after: String) { workloads(first: 1, after: $after) {
      pageInfo { endCursor } items { id kind name } } }"""
    async with open_graph("c1", pods=0) as graph:
        for kind in ("StatefulSet", "Deployment"):
            graph["c1"].put(build_workload(kind, "shop", "web"))
        await until(lambda: _count(graph, 2), what="both")
        first = (await graph.ask(query, {"after": None}))["workloads"]
        second = (await graph.ask(query, {"after": first["pageInfo"]["endCursor"]}))["workloads"]
        kinds = [page["items"][0]["kind"] for page in (first, second)]
        again = await graph.ask(
            "query($id: ID!) { object(id: $id) { id ... on Workload { kind name } } }", {"id": second["items"][0]["id"]}
        )
    assert kinds == ["Deployment", "StatefulSet"]
    assert again["object"] == second["items"][0]


async def _count(graph: Graph, wanted: int) -> bool:
    return bool((await graph.ask("{ workloads { totalCount } }"))["workloads"]["totalCount"] == wanted)


async def test_a_pod_leads_to_its_topmost_workload(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=1) as opened:
        graph = await furnished(opened, "c1")
        found = await graph.ask("{ pods { items { name workload { kind name pods { totalCount } } } } }")
    names = {each["name"]: each["workload"] for each in found["pods"]["items"]}
    assert names["web-1-a"] == names["web-2-a"] == {"kind": "Deployment", "name": "web", "pods": {"totalCount": 2}}
    assert names["nightly-1-a"] == {"kind": "CronJob", "name": "nightly", "pods": {"totalCount": 1}}
    assert names["canary-a"] == {"kind": "Rollout", "name": "canary", "pods": {"totalCount": 1}}
    assert names["p0"] is None


async def test_usage_and_history_of_a_page_are_one_question_each(open_graph: OpenGraph) -> None:
    query = """{ workloads(filter: { kinds: ["Deployment", "StatefulSet"] }) { items {
      name requests { cpuCores } usage { cpuCores cpuPercent(of: REQUEST) } history(last: "5m", step: "5m") { cpuCores }
      pods(filter: { name: { eq: "web-1-a" } }) { items { name usage { cpuCores } } } } } }"""
    async with open_graph("c1", "c2", pods=0) as opened:
        graph = await furnished(opened, "c1", "c2")
        graph.store.calls.clear()
        items = (await graph.ask(query))["workloads"]["items"]
        assert sorted(call.name for call in graph.store.calls) == ["latest_pods", "pod_history"]
    assert [item["name"] for item in items] == ["db", "web", "db", "web"]
    assert [item["usage"] for item in items[:2]] == [
        {"cpuCores": 0.25, "cpuPercent": 250.0},
        {"cpuCores": 0.5, "cpuPercent": 250.0},
    ]
    assert items[1]["requests"] == {"cpuCores": 0.2}
    assert items[1]["history"]["cpuCores"][-1] == 0.5
    assert items[1]["pods"]["items"] == [{"name": "web-1-a", "usage": {"cpuCores": 0.25}}]
    assert items[0]["pods"]["items"] == []


async def test_who_sees_one_namespace_sees_its_workloads_alone(open_graph: OpenGraph) -> None:
    guest = Principal("gil", Scope(Role.VIEW, namespaces=("ops",)), groups=(), expires_at=NOW + 60)
    async with open_graph("c1", pods=0) as opened:
        graph = await furnished(opened, "c1")
        graph["c1"].put(build_workload("Deployment", "ops", "tool"))
        await until(lambda: _count(graph, 6), what="the sixth")
        found = await graph.ask("{ workloads { totalCount items { name } } }", who=guest)
        refused = await graph.fail('{ workloads(filter: { namespaces: ["shop"] }) { totalCount } }', who=guest)
        named = await graph.ask('{ workloads(filter: { namespaces: ["shop"] }) { items { id } } }')
        lost = await graph.fail(
            "query($id: ID!) { object(id: $id) { id } }", {"id": named["workloads"]["items"][0]["id"]}, who=guest
        )
    assert found["workloads"] == {"totalCount": 1, "items": [{"name": "tool"}]}
    assert refused["code"] == lost["code"] == "FORBIDDEN"


OUTCOMES = "{ workloads { clusters { state message } items { kind name desired podCount } } pods { totalCount } }"


@pytest.mark.parametrize(
    ("status", "text"), [(403, "deployments.apps is forbidden"), (404, "the server could not find the requested")]
)
async def test_a_cluster_that_lacks_a_kind_says_so_and_is_well(open_graph: OpenGraph, status: int, text: str) -> None:
    """Its pods still tell of what they can."""
    async with open_graph("c1", pods=0, options=replace(OPTIONS, breaker_failures=1)) as graph:
        graph["c1"].statuses["/apis/apps/v1/deployments"] = (status, status_body(status, text))
        graph["c1"].cut_watches()
        furnish(graph["c1"])

        async def is_said() -> bool:
            found = await graph.ask(OUTCOMES)
            return text in (found["workloads"]["clusters"][0]["message"] or "") and found["pods"]["totalCount"] == 5

        await until(is_said, what="an outcome that names what is missing")
        found = await graph.ask(OUTCOMES)
        health = await graph.ask("{ clusters { health message } nodes { totalCount } }")
    assert found["workloads"]["clusters"][0]["state"] == "OK"
    assert text in found["workloads"]["clusters"][0]["message"]
    assert found["pods"]["totalCount"] == 5
    assert health["nodes"]["totalCount"] == 2
    assert health["clusters"][0]["health"] == "READY"
    assert text in health["clusters"][0]["message"]


async def test_without_following_them_workloads_are_what_pods_say(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=0, options=replace(OPTIONS, workloads=False)) as graph:
        furnish(graph["c1"])
        await until(lambda: _count(graph, 5), what="the pods' owners")
        found = await graph.ask("{ workloads { clusters { state message } items { kind name desired ready } } }")
        assert not graph["c1"].count("/apis/apps/v1/deployments")
    kinds = [(each["kind"], each["name"], each["desired"]) for each in found["workloads"]["items"]]
    assert ("ReplicaSet", "web-1", None) in kinds
    assert found["workloads"]["clusters"] == [{"state": "OK", "message": None}]


async def test_workloads_are_listed_after_what_people_ask_first(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=1) as graph:
        await graph.ask("{ workloads(first: 0) { totalCount } }")
        lists = [path for path, query in graph["c1"].calls if "limit=" in query]
    first = {"/api/v1/pods", "/api/v1/nodes", "/api/v1/namespaces"}
    assert set(lists[:3]) == first
    assert {path for path in lists if path.startswith("/apis/")} == set(WORKLOADS)
