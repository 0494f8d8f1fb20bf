"""Objects of any kind from real API servers: as kubectl prints them, page by page, and by the caller's rights."""

import asyncio
import http.client
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from auth.principal import Principal
from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.model.visibility import Role, Scope
from fleet.registry import FleetOptions, open_federation
from realfleet.crds import CRDS_PATH
from realfleet.fleet import Fleet
from tests.fakes.kubernetes import FakeSource
from tests.fakes.waiting import PATIENCE
from tests.graph.conftest import Graph

pytestmark = pytest.mark.real

VIEWER = Principal("vera", Scope(Role.VIEW))
EDITOR = Principal("ed", Scope(Role.EDIT))
SHOPPER = Principal("sam", Scope(Role.VIEW, ("cluster1",), ("sh*",)))
OPTIONS = FleetOptions(member_timeout=4.0)
LIST = """query List($version: String!, $kind: String!, $filter: ResourceFilter, $first: Int, $after: String) {
  resources(apiVersion: $version, kind: $kind, filter: $filter, first: $first, after: $after) {
    items { cluster { name } namespace name kind apiVersion columns { name value priority } }
    edges { cursor } pageInfo { hasNextPage endCursor } clusters { name state message } } }"""
GADGETS = f"{CRDS_PATH}/gadgets.example.org"


@pytest.fixture(scope="module")
async def graph(real_fleet: Fleet) -> AsyncIterator[Graph]:
    async with (
        open_kubeconfig_source((real_fleet.kubeconfig,)) as source,
        open_federation(source, OPTIONS) as federation,
    ):
        await federation.wait_synced(20)
        yield Graph(FakeSource(), federation)


@pytest.fixture
def gadgets(real_fleet: Fleet) -> Iterator[str]:
    """A kind that nobody served when the federation was opened, with one object on cluster1."""
    client = real_fleet.cluster("cluster1").client
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    version["additionalPrinterColumns"] = [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]
    names = {"kind": "Gadget", "plural": "gadgets", "singular": "gadget", "listKind": "GadgetList"}
    client.create(
        CRDS_PATH,
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "gadgets.example.org"},
            "spec": {"group": "example.org", "scope": "Cluster", "names": names, "versions": [version]},
        },
    )
    real_fleet.kubectl("cluster1", "wait", "--for=condition=Established", "crd/gadgets.example.org", "--timeout=60s")
    manifest = {"apiVersion": "example.org/v1", "kind": "Gadget", "metadata": {"name": "g1"}, "spec": {"size": 7}}
    real_fleet.kubectl("cluster1", "apply", "-f", "-", stdin=json.dumps(manifest))
    yield "cluster1"
    client.delete(GADGETS)


def compact(fleet: Fleet) -> None:
    """Makes etcd forget all revisions but the newest, as API servers do every few minutes."""
    flag = "--etcd-servers="
    arguments = fleet.cluster("cluster1").process.command
    url = urlsplit(next(argument.removeprefix(flag) for argument in arguments if argument.startswith(flag)))
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=5)
    try:
        connection.request("POST", "/v3/kv/range", json.dumps({"key": "AA=="}))
        revision = json.loads(connection.getresponse().read())["header"]["revision"]
        connection.request("POST", "/v3/kv/compaction", json.dumps({"revision": revision, "physical": True}))
        assert connection.getresponse().status == 200
    finally:
        connection.close()


async def list_page(graph: Graph, version: str, kind: str, who: Principal | None = None, **variables: Any) -> Any:
    given = {"version": version, "kind": kind, **variables}
    return (await graph.ask(LIST, given, **({} if who is None else {"who": who})))["resources"]


