"""A simulated member and a real API server are asked the same, and must answer alike.

Alike is: the status, which members there are and of what types, and the reason and code of a refusal. Names, versions
and times are each server's own, and so are the words of messages.
"""

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from demo.simulator import SimulatedFleet, open_simulated_fleet
from realfleet.cluster import Cluster
from realfleet.fleet import Fleet
from tests.demo.asking import Asker, Reply, build_config_map, open_asker

pytestmark = pytest.mark.real

PODS = "/api/v1/pods"
KUBEFED = "/apis/core.kubefed.io/v1beta1/namespaces/kube-federation-system/kubefedclusters"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
RUNNING = "status.phase=Running"
OWN_OF_PODS = {"name", "generateName", "namespace", "uid", "resourceVersion", "creationTimestamp", "ownerReferences"}


@dataclass(frozen=True)
class Side:
    """One of the two, with clients of three kinds."""

    askers: dict[str, Asker]
    namespace: str
    pod: str

    @property
    def admin(self) -> Asker:
        """The client with every right."""
        return self.askers["admin"]

    def fill(self, text: str) -> str:
        """A path with this side's names in it."""
        return text.format(namespace=self.namespace, pod=self.pod)


@dataclass(frozen=True)
class Case:
    """One question. `who` is admin, stranger (a wrong token) or nobody (none)."""

    name: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    who: str = "admin"
    method: str = "GET"
    body: object = None
    content_type: str = "application/json"


