"""The pass-through in front of real API servers: the same bytes, the same statuses, live streams."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from realfleet.fleet import Fleet
from tests.processes import RunningServer
from tests.rest_compat.serving import Client, open_client

pytestmark = pytest.mark.real

MEMBER = "clustername=cluster1"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def caller(fleet_server: RunningServer) -> AsyncIterator[Client]:
    async with open_client(fleet_server.url, await fleet_server.sign_in()) as opened:
        yield opened


@pytest.mark.parametrize(
    "path",
    [
        *("/api", "/api/v1", "/apis/apps/v1", "/api/v1/namespaces/default", "/api/v1/nodes/kube1-worker1"),
        *("/apis/apps/v1/namespaces/shop/deployments/", "/api/v1/nodes/kube1-worker1?pretty=true"),
        "/api/v1/namespaces/shop?fieldManager=x",
    ],
)
async def test_answers_are_the_members_bytes(real_fleet: Fleet, caller: Client, path: str) -> None:
    # Nodes report in now and then: compare with the answer from before or from after.
    client = real_fleet.cluster("cluster1").client
    before = await asyncio.to_thread(client.read, "GET", path)
    answer = await caller.ask("GET", f"{path}{'&' if '?' in path else '?'}{MEMBER}")
    after = await asyncio.to_thread(client.read, "GET", path)
    assert (answer.status, answer.body) in (before, after)


@pytest.mark.parametrize("agent", ["curl/8.0", "Wget/1.21", "Mozilla/5.0 (X11)", "python-requests/2.31"])
async def test_answers_are_compact_whoever_asks(caller: Client, agent: str) -> None:
    """API servers indent their answers for the first three, to twice the size."""
    path = f"/api/v1/namespaces/default?{MEMBER}"
    plain = await caller.ask("GET", path)
    answer = await caller.ask("GET", path, User_Agent=agent)
    assert (answer.status, answer.body) == (200, plain.body)
    assert b"\n  " not in answer.body


async def test_an_empty_clustername_is_the_host(caller: Client) -> None:
    answer = await caller.ask("GET", "/apis/core.kubefed.io/v1beta1/kubefedclusters?clustername=")
    names = {item["metadata"]["name"] for item in json.loads(answer.body)["items"]}
    assert names == {"cluster1", "cluster2"}


async def test_an_object_lives_and_dies_through_the_pass_through(real_fleet: Fleet, caller: Client) -> None:
    manifest = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: passed}\ndata: {a: one}\n"
    named = f"{CONFIG_MAPS}/passed?{MEMBER}"
    created = await caller.ask("POST", f"{CONFIG_MAPS}?{MEMBER}", body=manifest, Content_Type="application/yaml")
    assert created.status == 201, created.body
    twice = await caller.ask("POST", f"{CONFIG_MAPS}?{MEMBER}", body=manifest, Content_Type="application/yaml")
    assert (twice.status, json.loads(twice.body)["reason"]) == (409, "AlreadyExists")
    for content_type, body in (
        ("application/json-patch+json", b'[{"op":"replace","path":"/data/a","value":"two"}]\n'),
        ("application/merge-patch+json", b'{"data":{"a":"two"}}'),
        ("application/strategic-merge-patch+json", b'{"data":{"a":"two"}}'),
        ("application/apply-patch+yaml", manifest.replace(b"one", b"two")),
    ):
        patched = await caller.ask(
            "PATCH", f"{named}&fieldManager=test&force=true", body=body, Content_Type=content_type
        )
        # Only apply knows `force`: the parameter arrived, so the others are refused for it.
        assert patched.status == (200 if "apply" in content_type else 422), patched.body
    # JSON without a Content-Type, as the portal sends it.
    replaced = await caller.ask("PUT", named, body=json.dumps(_config_map("three")).encode())
    assert json.loads(replaced.body)["data"] == {"a": "three"}
    assert (await caller.ask("HEAD", named)).body == b""
    # The manifest as a DELETE's body, as omcpctl sends it.
    gone = await caller.ask("DELETE", named, body=manifest, Content_Type="application/yaml")
    assert (gone.status, json.loads(gone.body)["status"]) == (200, "Success")
    assert (await caller.ask("GET", named)).status == 404


async def test_options_of_a_delete_arrive(caller: Client) -> None:
    body = json.dumps(_config_map("one", "kept")).encode()
    assert (await caller.ask("POST", f"{CONFIG_MAPS}?{MEMBER}", body=body)).status == 201
    named = f"{CONFIG_MAPS}/kept?{MEMBER}"
    tried = await caller.ask("DELETE", named, body=b'{"kind":"DeleteOptions","apiVersion":"v1","dryRun":["All"]}')
    assert (tried.status, (await caller.ask("GET", named)).status) == (200, 200)
    assert (await caller.ask("DELETE", named)).status == 200


CLAIMED = {"requests": {"storage": "1"}}
DELETED = [
    ("configmaps", {}),
    ("services", {"spec": {"ports": [{"port": 80}]}}),
    ("serviceaccounts", {}),
    ("pods", {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}),
    ("persistentvolumeclaims", {"spec": {"accessModes": ["ReadOnlyMany"], "resources": CLAIMED}}),
    ("podtemplates", {"template": {"spec": {"containers": [{"name": "a", "image": "a:1"}]}}}),
    ("resourcequotas", {}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "content"), DELETED, ids=[resource for resource, _ in DELETED])
async def test_who_takes_anything_is_told_by_a_status_what_was_deleted(
    caller: Client, resource: str, content: dict[str, object]
) -> None:
    """API servers answer the deleted object for some kinds, a Status for others; with Accept it stays theirs."""
    many = f"/api/v1/namespaces/default/{resource}"
    made = []
    for name in ("silent", "asking"):
        body = json.dumps({"metadata": {"name": name}, **content}).encode()
        created = await caller.ask("POST", f"{many}?{MEMBER}", body=body)
        assert created.status == 201, created.body
        made.append(json.loads(created.body)["metadata"]["uid"])
    silent = await caller.ask("DELETE", f"{many}/silent?{MEMBER}")
    asking = await caller.ask("DELETE", f"{many}/asking?{MEMBER}", Accept="application/json")
    theirs = json.loads(asking.body)
    told = json.loads(silent.body)
    details = {"name": "silent", "kind": resource, "uid": made[0]}
    assert (silent.status, told) == (
        asking.status,
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details},
    )
    if theirs["kind"] == "Status":
        assert theirs == told | {"details": details | {"name": "asking", "uid": made[1]}}
    else:
        assert theirs["metadata"]["uid"] == made[1]


async def test_a_collection_that_is_deleted_is_told_of_by_a_status(caller: Client) -> None:
    path = f"{CONFIG_MAPS}?{MEMBER}&labelSelector=none%3Dsuch"
    silent, asking = [await caller.ask("DELETE", path, **headers) for headers in ({}, {"Accept": "*/*"})]
    assert (silent.status, json.loads(silent.body)["status"]) == (200, "Success")
    assert json.loads(asking.body)["kind"] in ("Status", "ConfigMapList")


async def test_a_watch_shows_a_change_while_it_is_open(real_fleet: Fleet, caller: Client) -> None:
    listed = json.loads((await caller.ask("GET", f"{CONFIG_MAPS}?{MEMBER}&limit=1")).body)
    version = listed["metadata"]["resourceVersion"]
    async with caller.open("GET", f"{CONFIG_MAPS}?{MEMBER}&watch=1&resourceVersion={version}") as answer:
        body = json.dumps(_config_map("one", "seen")).encode()
        assert (await caller.ask("POST", f"{CONFIG_MAPS}?{MEMBER}", body=body)).status == 201
        event = json.loads(await answer.content.readline())
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "seen")
    assert (await caller.ask("DELETE", f"{CONFIG_MAPS}/seen?{MEMBER}")).status == 200


async def test_logs_are_text(real_fleet: Fleet, caller: Client) -> None:
    pod = real_fleet.cluster("cluster1").client.get("/api/v1/namespaces/shop/pods?limit=1")["items"][0]
    path = f"/api/v1/namespaces/shop/pods/{pod['metadata']['name']}/log?tailLines=2&{MEMBER}"
    answer = await caller.ask("GET", path)
    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, "text/plain")
    assert answer.body.count(b"\n") <= 2


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/api/v1/namespaces/default/pods/none", 404, "NotFound"),
        ("/apis/no.such.group/v1/things", 404, "NotFound"),
        ("/api/v1/pods?labelSelector=%3D", 400, "BadRequest"),
        ("/api/v1/pods?resourceVersion=x", 400, "BadRequest"),
    ],
)
async def test_errors_survive_every_client(caller: Client, path: str, status: int, reason: str) -> None:
    target = f"{path}{'&' if '?' in path else '?'}{MEMBER}"
    wide = await caller.ask("GET", target)
    genuine = await caller.ask("GET", target, Accept="*/*")
    assert (wide.status, json.loads(wide.body)["status"], json.loads(wide.body)["items"]) == (status, {}, [])
    assert (genuine.status, json.loads(genuine.body)["status"]) == (status, "Failure")
    assert {json.loads(answer.body)["reason"] for answer in (wide, genuine)} == {reason}


def _config_map(value: str, name: str = "passed") -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": value}}