@pytest.mark.parametrize(
    ("version", "kind", "plural"),
    [
        ("apps/v1", "Deployment", "deployments"),
        ("apps/v1", "ReplicaSet", "replicasets"),
        ("v1", "Service", "services"),
        ("v1", "ServiceAccount", "serviceaccounts"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles"),
    ],
)
async def test_columns_are_what_kubectl_prints(
    real_fleet: Fleet, graph: Graph, version: str, kind: str, plural: str
) -> None:
    page = await list_page(graph, version, kind, filter={"clusters": ["cluster1"]})
    printed = await asyncio.to_thread(real_fleet.kubectl, "cluster1", "get", plural, "-A")
    head, *lines = [re.split(r" {3,}", line.strip()) for line in printed.splitlines()]
    shown = [[column for column in item["columns"] if column["priority"] == 0] for item in page["items"]]
    titles = [column["name"].upper() for column in shown[0]]
    offset = 0 if page["items"][0]["namespace"] is None else 1
    assert head[offset:] == titles
    # An age, the last column, may be a second older by now.
    rows = [[str(column["value"]) for column in row[:-1]] for row in shown]
    assert [line[offset:-1] for line in lines] == rows


async def test_pages_give_every_object_once_in_order(real_fleet: Fleet, graph: Graph) -> None:
    found: list[tuple[str, str, str]] = []
    after, pages = None, 0
    while pages < 100:
        page = await list_page(graph, "apps/v1", "ReplicaSet", first=3, after=after)
        found += [(item["cluster"]["name"], item["namespace"], item["name"]) for item in page["items"]]
        pages, after = pages + 1, page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    listed = [
        (member.name, item["metadata"]["namespace"], item["metadata"]["name"])
        for member in real_fleet.members
        for item in member.client.get("/apis/apps/v1/replicasets")["items"]
    ]
    assert found == sorted(listed)
    assert pages > 4


async def test_every_cursor_goes_on_behind_its_object(graph: Graph) -> None:
    filter_ = {"namespaces": ["shop", "data"], "clusters": ["cluster1"]}
    whole = await list_page(graph, "v1", "Pod", filter=filter_)
    names = [item["name"] for item in whole["items"]]
    page = await list_page(graph, "v1", "Pod", filter=filter_, first=11)
    for number, edge in enumerate(page["edges"], start=1):
        rest = await list_page(graph, "v1", "Pod", filter=filter_, after=edge["cursor"])
        assert [item["name"] for item in rest["items"]] == names[number:]
    other = await graph.fail(LIST, {"version": "v1", "kind": "Pod", "after": page["edges"][0]["cursor"]})
    assert (other["code"], "another question" in other["message"]) == ("BAD_USER_INPUT", True)


async def test_a_cursor_that_etcd_has_compacted_away_is_told_of(real_fleet: Fleet, graph: Graph) -> None:
    """Of events, which API servers keep no copies of: the token is etcd's own."""
    question = {"version": "v1", "kind": "Event", "first": 2, "filter": {"clusters": ["cluster1"]}}
    page = (await graph.ask(LIST, question))["resources"]
    real_fleet.kubectl("cluster1", "create", "configmap", "newer")  # something has to come after the token's revision
    real_fleet.kubectl("cluster1", "delete", "configmap", "newer")
    await asyncio.to_thread(compact, real_fleet)
    error = await graph.fail(LIST, {**question, "after": page["pageInfo"]["endCursor"]})
    assert (error["code"], "start again without `after`" in error["message"]) == ("BAD_USER_INPUT", True)


@pytest.mark.parametrize(
    ("filter_", "names"),
    [
        ({"labelSelector": "app in (cart,frontend)"}, {"cart", "frontend"}),
        ({"fieldSelector": "metadata.name=cart"}, {"cart"}),
        ({"name": {"eq": "cart"}, "fieldSelector": "metadata.namespace=shop"}, {"cart"}),
        ({"name": {"startsWith": "c"}}, {"cart", "checkout"}),
        ({"namespaces": ["default", "none"]}, {"nginx-deployment"}),
        ({"namespaces": []}, set()),
    ],
)
async def test_filters(graph: Graph, filter_: dict[str, Any], names: set[str]) -> None:
    page = await list_page(graph, "apps/v1", "Deployment", filter={**filter_, "clusters": ["cluster1", "cluster2"]})
    assert {item["name"] for item in page["items"]} == names
    assert [outcome["state"] for outcome in page["clusters"]] == ["OK", "OK"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"filter": {"fieldSelector": "spec.replicas=1"}}, "not a known field selector"),
        ({"filter": {"labelSelector": "a in"}}, ""),
        ({"filter": {"namespaces": ["../nodes"]}}, "no name of a namespace"),
        ({"kind": "Deploymnet"}, "did you mean apps/v1 Deployment"),
        ({"version": "apps/v1beta1"}, "did you mean apps/v1 Deployment"),
        ({"version": "authentication.k8s.io/v1", "kind": "TokenReview"}, "can't be listed"),
        ({"after": "AAAA"}, "cursor"),
        ({"first": -1}, "first"),
    ],
)
async def test_what_is_wrong_is_told(graph: Graph, change: dict[str, Any], says: str) -> None:
    error = await graph.fail(LIST, {"version": "apps/v1", "kind": "Deployment", **change})
    assert error["code"] == "BAD_USER_INPUT"
    assert says in error["message"]