ROOT_CA = f"{CONFIG_MAPS}/kube-root-ca.crt"
CASES = (
    Case("list", PODS),
    Case("list of a namespace", "/api/v1/namespaces/{namespace}/pods"),
    Case("list of a namespace that is not there", "/api/v1/namespaces/nowhere/pods"),
    Case("list of nodes", "/api/v1/nodes"),
    Case("list of deployments", "/apis/apps/v1/deployments"),
    *(
        Case(f"list of {name}", f"/apis/{group}/v1/namespaces/default/{name}")
        for group, name in (("apps", "statefulsets"), ("apps", "daemonsets"), ("batch", "jobs"), ("batch", "cronjobs"))
    ),
    Case("resources of batch", "/apis/batch/v1"),
    Case("page", PODS, {"limit": "2"}),
    Case("page of a selection", PODS, {"limit": "2", "fieldSelector": RUNNING}),
    Case("page from the watch cache", PODS, {"limit": "2", "resourceVersion": "0"}),
    Case("page larger than the list", PODS, {"limit": "500"}),
    Case("get", "/api/v1/namespaces/{namespace}/pods/{pod}"),
    Case("get with a slash at the end", "/api/v1/namespaces/{namespace}/pods/{pod}/"),
    Case("get of status", "/api/v1/namespaces/{namespace}/pods/{pod}/status"),
    Case("get of what is not there", "/api/v1/namespaces/{namespace}/pods/nobody"),
    Case("get of a deployment that is not there", "/apis/apps/v1/namespaces/{namespace}/deployments/nobody"),
    Case("get of a node that is not there", "/api/v1/nodes/nobody"),
    Case("resource that is not there", "/api/v1/rockets"),
    Case("group that is not there", "/apis/rockets.example/v1/rockets"),
    Case("path that is not there", "/nothing"),
    Case("wrong token", PODS, who="stranger"),
    Case("wrong token for health", "/readyz", who="stranger"),
    Case("no token: list", PODS, who="nobody"),
    Case("no token: get", "/api/v1/namespaces/{namespace}/pods/{pod}", who="nobody"),
    Case("no token: path", "/api", who="nobody"),
    Case("no token: health", "/readyz", who="nobody"),
    Case("no token: version", "/version", who="nobody"),
    Case("label selector that can't be read", PODS, {"labelSelector": "app in nginx"}),
    Case("label selector with a value that can't be one", PODS, {"labelSelector": "app=*"}),
    Case("field selector of an unknown field", PODS, {"fieldSelector": "spec.color=red"}),
    Case("field selector that can't be read", PODS, {"fieldSelector": "status.phase"}),
    Case(
        "field selector of an unknown field of deployments", "/apis/apps/v1/deployments", {"fieldSelector": "spec.x=1"}
    ),
    Case("continue token that can't be read", PODS, {"continue": "nonsense"}),
    Case("limit that is no number", PODS, {"limit": "ten"}),
    Case("version that is no number", PODS, {"resourceVersion": "new"}),
    Case("version that is not there yet", PODS, {"resourceVersion": "9999999999"}),
    Case("watch from a version that is no number", PODS, {"watch": "true", "resourceVersion": "new"}),
    Case("create of what is there", CONFIG_MAPS, method="POST", body=build_config_map("kube-root-ca.crt")),
    Case("create without a name", CONFIG_MAPS, method="POST", body=build_config_map("")),
    Case("create of another kind", CONFIG_MAPS, method="POST", body={"apiVersion": "v1", "kind": "Pod"}),
    Case("create in no namespace", "/api/v1/configmaps", method="POST", body=build_config_map("x")),
    Case("create in a missing one", "/api/v1/namespaces/nowhere/configmaps", method="POST", body=build_config_map("x")),
    Case("create of no JSON", CONFIG_MAPS, method="POST", body="{"),
    Case("create of an unknown type", CONFIG_MAPS, method="POST", body="x", content_type="text/plain"),
    Case("create, tried only", CONFIG_MAPS, {"dryRun": "All"}, method="POST", body=build_config_map("tried")),
    Case("replace under another name", ROOT_CA, method="PUT", body=build_config_map("other")),
    Case("replace of what is not there", f"{CONFIG_MAPS}/nobody", method="PUT", body=build_config_map("nobody")),
    Case("delete of what is not there", f"{CONFIG_MAPS}/nobody", method="DELETE"),
    Case("patch of an unknown type", ROOT_CA, method="PATCH", body={}),
    Case(
        "JSON patch that does not fit",
        ROOT_CA,
        method="PATCH",
        body=[{"op": "remove", "path": "/data/nothing"}],
        content_type="application/json-patch+json",
    ),
    Case(
        "merge patch, tried only",
        ROOT_CA,
        {"dryRun": "All"},
        method="PATCH",
        body={"metadata": {"labels": {"a": "b"}}},
        content_type="application/merge-patch+json",
    ),
    Case("post to an object", ROOT_CA, method="POST", body=build_config_map("kube-root-ca.crt")),
    Case("core versions", "/api"),
    Case("groups", "/apis"),
    Case("a group", "/apis/apps"),
    Case("core resources", "/api/v1"),
    Case("resources of a group", "/apis/apps/v1"),
)


async def _open_side(url: str, token: str, context: Any) -> AsyncIterator[Side]:
    async with (
        open_asker(url, token, seconds=15, ssl=context) as admin,
        open_asker(url, "no-token-of-this-cluster", ssl=context) as stranger,
        open_asker(url, None, ssl=context) as nobody,
    ):
        pods = (await admin.ask(PODS, fieldSelector=RUNNING)).body["items"]
        first = next(pod["metadata"] for pod in pods if pod["metadata"].get("ownerReferences"))
        askers = {"admin": admin, "stranger": stranger, "nobody": nobody}
        yield Side(askers, first["namespace"], first["name"])


@pytest.fixture(scope="module")
async def simulated_fleet() -> AsyncIterator[SimulatedFleet]:
    """A fleet of one member, as large as the real one's."""
    async with open_simulated_fleet(clusters=1, pods=60) as fleet:
        yield fleet


@pytest.fixture(scope="module")
async def simulated(simulated_fleet: SimulatedFleet) -> AsyncIterator[Side]:
    """A simulated member."""
    member = simulated_fleet["cluster1"]
    async for side in _open_side(member.url, member.token, True):
        yield side


