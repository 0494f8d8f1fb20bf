"""Get and list, as the API promises them."""

import base64
import json

import pytest

from demo.simulator import SimulatedCluster, SimulatedFleet
from demo.simulator.population import DOCUMENTED_POD
from tests.demo.asking import Asker, build_config_map, open_asker, open_member_asker

PODS = "/api/v1/pods"
DEFAULT_PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


async def test_a_list_holds_every_pod_once_and_its_items_name_no_kind(asker: Asker) -> None:
    reply = await asker.ask(PODS)

    assert reply.status == 200
    assert list(reply.body) == ["kind", "apiVersion", "metadata", "items"]
    assert len(reply.names) == len(set(reply.names)) == 40
    assert "kind" not in reply.body["items"][0]


async def test_pages_together_are_the_list_and_say_how_much_is_left(asker: Asker) -> None:
    whole = (await asker.ask(PODS)).names
    names: list[str] = []
    token = ""
    while True:
        page = await asker.ask(PODS, limit="15", **({"continue": token} if token else {}))
        names += page.names
        token = page.body["metadata"].get("continue", "")
        assert page.body["metadata"].get("remainingItemCount", 0) == len(whole) - len(names)
        if not token:
            break

    assert names == whole


async def test_later_pages_show_the_state_of_the_first(asker: Asker) -> None:
    for name in ("page-a", "page-c"):
        await asker.send(CONFIG_MAPS, "POST", build_config_map(name))
    first = await asker.ask(CONFIG_MAPS, limit="2")
    await asker.send(CONFIG_MAPS, "POST", build_config_map("page-b"))
    await asker.send(f"{CONFIG_MAPS}/page-c", "DELETE")

    second = await asker.ask(CONFIG_MAPS, limit="2", **{"continue": first.body["metadata"]["continue"]})

    assert first.names + second.names == ["kube-root-ca.crt", "page-a", "page-c"]
    assert second.body["metadata"]["resourceVersion"] == first.body["metadata"]["resourceVersion"]


async def test_an_expired_page_is_gone_and_offers_to_go_on_from_the_newest_state(
    asker: Asker, member: SimulatedCluster
) -> None:
    first = await asker.ask(PODS, limit="15")
    await asker.send(CONFIG_MAPS, "POST", build_config_map("between-pages"))
    member.faults.expire_versions()

    gone = await asker.ask(PODS, limit="15", **{"continue": first.body["metadata"]["continue"]})
    rest = await asker.ask(PODS, **{"continue": gone.body["metadata"]["continue"]})

    assert (gone.status, gone.body["reason"], gone.body["code"]) == (410, "Expired", 410)
    assert sorted(first.names + rest.names) == sorted((await asker.ask(PODS)).names)


@pytest.mark.parametrize("token", ["nonsense", "e30", base64.urlsafe_b64encode(b"[1]").decode()])
async def test_a_continue_token_made_elsewhere_is_a_bad_request(asker: Asker, token: str) -> None:
    reply = await asker.ask(PODS, **{"continue": token})

    assert (reply.status, reply.body["reason"]) == (400, "BadRequest")


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ({"labelSelector": "app in nginx"}, 400, "BadRequest"),
        ({"fieldSelector": "spec.color=red"}, 400, "BadRequest"),
        ({"fieldSelector": "status.phase"}, 400, "BadRequest"),
        ({"limit": "ten"}, 400, "BadRequest"),
        ({"resourceVersion": "new"}, 400, "BadRequest"),
        ({"resourceVersion": "99999999999"}, 504, "Timeout"),
    ],
)
async def test_what_can_not_be_read_is_refused_with_a_status(
    asker: Asker, query: dict[str, str], status: int, reason: str
) -> None:
    reply = await asker.ask(PODS, **query)

    assert (reply.status, reply.body["kind"], reply.body["reason"]) == (status, "Status", reason)


@pytest.mark.parametrize(
    "query",
    [
        {"labelSelector": "app=nginx"},
        {"labelSelector": "app in (nginx, redis),tier=web"},
        {"fieldSelector": "metadata.namespace=default"},
        {"fieldSelector": "metadata.namespace==default,metadata.name!=nobody"},
    ],
)
async def test_selectors_pick_the_pods_of_nginx(asker: Asker, query: dict[str, str]) -> None:
    reply = await asker.ask(PODS, **query)

    assert reply.names == (await asker.ask(DEFAULT_PODS)).names
    assert all(name.startswith("nginx-deployment-55fbd9fd6d-") for name in reply.names)


