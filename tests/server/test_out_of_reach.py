"""A cluster out of reach is as one that is not there, whatever is asked: by names, counts, statuses and texts."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from auth.access_tokens import AccessToken, build_digest, build_owner_entry, new_secret, save_access_tokens
from auth.passwords import hash_password
from auth.users import User, save_users
from fleet.model.kube_objects import ResourceKey
from fleet.model.objects import NodeKey, PodKey
from fleet.model.visibility import Role, Scope
from fleet.model.workloads import WorkloadKey
from graph.ids import encode_node_id, encode_pod_id, encode_resource_id, encode_workload_id
from realfleet.fleet import Fleet
from tests.fakes.waiting import PATIENCE
from tests.processes import RunningServer, free_port, open_server

pytestmark = pytest.mark.real

HIDDEN, ABSENT = "cluster2", "cluster9"
PASSWORD = "a long password"

LISTS = (
    "{ clusters { name health pods { totalCount } } }",
    "{ pods(first: 5) { totalCount items { name cluster { name } } clusters { name state message } } }",
    "{ pods(onUnavailable: STRICT) { totalCount clusters { name state message } } }",
    "{ nodes { totalCount items { name } clusters { name state message } } }",
    "{ workloads { totalCount clusters { name state message } } }",
    "{ events(first: 5) { items { cluster { name } message } clusters { name state message } } }",
    "{ problems { items { cause count } clusters { name state message } } }",
    '{ search(text: "cluster") { hits { __typename } clusters { name state message } } }',
    '{ resources(apiVersion: "v1", kind: "Node") { items { name } clusters { name state message } } }',
    '{ resources(apiVersion: "v1", kind: "Nodes") { items { name } clusters { name state message } } }',
    "{ pods { groups(by: [CLUSTER]) { items { pods } } clusters { name } } }",
    "{ viewer { name role clusters } }",
    '{ pod(cluster: "cluster", namespace: "shop", name: "a") { name } }',
)
NAMED = (
    '{ cluster(name: "%s") { name } }',
    '{ pods(filter: {clusters: ["%s"]}) { totalCount clusters { name state } } }',
    '{ pods(filter: {clusters: ["cluster1", "%s"]}) { totalCount clusters { name state } } }',
    '{ pods(filter: {not: {clusters: ["%s"]}}) { totalCount } }',
    '{ pods(filter: {clusters: ["%s"]}, onUnavailable: STRICT) { totalCount } }',
    '{ pods(filter: {clusters: ["%s"], namespaces: ["nowhere"]}) { totalCount } }',
    '{ nodes(filter: {clusters: ["%s"]}) { totalCount } }',
    '{ workloads(filter: {clusters: ["%s"]}) { totalCount } }',
    '{ events(filter: {clusters: ["%s"]}) { items { message } } }',
    '{ resources(apiVersion: "v1", kind: "Pod", filter: {clusters: ["%s"]}) { items { name } } }',
    '{ resources(apiVersion: "v1", kind: "Nope", filter: {clusters: ["%s"]}) { items { name } } }',
    '{ resource(cluster: "%s", apiVersion: "v1", kind: "Namespace", name: "shop") { name } }',
    '{ node(cluster: "%s", name: "kube2-worker1") { name } }',
    '{ pod(cluster: "%s", namespace: "shop", name: "a") { name } }',
    '{ placements(cluster: "%s", namespace: "shop", pod: "a") { name } }',
    '{ clusters(filter: {name: {eq: "%s"}}) { name } }',
)
LABELLED = tuple(
    query.replace("@", 'clusterSelector: "called=%s"')
    for query in (
        '{ clusters(filter: {labelSelector: "called=%s"}) { name labels { key value } } }',
        "{ pods(filter: {@}) { totalCount clusters { name state } } }",
        '{ pods(filter: {@, namespaces: ["nowhere"]}, onUnavailable: STRICT) { totalCount } }',
        "{ pods(filter: {not: {@}}) { totalCount } }",
        "{ nodes(filter: {@}) { totalCount clusters { name state } } }",
        "{ workloads(filter: {@}) { totalCount clusters { name state } } }",
        "{ events(filter: {@}) { items { message } clusters { name state } } }",
        '{ resources(apiVersion: "v1", kind: "Pod", filter: {@}) { items { name } clusters { name state } } }',
        "{ problems(@) { totalCount clusters { name state } } }",
        '{ search(text: "kube", @) { hits { name } clusters { name state } } }',
    )
)
"""What is asked of clusters with a label: one out of reach has it."""

FOLLOWED = (
    'subscription { podEvents(filter: {clusters: ["%s"]}) { type } }',
    'subscription { nodeEvents(filter: {clusters: ["%s"]}) { type } }',
    'subscription { events(filter: {clusters: ["%s"]}) { message } }',
    'subscription { resourceEvents(apiVersion: "v1", kind: "ConfigMap", filter: {clusters: ["%s"]}) { type } }',
    'subscription { usage(pods: [{cluster: "%s", namespace: "shop", name: "a"}]) { usage { cpuCores } } }',
    'subscription { usage(nodes: [{cluster: "%s", name: "kube2-worker1"}]) { usage { cpuCores } } }',
    'subscription { logs(cluster: "%s", namespace: "shop", pod: "a") { line } }',
)
PATHS = (
    "GET /clusters/%s/api/v1/pods",
    "GET /clusters/%s/version",
    "GET /clusters/%s/api/v1/namespaces/shop/pods/a/exec?command=ls&stdout=true",
    "POST /clusters/%s/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "DELETE /clusters/%s/api/v1/namespaces/shop",
    "GET /api/v1/pods?clustername=%s",
    "GET /api?clustername=%s",
    "POST /api/v1/namespaces/shop/pods/a/exec?clustername=%s&podname=a&podnamespace=shop",
    "PATCH /apis/apps/v1/namespaces/shop/deployments/web?clustername=%s",
    "GET /metrics/nodes/kube2-worker1?clustername=%s",
    "GET /metrics/namespaces/shop/pods/a?clustername=%s",
    "GET /metrics/pods/a?clustername=%s",
    "GET /status?clustername=%s",
)


@dataclass(frozen=True)
class Caller:
    """A user of the server, and which clusters they may hear of."""

    server: RunningServer
    token: str
    reached: tuple[str, ...]

    async def send(self, method: str, path: str, body: Any = None, accept: str | None = None) -> str:
        """Status, head and body as one text, without what differs between any two answers."""
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Accept": accept} if accept else {})
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
            session.request(method, self.server.url + path, json=body) as answer,
        ):
            kept = {
                name: value for name, value in answer.headers.items() if name.lower() not in ("date", "x-request-id")
            }
            return f"{answer.status} {json.dumps(kept)} {await answer.text()}"

    async def ask(self, query: str) -> str:
        return await self.send("POST", "/graphql", {"query": query}, "application/json")


@pytest.fixture(
    scope="module",
    params=[((), None, ""), (("cluster1",), None, ""), (("*",), ("cluster1",), ""), (("*",), None, "reach=one")],
    ids=["of none", "of one", "of one by an access token", "of one by labels"],
)
async def caller(
    real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Caller]:
    folder, port = tmp_path_factory.mktemp("reach"), free_port()
    of_user, of_token, labels = request.param
    scope = Scope(Role.ADMIN, of_user, cluster_labels=labels)
    nora, secret = User("nora", hash_password(PASSWORD), scope), new_secret()
    label = ("label", "kubefedcluster", "cluster1", "--namespace=kube-federation-system", "--overwrite")
    await asyncio.to_thread(real_fleet.host.kubectl, *label, labels or "reach-")
    await asyncio.to_thread(real_fleet.host.kubectl, *label[:2], HIDDEN, *label[3:], f"called={HIDDEN}")
    save_users(folder / "users.yaml", [nora])
    token = AccessToken(
        "ci", "nora", build_digest(secret), build_owner_entry(nora), "admin", 0, clusters=of_token or ()
    )
    save_access_tokens(folder / "tokens.yaml", [token])
    ports = {"OPENMCP_HOST": "127.0.0.1", "OPENMCP_PORT": str(port), "OPENMCP_OPS_PORT": str(free_port())}
    files = {f"OPENMCP_{name.upper()}_FILE": str(folder / f"{name}.yaml") for name in ("users", "tokens")}
    environment = real_fleet.environment() | ports | files
    async with open_server("serve", environment=environment, port=port, log=folder / "serve.log") as server:
        reached = ("cluster1",) if labels else of_token or of_user
        yield Caller(server, secret if of_token else await server.sign_in("nora", PASSWORD), reached)


def hears_of_others(caller: Caller, answer: str) -> list[str]:
    others = [name for name in ("openmcp", "cluster1", "cluster2") if name not in caller.reached]
    return [name for name in (*others, "kube2-", "out of your reach", "FORBIDDEN") if name in answer]


async def test_no_list_names_or_counts_what_is_out_of_reach(caller: Caller) -> None:
    heard = {query: hears_of_others(caller, await caller.ask(query)) for query in LISTS}
    explained = {"query": "{ clusters { name } pods { totalCount } }", "extensions": {"explain": True}}
    heard["explain"] = hears_of_others(caller, await caller.send("POST", "/graphql", explained))
    for path in (
        "/",
        "/readyz",
        "/healthz",
        "/version",
        "/joinable",
        "/metrics/nodes/n",
        "/api",
        "/clusters/",
        "/status",
    ):
        answer = await caller.send("GET", path)
        # The platform's own name is the host's as well.
        heard[path] = [name for name in hears_of_others(caller, answer) if name != "openmcp"]

    assert {asked: names for asked, names in heard.items() if names} == {}


@pytest.mark.parametrize("asked", [*NAMED, *FOLLOWED])
async def test_the_graph_answers_for_it_as_for_one_that_is_not_there(caller: Caller, asked: str) -> None:
    accept = "text/event-stream" if asked in FOLLOWED else "application/json"
    hidden, absent = [
        await caller.send("POST", "/graphql", {"query": asked % name}, accept) for name in (HIDDEN, ABSENT)
    ]
    assert hidden.replace(HIDDEN, ABSENT) == absent
    assert ("NOT_FOUND" in hidden) == ("clusters(filter" not in asked), hidden


@pytest.mark.parametrize("asked", LABELLED)
async def test_its_labels_select_what_those_of_none_do(caller: Caller, asked: str) -> None:
    explained = {"cost": True}
    hidden, absent = [
        await caller.send("POST", "/graphql", {"query": asked % name, "extensions": explained})
        for name in (HIDDEN, ABSENT)
    ]
    assert hidden == absent
    assert "errors" not in hidden


IDS: tuple[Callable[[str], str], ...] = (
    lambda name: encode_node_id(NodeKey(name, "kube2-worker1")),
    lambda name: encode_pod_id(PodKey(name, "shop", "a")),
    lambda name: encode_workload_id(WorkloadKey(name, "shop", "web", "Deployment")),
    lambda name: encode_resource_id(ResourceKey(name, "v1", "Namespace", "", "shop")),
)


@pytest.mark.parametrize("encode", IDS, ids=["node", "pod", "workload", "resource"])
async def test_an_id_of_its_objects_is_as_one_of_nothing(caller: Caller, encode: Callable[[str], str]) -> None:
    hidden, absent = [
        (await caller.ask(f'{{ object(id: "{encode(name)}") {{ id }} }}')).replace(name, "NAME")
        for name in (HIDDEN, ABSENT)
    ]
    assert hidden == absent
    assert "NOT_FOUND" in hidden


@pytest.mark.parametrize("asked", PATHS)
async def test_the_rest_answers_for_it_as_for_one_that_is_not_there(caller: Caller, asked: str) -> None:
    method, path = asked.split(" ")
    hidden, absent = [await caller.send(method, path % name, accept="*/*") for name in (HIDDEN, ABSENT)]
    assert hidden.replace(HIDDEN, ABSENT) == absent
    assert hidden.startswith("404 ")


async def test_followed_clusters_are_those_in_reach(caller: Caller) -> None:
    """A cluster's first event comes for each in reach; who reaches none waits for none, and hears nothing."""
    if not caller.reached:
        return
    asked = {"query": "subscription { clusterEvents { type cluster { name } } }"}
    headers = {"Authorization": f"Bearer {caller.token}", "Accept": "text/event-stream"}
    heard = b""
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{caller.server.url}/graphql", json=asked) as answer,
    ):
        while b"cluster1" not in heard:
            heard += await answer.content.readany()
    assert hears_of_others(caller, heard.decode()) == []