@pytest.fixture(scope="module")
async def real(real_fleet: Fleet) -> AsyncIterator[Side]:
    """A real member."""
    member = real_fleet.members[0]
    async for side in _open_side(member.url, member.token, _trust(member)):
        yield side


@pytest.fixture(scope="module")
async def hosts(simulated_fleet: SimulatedFleet, real_fleet: Fleet) -> AsyncIterator[tuple[Asker, Asker]]:
    """Clients of both hosts, the simulated one first."""
    ours, theirs = simulated_fleet.host, real_fleet.host
    async with (
        open_asker(ours.url, ours.token) as first,
        open_asker(theirs.url, theirs.token, ssl=_trust(theirs)) as second,
    ):
        yield first, second


def _trust(cluster: Cluster) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(cluster.ca_file))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_the_simulated_answer_is_shaped_as_the_real_one(case: Case, simulated: Side, real: Side) -> None:
    shapes = [shape(await answer(side, case)) for side in (simulated, real)]

    assert shapes[0] == shapes[1]


async def test_a_second_page_is_alike(simulated: Side, real: Side) -> None:
    shapes = []
    for side in (simulated, real):
        first = await side.admin.ask(PODS, limit="7")
        second = await side.admin.ask(PODS, limit="7", **{"continue": first.body["metadata"]["continue"]})
        shapes.append((shape(second), len(first.names), len(second.names), set(first.names) & set(second.names)))

    assert shapes[0] == shapes[1]


async def test_pods_of_both_have_the_members_a_pod_has(simulated: Side, real: Side) -> None:
    path = "/api/v1/namespaces/{namespace}/pods/{pod}"
    ours, theirs = [(await side.admin.ask(side.fill(path))).body for side in (simulated, real)]

    assert ours["metadata"].keys() & theirs["metadata"].keys() >= OWN_OF_PODS
    assert set(ours) == set(theirs)
    assert types_of(ours["spec"], theirs["spec"]) == types_of(theirs["spec"], ours["spec"])
    assert types_of(ours["status"], theirs["status"]) == types_of(theirs["status"], ours["status"])


async def test_a_conflict_is_alike(simulated: Side, real: Side) -> None:
    shapes = []
    for side in (simulated, real):
        old = (await side.admin.send(CONFIG_MAPS, "POST", build_config_map("contended"))).body
        await side.admin.send(f"{CONFIG_MAPS}/contended", "PUT", build_config_map("contended", "2"))
        conflict = await side.admin.send(f"{CONFIG_MAPS}/contended", "PUT", old)
        gone = await side.admin.send(f"{CONFIG_MAPS}/contended", "DELETE")
        shapes.append((shape(conflict), shape(gone)))

    assert shapes[0] == shapes[1]


async def test_a_watch_tells_the_same_story(simulated: Side, real: Side) -> None:
    stories = []
    for side in (simulated, real):
        version = (await side.admin.ask(CONFIG_MAPS)).body["metadata"]["resourceVersion"]
        query = {"resourceVersion": version, "labelSelector": "of=story", "allowWatchBookmarks": "true"}
        async with side.admin.watch(CONFIG_MAPS, timeoutSeconds="4", **query) as events:
            await side.admin.send(CONFIG_MAPS, "POST", build_config_map("story", labels={"of": "story"}))
            await side.admin.send(f"{CONFIG_MAPS}/story", "PUT", build_config_map("story", "2", {"of": "story"}))
            await side.admin.send(f"{CONFIG_MAPS}/story", "PUT", build_config_map("story", "2", {"of": "other"}))
            await side.admin.send(f"{CONFIG_MAPS}/story", "DELETE")
            seen = await events.rest(seconds=10)
        told = [(event["type"], sorted(event["object"]), event["object"].get("data")) for event in seen]
        stories.append(list(dict.fromkeys(map(str, told))))  # how many bookmarks there are is a matter of time

    assert stories[0] == stories[1]
    assert len(stories[0]) == len({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})


