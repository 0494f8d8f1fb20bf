"""Who may not read Secrets finds none in what holds or repeats one: lists, objects, tables and watches."""

import asyncio
import json
from typing import Any

import pytest

from fleet.model.redaction import LAST_APPLIED, REDACTED, EnvValues
from tests.rest_compat.serving import Client
from tests.rest_compat.upstream import Upstream, answering, streaming

SECRET = "hunter2"
SECRET_MANIFEST = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": SECRET}}
WORK = {
    "apiVersion": "work.karmada.io/v1alpha1",
    "kind": "Work",
    "metadata": {"name": "w", "annotations": {LAST_APPLIED: json.dumps({"kind": "Work", "spec": [SECRET_MANIFEST]})}},
    "spec": {"workload": {"manifests": [SECRET_MANIFEST]}},
}
RELEASE = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "r", "labels": {"owner": "helm"}},
    "data": {"release": SECRET},
}
ENVIRONMENT = [{"name": "DB_PASSWORD", "value": SECRET}, {"name": "DB", "value": f"pg://a:{SECRET}@db"}]
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "p",
        "annotations": {LAST_APPLIED: json.dumps({"kind": "Pod", "spec": {"containers": [{"env": ENVIRONMENT}]}})},
        "managedFields": [{"fieldsV1": {"f:spec": {"f:containers": {'k:{"name":"c"}': {"f:env": {}}}}}}],
    },
    "spec": {"containers": [{"name": "c", "env": [*ENVIRONMENT, {"name": "MODE", "value": "fast"}]}]},
}
META = {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": POD["metadata"]}
SHOP = "/api/v1/namespaces/shop"
WORKS = "/apis/work.karmada.io/v1alpha1/namespaces/shop/works"


def table(row: Any) -> Any:
    return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "rows": [{"cells": ["p", 1], "object": row}]}


@pytest.mark.parametrize("redact_env", [EnvValues.SECRETS])
@pytest.mark.parametrize(
    ("path", "kept", "body"),
    [
        (f"{SHOP}/configmaps", "ConfigMapList", {"kind": "ConfigMapList", "items": [RELEASE]}),
        (f"{SHOP}/configmaps/r", "release", RELEASE),
        (WORKS, "manifests", {"kind": "WorkList", "items": [WORK]}),
        (f"{WORKS}/w", "manifests", WORK),
        (f"{WORKS}?x", "cells", table(WORK)),
        (f"{SHOP}/pods", "fast", {"kind": "PodList", "items": [POD]}),
        (f"{SHOP}/pods/p", "fast", POD),
        (f"{SHOP}/pods?x", "cells", table(POD)),
        (f"{SHOP}/pods?y", "cells", table(META)),
        (f"{SHOP}/pods?z", "f:env", {"kind": "PartialObjectMetadataList", "items": [META]}),
    ],
)
async def test_answers_hold_none(
    client: Client, upstream: Upstream, viewer: str, path: str, kept: str, body: dict[str, Any]
) -> None:
    upstream.answers[path.partition("?")[0]] = answering(200, json.dumps(body).encode())
    named = f"{path}{'&' if '?' in path else '?'}clustername=cluster1"
    shown = await client.ask("GET", named, token=viewer)
    assert shown.status == 200
    assert SECRET not in shown.body.decode()
    assert kept in shown.body.decode()
    assert REDACTED in shown.body.decode()
    assert SECRET in (await client.ask("GET", named)).body.decode()  # administrators may read Secrets


@pytest.mark.parametrize("redact_env", [EnvValues.ALL])
async def test_a_watch_holds_none_however_its_lines_arrive(client: Client, upstream: Upstream, viewer: str) -> None:
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
    upstream.answers[f"{SHOP}/pods"] = streaming(pieces)
    lines = [json.dumps({"type": kind, "object": POD}).encode() + b"\n" for kind in ("ADDED", "MODIFIED")]
    async with client.open("GET", f"{SHOP}/pods?watch=1&clustername=cluster1", token=viewer) as answer:
        pieces.put_nowait(lines[0] + lines[1][:300])
        first = json.loads(await answer.content.readline())
        pieces.put_nowait(lines[1][300:])
        pieces.put_nowait(None)
        second = json.loads(await answer.content.readline())
    assert (first["type"], second["type"]) == ("ADDED", "MODIFIED")
    assert SECRET not in json.dumps([first, second])
    assert [entry["value"] for entry in second["object"]["spec"]["containers"][0]["env"]] == [REDACTED] * 3


async def test_it_is_asked_as_plain_json(client: Client, upstream: Upstream, viewer: str) -> None:
    accept = "application/vnd.kubernetes.protobuf,application/json;as=Table;v=v1;g=meta.k8s.io, application/json"
    await client.ask("GET", f"{WORKS}?clustername=cluster1", token=viewer, Accept=accept, Accept_Encoding="gzip")
    await client.ask("GET", f"{WORKS}?clustername=cluster1", token=viewer, Accept="application/yaml")
    first, second = upstream.seen
    assert first.header("accept") == "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    assert first.header("accept-encoding") == "identity"
    assert second.header("accept") == "application/json"


@pytest.mark.parametrize(
    ("kind", "body"), [("application/yaml", b"kind: Secret"), ("application/json", b'{"kind":"Secret"')]
)
async def test_what_can_not_be_read_is_not_shown(
    client: Client, upstream: Upstream, viewer: str, kind: str, body: bytes
) -> None:
    upstream.answers[WORKS] = answering(200, body, kind)
    answer = await client.ask("GET", f"{WORKS}?clustername=cluster1", token=viewer)
    assert answer.status == 502
    assert "is not shown to who may not read Secrets" in answer.body.decode()


@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize("status", [200, 201])
async def test_what_a_write_answers_holds_none(
    client: Client, upstream: Upstream, editor: str, method: str, status: int
) -> None:
    path = "/apis/work.karmada.io/v1alpha1/clusterworks" + ("" if method == "POST" else "/w")
    upstream.answers[path] = answering(status, json.dumps(WORK).encode())
    headers = {"Content_Type": "application/merge-patch+json"}
    answer = await client.ask(method, f"/clusters/cluster1{path}?dryRun=All", token=editor, body=b"{}", **headers)
    assert answer.status == status
    assert SECRET not in answer.body.decode()
    assert REDACTED in answer.body.decode()


@pytest.mark.parametrize("path", ["secrets", "secrets/s", "secrets?watch=1", "serviceaccounts/default/token"])
async def test_secrets_themselves_are_refused(client: Client, upstream: Upstream, viewer: str, path: str) -> None:
    mark = "&" if "?" in path else "?"
    method = "POST" if path.endswith("token") else "GET"
    assert (await client.ask(method, f"{SHOP}/{path}{mark}clustername=cluster1", token=viewer)).status == 403
    assert upstream.seen == []
