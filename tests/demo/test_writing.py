"""Create, replace, patch and delete, as the API promises them."""

from typing import Any

import pytest

from tests.demo.asking import Asker, build_config_map

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/nginx-deployment"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


async def test_a_created_object_gets_what_the_server_gives(asker: Asker) -> None:
    reply = await asker.send(CONFIG_MAPS, "POST", build_config_map("created"))

    assert reply.status == 201
    assert reply.body["metadata"] | {"uid": 0, "resourceVersion": 0, "creationTimestamp": 0, "labels": 0} == {
        "name": "created",
        "namespace": "default",
        "uid": 0,
        "resourceVersion": 0,
        "creationTimestamp": 0,
        "labels": 0,
    }
    assert (await asker.ask(f"{CONFIG_MAPS}/created")).body == reply.body


async def test_yaml_and_generated_names_are_taken(asker: Asker) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: from-yaml-}\ndata: {key: '1'}\n"

    reply = await asker.send(CONFIG_MAPS, "POST", text, "application/yaml")

    assert reply.body["metadata"]["name"].startswith("from-yaml-")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (build_config_map("kube-root-ca.crt"), 409, "AlreadyExists"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}, 422, "Invalid"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}, 400, "BadRequest"),
        (build_config_map("x") | {"metadata": {"name": "x", "namespace": "other"}}, 400, "BadRequest"),
        ("{", 400, "BadRequest"),
    ],
)
async def test_what_can_not_be_created_says_why(asker: Asker, body: object, status: int, reason: str) -> None:
    reply = await asker.send(CONFIG_MAPS, "POST", body)

    assert (reply.status, reply.body["reason"]) == (status, reason)


async def test_a_replacement_of_an_old_version_is_a_conflict(asker: Asker) -> None:
    old = (await asker.send(CONFIG_MAPS, "POST", build_config_map("contended"))).body
    await asker.send(f"{CONFIG_MAPS}/contended", "PUT", build_config_map("contended", "2"))

    reply = await asker.send(f"{CONFIG_MAPS}/contended", "PUT", old)

    assert (reply.status, reply.body["reason"]) == (409, "Conflict")


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        (JSON_PATCH, [{"op": "test", "path": "/spec/replicas", "value": 0}, {"op": "remove", "path": "/spec/paused"}]),
        (JSON_PATCH, [{"op": "replace", "path": "/spec/paused/x", "value": 1}]),
    ],
)
async def test_a_json_patch_that_does_not_fit_changes_nothing(asker: Asker, kind: str, patch: Any) -> None:
    before = await asker.ask(DEPLOYMENT)

    reply = await asker.send(DEPLOYMENT, "PATCH", patch, kind)

    assert reply.status == 422
    assert await asker.ask(DEPLOYMENT) == before


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        (JSON_PATCH, [{"op": "replace", "path": "/spec/replicas", "value": 7}]),
        (MERGE_PATCH, {"spec": {"replicas": 8}}),
        (STRATEGIC_PATCH, {"spec": {"replicas": 9}}),
    ],
)
async def test_each_kind_of_patch_scales_a_deployment(asker: Asker, kind: str, patch: Any) -> None:
    reply = await asker.send(DEPLOYMENT, "PATCH", patch, kind)

    wanted = patch[0]["value"] if isinstance(patch, list) else patch["spec"]["replicas"]
    assert (await asker.ask(DEPLOYMENT)).body["spec"]["replicas"] == reply.body["spec"]["replicas"] == wanted


async def test_a_strategic_patch_joins_containers_by_name(asker: Asker) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "nginx", "image": "nginx:2"}]}}}}

    reply = await asker.send(DEPLOYMENT, "PATCH", patch, STRATEGIC_PATCH)

    container = reply.body["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "nginx:2"
    assert container["resources"]["requests"]["cpu"] == "100m"


async def test_a_dry_run_answers_and_stores_nothing(asker: Asker) -> None:
    created = await asker.send(CONFIG_MAPS, "POST", build_config_map("dry"), query={"dryRun": "All"})

    assert created.status == 201
    assert (await asker.ask(f"{CONFIG_MAPS}/dry")).status == 404


async def test_a_deleted_object_is_gone(asker: Asker) -> None:
    await asker.send(CONFIG_MAPS, "POST", build_config_map("doomed"))

    reply = await asker.send(f"{CONFIG_MAPS}/doomed", "DELETE")

    assert (reply.status, reply.body["status"], reply.body["details"]["name"]) == (200, "Success", "doomed")
    assert (await asker.send(f"{CONFIG_MAPS}/doomed", "DELETE")).status == 404


async def test_a_selection_is_deleted_at_once(asker: Asker) -> None:
    for name in ("many-1", "many-2"):
        await asker.send(CONFIG_MAPS, "POST", build_config_map(name, labels={"set": "many"}))

    reply = await asker.send(CONFIG_MAPS, "DELETE", query={"labelSelector": "set=many"})

    assert reply.names == ["many-1", "many-2"]
    assert (await asker.ask(CONFIG_MAPS, labelSelector="set=many")).names == []
