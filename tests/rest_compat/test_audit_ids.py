"""What is done for a caller has the request's id in the member's own audit log, whichever face it came through."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from realfleet.fleet import Fleet
from tests.fakes.waiting import until
from tests.processes import RunningServer
from tests.rest_compat.serving import Client, open_client

pytestmark = pytest.mark.real

CONFIG_MAPS = "/api/v1/namespaces/audited/configmaps"
QUERY = """{ resources(apiVersion: "v1", kind: "ConfigMap", filter: {clusters: ["cluster1"], namespaces: ["audited"]}) {
    items { name } } }"""


@pytest.fixture(scope="module")
def audited(real_fleet: Fleet) -> Fleet:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "audited"}}
    status, _ = real_fleet.cluster("cluster1").client.read("POST", "/api/v1/namespaces", json.dumps(namespace).encode())
    assert status in (201, 409)
    return real_fleet


@pytest.fixture
async def caller(audited: Fleet, fleet_server: RunningServer) -> AsyncIterator[Client]:
    async with open_client(fleet_server.url, await fleet_server.sign_in()) as opened:
        yield opened


async def find_event(fleet: Fleet, audit_id: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def look() -> bool:
        lines = fleet.cluster("cluster1").api.audit_log.read_bytes().splitlines()
        found[:] = [event for event in map(json.loads, lines) if event["auditID"] == audit_id]
        return bool(found)

    await until(look, what=f"an event with {audit_id}", every=0.05)
    return found[0]


async def test_the_request_id_is_the_members_audit_id(audited: Fleet, caller: Client) -> None:
    body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-"}}).encode()
    target = f"/clusters/cluster1{CONFIG_MAPS}"
    answer = await caller.ask("POST", target, body=body, Content_Type="application/json", Audit_ID="mine-to-forge")
    assert answer.status == 201
    audit_id = answer.headers["x-request-id"]
    assert uuid.UUID(audit_id).version == 4
    event = await find_event(audited, audit_id)
    assert (event["verb"], event["objectRef"]["resource"]) == ("create", "configmaps")
    assert b"mine-to-forge" not in audited.cluster("cluster1").api.audit_log.read_bytes()


async def test_a_question_of_the_graph_is_found_by_its_id_too(audited: Fleet, caller: Client) -> None:
    body = json.dumps({"query": QUERY}).encode()
    answer = await caller.ask("POST", "/graphql", body=body, Content_Type="application/json", X_Request_ID="graph-1")
    assert b'"errors"' not in answer.body
    assert (await find_event(audited, "graph-1"))["verb"] == "list"