async def test_an_event_that_repeats_is_told_alike(simulated: Side, real: Side) -> None:
    path, stories = "/api/v1/namespaces/default/events", []
    about = {"kind": "Pod", "namespace": "default", "name": "p"}
    made: dict[str, Any] = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "alike"}, "involvedObject": about}
    made |= {"reason": "Alike", "message": "m", "type": "Normal", "count": 1, "lastTimestamp": "2026-01-31T09:30:00Z"}
    for side in (simulated, real):
        version = (await side.admin.ask("/api/v1/events")).body["metadata"]["resourceVersion"]
        query = {"resourceVersion": version, "fieldSelector": "reason=Alike", "timeoutSeconds": "4"}
        async with side.admin.watch("/api/v1/events", **query) as events:
            await side.admin.send(path, "POST", made)
            await side.admin.send(f"{path}/alike", "PUT", made | {"count": 2})
            await side.admin.send(f"{path}/alike", "DELETE")
            seen = [await events.next() for _ in range(3)]
        told = ("involvedObject", "reason", "message", "type", "count", "lastTimestamp")
        stories.append([(event["type"], [event["object"].get(name) for name in told]) for event in seen])

    assert stories[0] == stories[1]
    assert [what for what, _ in stories[0]] == ["ADDED", "MODIFIED", "DELETED"]


@pytest.mark.parametrize("path", [KUBEFED, KUBEFED + "/cluster1", KUBEFED + "/nobody"])
async def test_custom_objects_are_alike(hosts: tuple[Asker, Asker], path: str) -> None:
    ours, theirs = [shape(await host.ask(path)) for host in hosts]

    assert ours == theirs


async def test_a_watch_from_too_old_a_version_ends_alike(hosts: tuple[Asker, Asker]) -> None:
    seen = []
    for host in hosts:
        async with host.watch(KUBEFED, resourceVersion="1") as events:
            event = await events.next()
            seen.append((events.status, event["type"], shape(Reply(200, event["object"]))))

    assert seen[0] == seen[1]
    assert seen[0][2]["code"] == 410


async def test_initial_events_are_alike(simulated: Side, real: Side) -> None:
    query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
    ends = []
    for side in (simulated, real):
        async with side.admin.watch("/api/v1/nodes", **query) as events:
            first = await events.next()
            end = await events.of_type("BOOKMARK")
            ends.append((first["type"], sorted(first["object"]), end["object"]["metadata"]["annotations"]))

    assert ends[0] == ends[1]


async def answer(side: Side, case: Case) -> Reply:
    """A side's answer to a case."""
    return await side.askers[case.who].send(
        side.fill(case.path), case.method, case.body, case.content_type, query=case.query
    )


def shape(reply: Reply) -> dict[str, Any]:
    """What must be alike in two answers."""
    body = reply.body
    if not isinstance(body, dict):
        return {"status": reply.status, "text": str(body).strip()}
    shown: dict[str, Any] = {"status": reply.status, "members": sorted(body), "kind": body.get("kind")}
    if body.get("kind") == "Status":
        details = {key: value for key, value in (body.get("details") or {}).items() if key not in ("uid", "causes")}
        # A name is a side's own where the question had one in it.
        details = {key: value for key, value in details.items() if key != "name" or value in ("nobody", "contended")}
        return shown | {key: body.get(key) for key in ("status", "reason", "code", "metadata")} | {"details": details}
    if "items" in body:
        named = {key: type(value).__name__ for key, value in (body["metadata"] or {}).items()}
        items = {key for item in body["items"] for key in item} & {"kind", "apiVersion", "metadata", "spec", "status"}
        return shown | {"metadata": named, "items": sorted(items), "api": body["apiVersion"]}
    if "resources" in body:
        return shown | {"of": sorted({key for item in body["resources"] for key in item} & {"name", "kind", "verbs"})}
    return shown


def types_of(members: dict[str, Any], other: dict[str, Any]) -> dict[str, str]:
    """The types of what both have."""
    return {key: type(value).__name__ for key, value in members.items() if key in other}