async def test_a_kind_of_the_host_alone_is_nothing_of_the_members(graph: Graph) -> None:
    page = await list_page(graph, "core.kubefed.io/v1beta1", "KubeFedCluster")
    assert [(item["cluster"]["name"], item["name"]) for item in page["items"]] == [
        ("openmcp", "cluster1"),
        ("openmcp", "cluster2"),
    ]
    assert {outcome["name"]: outcome["message"] is None for outcome in page["clusters"]} == {
        "openmcp": True,
        "cluster1": False,
        "cluster2": False,
    }


async def test_a_new_kind_is_found_without_a_restart(graph: Graph, gadgets: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            result = await graph.execute(LIST, {"version": "example.org/v1", "kind": "Gadget"})
            if result.errors is None:
                break
            await asyncio.sleep(0.2)
    assert result.data is not None
    (item,) = result.data["resources"]["items"]
    columns = {column["name"]: column["value"] for column in item["columns"]}
    assert (item["cluster"]["name"], item["name"], item["namespace"], columns["Size"]) == (gadgets, "g1", None, 7)


async def test_owners_lead_from_pods_to_deployments(graph: Graph) -> None:
    query = """{ pods(filter: {clusters: ["cluster1"]}) { items { namespace owner { kind resource { id kind uid
      owner { kind resource { name kind manifest conditions { type status } } } } } } } }"""
    pods = (await graph.ask(query))["pods"]["items"]
    deployments = {pod["owner"]["resource"]["owner"]["resource"]["name"] for pod in pods}
    top = pods[0]["owner"]["resource"]["owner"]["resource"]
    assert len(pods) == 60
    assert {"cart", "frontend", "nginx-deployment"} <= deployments
    assert ("Available", "True") in [(entry["type"], entry["status"]) for entry in top["conditions"]]
    assert (top["kind"], top["manifest"]["kind"], top["manifest"]["apiVersion"]) == (
        "Deployment",
        "Deployment",
        "apps/v1",
    )


async def test_an_id_finds_its_resource_again(graph: Graph) -> None:
    query = """{ resource(cluster: "cluster1", apiVersion: "apps/v1", kind: "Deployment", namespace: "shop",
      name: "cart") { id uid createdAt labels { key value } annotations { key } } }"""
    cart = (await graph.ask(query))["resource"]
    find = "query Find($id: ID!) { object(id: $id) { __typename id ... on Resource { uid } } }"
    found = (await graph.ask(find, {"id": cart["id"]}))["object"]
    assert found == {"__typename": "Resource", "id": cart["id"], "uid": cart["uid"]}
    assert (await graph.ask(query.replace('"cart"', '"none"')))["resource"] is None
    assert "deployment.kubernetes.io/revision" in [entry["key"] for entry in cart["annotations"]]


async def test_events_of_pods_nodes_and_resources(real_fleet: Fleet, graph: Graph) -> None:
    query = """{ pods(filter: {clusters: ["cluster1"]}) { items { name events(first: 1) { ...E } } }
      nodes(filter: {clusters: ["cluster1"]}) { items { name events { ...E } } }
      resources(apiVersion: "apps/v1", kind: "Deployment", filter: {clusters: ["cluster1"]}) {
        items { name events { ...E } } } }
      fragment E on Event { reason type message count firstSeen lastSeen source regarding { kind name namespace } }"""
    data = await graph.ask(query)
    said = [(kind, item, event) for kind in data for item in data[kind]["items"] for event in item["events"]]
    assert {kind for kind, _, _ in said} >= {"pods", "resources"}
    assert all(event["regarding"]["name"] == item["name"] for _, item, event in said)
    listed = await asyncio.to_thread(real_fleet.cluster("cluster1").client.get, "/api/v1/namespaces/shop/events")
    cart = next(item for item in data["resources"]["items"] if item["name"] == "cart")
    wanted = {entry["reason"] for entry in listed["items"] if entry["involvedObject"].get("uid") and _is_cart(entry)}
    assert {event["reason"] for event in cart["events"]} == wanted


def _is_cart(event: dict[str, Any]) -> bool:
    about = event["involvedObject"]
    return bool((about["kind"], about["name"]) == ("Deployment", "cart"))


@pytest.mark.parametrize(
    ("who", "version", "kind"),
    [
        (VIEWER, "v1", "Secret"),
        (EDITOR, "v1", "Secret"),
        (EDITOR, "openmcp.k8s.io/v1alpha1", "OpenMCPCluster"),
        (SHOPPER, "v1", "Node"),
        (SHOPPER, "v1", "Namespace"),
        (SHOPPER, "v1", "Secret"),
    ],
)
async def test_the_rights_are_those_of_the_legacy_routes(graph: Graph, who: Principal, version: str, kind: str) -> None:
    result = await graph.execute(LIST, {"version": version, "kind": kind}, who=who)
    assert [(error.extensions or {})["code"] for error in result.errors or ()] == ["FORBIDDEN"]


async def test_an_editor_sees_secrets_of_plain_namespaces(graph: Graph) -> None:
    page = await list_page(graph, "v1", "Secret", who=EDITOR, filter={"namespaces": ["default"]})
    assert {outcome["state"] for outcome in page["clusters"]} == {"OK"}
    guarded = {"version": "v1", "kind": "Secret", "filter": {"namespaces": ["default", "kube-system"]}}
    assert (await graph.fail(LIST, guarded, who=EDITOR))["code"] == "FORBIDDEN"


async def test_a_user_of_some_namespaces_sees_those(graph: Graph) -> None:
    page = await list_page(graph, "apps/v1", "Deployment", who=SHOPPER)
    assert {(item["cluster"]["name"], item["namespace"]) for item in page["items"]} == {("cluster1", "shop")}
    states = {outcome["name"]: outcome["state"] for outcome in page["clusters"]}
    assert states == {"cluster1": "OK"}
    one = 'resource(cluster: "cluster1", apiVersion: "v1", kind: "%s", %s) { name }'
    reach = one % ("Namespace", 'name: "shop"')
    assert (await graph.ask(f"{{ {reach} }}", who=SHOPPER))["resource"] == {"name": "shop"}
    for kind, named in (
        ("Namespace", 'name: "data"'),
        ("ServiceAccount", 'namespace: "data", name: "default"'),
        ("Node", 'name: "kube1-worker1"'),
    ):
        assert (await graph.fail(f"{{ {one % (kind, named)} }}", who=SHOPPER))["code"] == "FORBIDDEN"


async def test_secrets_are_shown_without_their_values(real_fleet: Fleet, graph: Graph) -> None:
    """Not even an administrator reads a credential in the graph."""
    query = """{ secrets: resources(apiVersion: "v1", kind: "Secret") { items { manifest annotations { value }
      columns { value } } } platform: resources(apiVersion: "openmcp.k8s.io/v1alpha1", kind: "OpenMCPCluster") {
      items { name manifest annotations { value } columns { value } conditions { message } labels { value } } }
      clusters { name joinStatus region zones platform message } }"""
    data = await graph.ask(query)
    host = real_fleet.host.client
    secrets = host.get("/api/v1/secrets")["items"]
    known = [item["spec"]["kubeconfigInfo"] for item in host.get(_PLATFORM)["items"]]
    known += [value for secret in secrets for value in (secret.get("data") or {}).values()]
    text = json.dumps(data)
    assert len(data["platform"]["items"]) == 3
    assert data["secrets"]["items"]
    assert [value for value in known if value in text] == []
    assert {item["manifest"]["spec"]["kubeconfigInfo"] for item in data["platform"]["items"]} == {"REDACTED"}


_PLATFORM = "/apis/openmcp.k8s.io/v1alpha1/openmcpclusters"


async def test_a_paused_member_costs_its_place_only(real_fleet: Fleet, graph: Graph) -> None:
    with real_fleet.cluster("cluster2").paused():
        page = await list_page(graph, "apps/v1", "Deployment")
        strict = LIST.replace("after: $after)", "after: $after, onUnavailable: STRICT)")
        error = await graph.fail(strict, {"version": "apps/v1", "kind": "Deployment"})
    states = {outcome["name"]: outcome["state"] for outcome in page["clusters"]}
    assert states["cluster2"] in ("TIMEOUT", "UNREACHABLE")
    assert (states["openmcp"], states["cluster1"]) == ("OK", "OK")
    assert {item["cluster"]["name"] for item in page["items"]} == {"cluster1"}
    assert error["cluster"] == "cluster2"
