"""The server by the accounts of the shipped manifests: what it uses is what they grant, by the clusters' audit logs."""

import asyncio
from collections.abc import Iterator

import pytest

from graph.schema import schema
from realfleet.fleet import Fleet
from tests.real.accounts import Accounts, Use, open_accounts, uses_of
from tests.real.granted import Granted, load_kinds, open_granted, rights_of
from tests.real.impersonation import PASSWORD, write_users

pytestmark = pytest.mark.real

KUBELETS = Use("", "nodes/proxy", "get")
"""Tried by the collector wherever it was not given: nothing else would say when it is."""

NAMESPACED = (
    ("v1", "Pod"),
    *(("apps/v1", kind) for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")),
    *(("batch/v1", kind) for kind in ("Job", "CronJob")),
)
KINDS = (*((each, ', namespace: "shop"') for each in NAMESPACED), (("v1", "Node"), ""), (("v1", "Namespace"), ""))
CLUSTERS = ("openmcp", "cluster1", "cluster2")


def by_name() -> str:
    """Each kind that is cached, and that is often an owner, by a name that nothing has."""
    fields = (
        f'{cluster}{kind}: resource(cluster: "{cluster}", apiVersion: "{version}", kind: "{kind}", name: "none"{more}) '
        "{ name }"
        for cluster in CLUSTERS
        for (version, kind), more in KINDS
    )
    return f"{{ {' '.join(fields)} }}"


QUERIES = {
    "clusters": "{ clusters { name nodes { totalCount } } }",
    "cluster": '{ cluster(name: "cluster1") { name namespaces { name } } }',
    "nodes": "{ nodes { items { name events { reason } usage { time } } } }",
    "node": '{ node(cluster: "cluster1", name: "kube1-worker1") { name events { reason } } }',
    "pods": "{ pods(first: 10) { items { id events { reason } owner { resource { owner { resource { name } } } } } } }",
    "pod": '{ pod(cluster: "cluster1", namespace: "shop", name: "none") { name } }',
    "workloads": "{ workloads { items { name } } }",
    "problems": "{ problems { items { reason } } }",
    "placements": '{ placements(cluster: "cluster1", namespace: "shop", pod: "none") { nodeName } }',
    "resources": '{ resources(apiVersion: "apps/v1", kind: "ReplicaSet") { items { name } } }',
    "resource": by_name(),
    "events": "{ events { items { reason } } }",
    "object": "query ($id: ID!) { object(id: $id) { id } }",
    "search": '{ search(text: "shop") { hits { name } } }',
    "viewer": "{ viewer { name } }",
}
SUBSCRIPTIONS = {
    "podEvents": "subscription { podEvents { type } }",
    "nodeEvents": "subscription { nodeEvents { type } }",
    "clusterEvents": "subscription { clusterEvents { type } }",
    "resourceEvents": 'subscription { resourceEvents(apiVersion: "apps/v1", kind: "Deployment") { type } }',
    "events": 'subscription { events(filter: {since: "2020-01-01T00:00:00Z"}) { reason } }',
    "usage": 'subscription { usage(nodes: [{cluster: "cluster1", name: "kube1-worker1"}]) { usage { time } } }',
    "logs": """subscription ($cluster: String!, $namespace: String!, $pod: String!) {
      logs(cluster: $cluster, namespace: $namespace, pod: $pod, follow: false) { line } }""",
}
FIND_POD = """query ($clusters: [String!]) { pods(first: 1, filter: {clusters: $clusters}) {
  items { namespace pod: name } } }"""


OFFERED = ("view", "edit", "portal")
ANY = "openmcpclusters"
"""The kind of the platform's that is asked for where all are granted."""


@pytest.fixture(scope="module")
def accounts(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    with open_accounts(real_fleet, tmp_path_factory.mktemp("rights")) as opened:
        yield opened


async def find_pod(granted: Granted, cluster: str) -> dict[str, str]:
    found = await granted.ask(FIND_POD, {"clusters": [cluster]})
    return {**found["pods"]["items"][0], "cluster": cluster}


def test_each_root_of_the_graph_is_asked() -> None:
    roots = schema._schema
    assert roots.query_type is not None
    assert roots.subscription_type is not None
    assert QUERIES.keys() == {name for name in roots.query_type.fields if not name.startswith("_")}
    assert SUBSCRIPTIONS.keys() == roots.subscription_type.fields.keys()


async def test_what_the_graph_and_the_routes_use_is_what_is_granted(accounts: Accounts) -> None:
    async with open_granted(accounts, join="true", token_review="true") as granted:
        await granted.sign_in()
        for root, query in QUERIES.items():
            pods = (await granted.ask(QUERIES["pods"]))["pods"]["items"]
            await granted.ask(query, {"id": pods[0]["id"]} if root == "object" else {})
        for root, subscription in SUBSCRIPTIONS.items():
            if root != "logs":
                await granted.hear_first(subscription, {})
        for cluster in ("cluster1", "cluster2"):
            await granted.hear_first(SUBSCRIPTIONS["logs"], await find_pod(granted, cluster))
        for route in ("/status?clustername=cluster1", "/joinable", "/metrics/nodes/none?clustername=cluster1"):
            assert await granted.call("GET", route) == 200
        assert await granted.hand_in(accounts, accounts.fleet.members[1]) == 200
        bearer = {"Authorization": f"Bearer {accounts.tokens['openmcp']}"}
        assert await granted.call("GET", "/joinable", headers=bearer) in (401, 403), "the host vouches for it: no role"
        await granted.until_used("cluster1", granted.member)
        await granted.until_used("cluster2", granted.member)
        await granted.until_used("openmcp", granted.host)
        refused = {name: trail.refused() for name, trail in granted.trails.items()}
        assert refused == {"openmcp": set(), "cluster1": {KUBELETS}, "cluster2": {KUBELETS}}, "the host has no nodes"


async def test_what_is_offered_is_what_callers_use_through_here(accounts: Accounts) -> None:
    async with open_granted(accounts, *OFFERED) as granted:
        await granted.sign_in()
        turns = asyncio.Semaphore(8)
        member = uses_of(rights_of(*OFFERED))
        host = member | uses_of(rights_of(*OFFERED, where="host"))
        for cluster, offered in (("cluster1", member), ("openmcp", host)):
            kinds = load_kinds(accounts.fleet.cluster(cluster))
            await asyncio.gather(*(granted.pass_on(turns, cluster, kinds, use) for use in offered))
            await granted.until_used(
                cluster, {use._replace(resource=use.resource.replace("*", ANY)) for use in offered}
            )
            assert granted.trails[cluster].refused() <= {KUBELETS}


async def test_calls_as_a_user_and_to_kubelets_use_what_they_are_granted(accounts: Accounts) -> None:
    users = write_users(accounts.folder / "users.yaml")
    folders = ("impersonation", "kubelets")
    async with open_granted(accounts, *folders, authorization="impersonate", users_file=str(users)) as granted:
        await granted.sign_in("user-0", PASSWORD)
        await granted.ask("{ pods { items { name } } }")
        for cluster in ("cluster1", "cluster2"):
            await granted.until_used(cluster, uses_of(rights_of(*folders)))
            assert granted.trails[cluster].refused() == set()