async def test_a_kubelet_tells_the_usage_of_its_node_and_of_what_runs_on_it(asker: Asker) -> None:
    summary = "/api/v1/nodes/{}/proxy/stats/summary"
    running = {"fieldSelector": "spec.nodeName=kube1-worker1,status.phase=Running"}

    reply, unknown = await asker.ask(summary.format("kube1-worker1")), await asker.ask(summary.format("nowhere"))

    assert [pod["podRef"]["name"] for pod in reply.body["pods"]] == (await asker.ask(PODS, **running)).names
    assert all(pod["cpu"]["usageNanoCores"] > 0 for pod in (reply.body["node"], *reply.body["pods"]))
    assert unknown.status == 404


async def test_a_get_is_the_listed_item_with_its_kind(asker: Asker) -> None:
    listed = (await asker.ask(DEFAULT_PODS, fieldSelector=f"metadata.name={DOCUMENTED_POD}")).body["items"]

    reply = await asker.ask(f"{DEFAULT_PODS}/{DOCUMENTED_POD}")

    assert reply.body == {"kind": "Pod", "apiVersion": "v1", **listed[0]}


async def test_owners_lead_from_a_pod_to_its_deployment(asker: Asker) -> None:
    pod = (await asker.ask(f"{DEFAULT_PODS}/{DOCUMENTED_POD}")).body
    owner = pod["metadata"]["ownerReferences"][0]
    replica_set = (await asker.ask(f"/apis/apps/v1/namespaces/default/replicasets/{owner['name']}")).body
    top = replica_set["metadata"]["ownerReferences"][0]

    deployment = (await asker.ask(f"/apis/apps/v1/namespaces/default/deployments/{top['name']}")).body

    assert replica_set["metadata"]["uid"] == owner["uid"]
    assert deployment["metadata"]["uid"] == top["uid"]


async def test_all_phases_are_there(asker: Asker) -> None:
    pods = (await asker.ask(PODS)).body["items"]

    waiting = {
        s["state"]["waiting"]["reason"]
        for p in pods
        for s in p["status"].get("containerStatuses", ())
        if "waiting" in s["state"]
    }
    assert {p["status"]["phase"] for p in pods} >= {"Running", "Pending", "Succeeded"}
    assert "CrashLoopBackOff" in waiting


@pytest.mark.parametrize(("token", "status", "reason"), [("wrong", 401, "Unauthorized"), (None, 403, "Forbidden")])
async def test_only_the_cluster_s_own_token_reads_pods(
    member: SimulatedCluster, token: str | None, status: int, reason: str
) -> None:
    async with open_asker(member.url, token) as stranger:
        reply = await stranger.ask(PODS)

    assert (reply.status, reply.body["status"], reply.body["reason"]) == (status, "Failure", reason)


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/healthz"])
async def test_health_needs_no_token(member: SimulatedCluster, path: str) -> None:
    async with open_asker(member.url, None) as stranger:
        assert await stranger.ask(path) == await stranger.ask(path + "/")
        assert (await stranger.ask(path)).body == "ok"


async def test_discovery_leads_to_every_list(fleet: SimulatedFleet) -> None:
    async with open_member_asker(fleet.host) as asker:
        groups = (await asker.ask("/apis")).body["groups"]
        roots = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]
        resources = [(root, item) for root in roots for item in (await asker.ask(root)).body["resources"]]
        lists = {item["kind"]: (await asker.ask(f"{root}/{item['name']}")).status for root, item in resources}

    assert set(lists) >= {"Pod", "Node", "Secret", "Deployment", "KubeFedCluster", "OpenMCPCluster"}
    assert set(lists.values()) == {200}


@pytest.mark.parametrize(
    "path",
    ["/api/v1/rockets", "/apis/apps/v1/deployments/x/y", "/apis/none/v1/things", "/nothing", "/api/v1/pods/x/log"],
)
async def test_what_is_not_there_is_not_found(asker: Asker, path: str) -> None:
    assert (await asker.ask(path)).status == 404


async def test_the_host_knows_how_to_reach_each_member(fleet: SimulatedFleet) -> None:
    async with open_member_asker(fleet.host) as asker:
        found = (await asker.ask("/apis/core.kubefed.io/v1beta1/kubefedclusters")).body["items"]
        secret = found[0]["spec"]["secretRef"]["name"]
        stored = (await asker.ask(f"/api/v1/namespaces/kube-federation-system/secrets/{secret}")).body

    assert {item["metadata"]["name"]: item["spec"]["apiEndpoint"] for item in found} == {
        name: member.url for name, member in fleet.members.items()
    }
    assert base64.b64decode(stored["data"]["token"]).decode() == fleet["cluster1"].token


async def test_people_s_agents_get_indented_answers_and_large_ones_are_compressed(asker: Asker) -> None:
    plain = await asker.ask("/version")
    pretty = await asker.send("/version", "GET", headers={"User-Agent": "curl/8.0"})

    assert plain.body == pretty.body
    assert json.loads(json.dumps(plain.body))["gitVersion"].startswith("v1.")
