"""What is wrong now: groups over all clusters, their order and pages, and who sees what of them."""

from typing import Any

from msgspec.structs import replace

from auth.principal import Principal
from fleet.model.visibility import Role, Scope
from tests.fakes.kubernetes import FakeCluster, Object, build_pod, build_workload
from tests.fakes.waiting import until
from tests.graph.conftest import NOW, OPTIONS, Graph, OpenGraph, build_node

AT = "2026-09-21T10:00:00Z"
ALL = """query($after: String, $first: Int) { problems(after: $after, first: $first) {
  totalCount pageInfo { hasNextPage endCursor }
  items { cause severity title reason count clusters namespaces since
    examples(first: 2) { kind namespace name since message cluster { name } object { id __typename } } } } }"""
FAILED_JOB = {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": AT, "message": "no"}]}
ENDED = {"reason": "OOMKilled", "exitCode": 137}


def ill(namespace: str, name: str, reason: str, *, since: str = AT, **last: Any) -> Object:
    pod = build_pod(namespace, name)
    state = {"waiting": {"reason": reason, "message": f"{reason} of {name}"}}
    status = {"name": "c", "ready": False, "restartCount": 5, "state": state, "lastState": last}
    condition = {"type": "Ready", "status": "False", "lastTransitionTime": since}
    return pod | {"status": {"phase": "Running", "conditions": [condition], "containerStatuses": [status]}}


def furnish(cluster: FakeCluster) -> None:
    cluster.put(ill("shop", "crash-1", "CrashLoopBackOff"))
    cluster.put(ill("ops", "crash-2", "CrashLoopBackOff", since="2026-09-20T10:00:00Z"))
    cluster.put(ill("shop", "hungry", "CrashLoopBackOff", terminated=ENDED))
    cluster.put(ill("shop", "pull", "ImagePullBackOff"))
    node = build_node("n9")
    node["status"]["conditions"] = [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]
    cluster.put(node)
    cluster.put(build_workload("Job", "shop", "late", {}, FAILED_JOB))


async def all_of(graph: Graph, count: int, *, who: Principal | None = None) -> list[Any]:
    """The problems, once they are of so many objects; those of nodes and pods may come one by one."""

    async def is_there() -> bool:
        found = (await graph.ask(ALL))["problems"]["items"]
        return bool(sum(each["count"] for each in found) == count)

    await until(is_there, what=f"{count} objects that are not well")
    items = (await graph.ask(ALL) if who is None else await graph.ask(ALL, who=who))["problems"]["items"]
    assert isinstance(items, list)
    return items


async def test_problems_of_all_clusters_are_groups_of_one_cause_the_gravest_first(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=0) as graph:
        furnish(graph["c1"])
        graph["c2"].put(ill("shop", "crash-1", "CrashLoopBackOff"))
        items = await all_of(graph, 7)
        more = await graph.ask("{ problems { totalCount clusters { name state } } }")
    assert [(each["cause"], each["severity"], each["count"]) for each in items] == [
        ("CRASH_LOOP", "CRITICAL", 3),
        ("NODE_NOT_READY", "CRITICAL", 1),
        ("OUT_OF_MEMORY", "CRITICAL", 1),
        ("IMAGE_PULL", "CRITICAL", 1),
        ("JOB_FAILED", "WARNING", 1),
    ]
    first = items[0]
    assert (first["clusters"], first["namespaces"], first["since"]) == (
        ["c1", "c2"],
        ["ops", "shop"],
        "2026-09-20T10:00:00Z",
    )
    assert first["examples"][0] == {
        "kind": "Pod",
        "namespace": "ops",
        "name": "crash-2",
        "since": "2026-09-20T10:00:00Z",
        "message": "CrashLoopBackOff of crash-2",
        "cluster": {"name": "c1"},
        "object": {"id": first["examples"][0]["object"]["id"], "__typename": "Pod"},
    }
    assert [each["examples"][0]["object"]["__typename"] for each in items[1:]] == ["Node", "Pod", "Pod", "Workload"]
    assert more["problems"]["totalCount"] == 5
    assert {each["state"] for each in more["problems"]["clusters"]} == {"OK"}


async def test_pages(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=0) as graph:
        furnish(graph["c1"])
        expected = [each["cause"] for each in await all_of(graph, 6)]
        found, after = [], None
        while True:
            page = (await graph.ask(ALL, {"first": 2, "after": after}))["problems"]
            found += [each["cause"] for each in page["items"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        wrong = await graph.fail('query { problems(after: "x") { totalCount } }')
        other = (await graph.ask("{ pods(first: 1) { pageInfo { endCursor } } }"))["pods"]["pageInfo"]["endCursor"]
        strange = await graph.fail(ALL, {"after": other})
        many = await graph.fail("{ problems { items { examples(first: 21) { name } } } }")
    assert found == expected
    assert {wrong["code"], strange["code"], many["code"]} == {"BAD_USER_INPUT"}
    assert "20 at most, not 21" in many["message"]


async def test_who_sees_one_namespace_sees_the_problems_in_it_alone(open_graph: OpenGraph) -> None:
    guest = Principal("gil", Scope(Role.VIEW, namespaces=("ops",)), groups=(), expires_at=NOW + 60)
    nobody = Principal("nora", Scope(Role.VIEW, clusters=("none",)), groups=(), expires_at=NOW + 60)
    async with open_graph("c1", pods=0) as graph:
        furnish(graph["c1"])
        items = await all_of(graph, 6, who=guest)
        none = await graph.ask(ALL, who=nobody)
    assert [(each["cause"], each["count"], each["namespaces"]) for each in items] == [("CRASH_LOOP", 1, ["ops"])]
    assert none["problems"]["totalCount"] == 0


async def test_a_cluster_that_does_not_answer_is_a_problem_and_its_last_known_ones_stay(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=0, options=replace(OPTIONS, breaker_failures=1)) as graph:
        graph["c1"].put(ill("shop", "crash-1", "CrashLoopBackOff"))
        await all_of(graph, 1)
        graph["c1"].refusing = True
        graph["c1"].cut_watches()
        items = await all_of(graph, 2)
    assert [(each["cause"], each["clusters"]) for each in items] == [
        ("CLUSTER_UNAVAILABLE", ["c1"]),
        ("CRASH_LOOP", ["c1"]),
    ]
    assert items[0]["examples"][0]["kind"] == "Cluster"
    assert items[0]["examples"][0]["object"] is None
    assert items[0]["examples"][0]["message"] is not None


async def test_a_pod_that_gets_well_is_no_problem_any_more(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=0) as graph:
        graph["c1"].put(ill("shop", "p", "CrashLoopBackOff"))
        await all_of(graph, 1)
        running = {"name": "c", "ready": True, "state": {"running": {"startedAt": AT}}}
        well = build_pod("shop", "p") | {"status": {"phase": "Running", "containerStatuses": [running]}}
        graph["c1"].put(well)
        assert await all_of(graph, 0) == []


async def test_a_mount_that_fails_is_told_by_its_event(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=0) as graph:
        pod = ill("shop", "p", "ContainerCreating")
        graph["c1"].put(pod | {"status": pod["status"] | {"phase": "Pending"}})
        about = {"kind": "Pod", "namespace": "shop", "name": "p", "uid": pod["metadata"]["uid"]}
        event = {
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {"namespace": "shop", "name": "p.1", "uid": "e"},
            "involvedObject": about,
            "reason": "FailedMount",
            "type": "Warning",
            "message": 'configmap "c" not found',
            "lastTimestamp": AT,
        }
        graph["c1"].put(event)

        async def is_told() -> bool:
            return [each["cause"] for each in await all_of(graph, 1)] == ["FAILED_MOUNT"]

        await until(is_told, what="a failed mount")
        (found,) = await all_of(graph, 1)
    assert found["examples"][0]["message"] == 'configmap "c" not found'
