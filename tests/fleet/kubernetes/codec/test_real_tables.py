"""Decoded records say what the API server's own tables say, cell by cell."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from fleet.kubernetes.auth.authorizers import bearer
from fleet.kubernetes.auth.tls import TlsMaterial, build_ssl_context
from fleet.kubernetes.codec.codec import NODES, PODS, Codec, EventType, T
from fleet.kubernetes.codec.pods import pod_details
from fleet.kubernetes.codec.watch import iter_lines
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.manifests import load_manifest
from fleet.model.objects import Pod
from fleet.ports import Call
from realfleet.cluster import Cluster
from realfleet.fleet import Fleet
from tests.fleet.kubernetes.codec.objects import pod, running, terminated, waiting

pytestmark = pytest.mark.real

TABLE = ((b"Accept", b"application/json;as=Table;v=v1;g=meta.k8s.io"),)
PODS_PATH = "/api/v1/namespaces/default/pods"
INITIALIZED = [{"type": "Initialized", "status": "True"}]

ODD: dict[str, dict[str, Any]] = {
    "crash-loop": pod("Running", [waiting("CrashLoopBackOff", restartCount=7)]),
    "init-crash-loop": pod("Pending", init=[waiting("CrashLoopBackOff", restartCount=3)]),
    "init-half": pod("Pending", init=[terminated(0, "Completed"), waiting("PodInitializing")]),
    "init-exit": pod("Pending", init=[terminated(4)]),
    "completed-beside": pod("Running", [terminated(0, "Completed"), running()]),
    "signal": pod("Failed", [terminated(137, "", 9)]),
    "evicted": pod("Failed", reason="Evicted"),
    "sidecar": pod("Running", [running()], init=[running(started=True, restartCount=2)], sidecars=1),
    "sidecar-broken": pod(
        "Running", [running()], init=[waiting("CrashLoopBackOff")], sidecars=1, conditions=INITIALIZED
    ),
    "gated": pod("Pending", spec={"schedulingGates": [{"name": "example.org/wait"}]}),
    "held": pod("Running", [running()], metadata={"finalizers": ["example.org/hold"]}),
}


@asynccontextmanager
async def open_member(cluster: Cluster) -> AsyncIterator[HttpConnection]:
    tls = build_ssl_context(TlsMaterial(cluster.ca_pem))
    connection = HttpConnection(cluster.name, Target(cluster.url, tls, bearer(cluster.token)))
    try:
        yield connection
    finally:
        await connection.close()


@contextmanager
def odd_pods(cluster: Cluster) -> Iterator[None]:
    """Pods that no scheduler takes, with the statuses of ODD; `held` is being deleted."""
    try:
        for name, wanted in ODD.items():
            cluster.client.create(PODS_PATH, _creatable(name, wanted))
            cluster.client.merge(f"{PODS_PATH}/{name}/status", {"status": _patchable(wanted["status"])})
        cluster.client.delete(f"{PODS_PATH}/held")
        yield
    finally:
        cluster.client.merge(f"{PODS_PATH}/held", {"metadata": {"finalizers": None}})
        cluster.kubectl("delete", "pods", "-n", "default", "--force", "--ignore-not-found", *ODD)


def _creatable(name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    spec = json.loads(json.dumps(wanted["spec"])) | {"schedulerName": "nobody"}
    for index, container in enumerate(spec["containers"]):
        container |= {"name": f"c{index}", "image": "example.org/image"}
    for container in spec["initContainers"]:
        container["image"] = "example.org/image"
    finalizers = wanted["metadata"].get("finalizers", [])
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "finalizers": finalizers}, "spec": spec}


def _patchable(status: dict[str, Any]) -> dict[str, Any]:
    status = json.loads(json.dumps(status))
    for key in ("containerStatuses", "initContainerStatuses"):
        for index, entry in enumerate(status[key]):
            entry |= {"image": "example.org/image", "imageID": "", "lastState": {}}
            if key == "containerStatuses":
                entry["name"] = f"c{index}"
    return {key: value for key, value in status.items() if value}


async def list_rows(connection: HttpConnection, codec: Codec[T]) -> list[tuple[dict[str, str], T]]:
    """Each row's cells by column name, and the record decoded from the very object the row was printed from."""
    answer = await connection.request(Call("GET", codec.path, query="includeObject=Object", headers=TABLE, timeout=30))
    table = json.loads(answer.body)
    columns = [column["name"] for column in table["columnDefinitions"]]
    rows = []
    for row in table["rows"]:
        event = codec.decode_event(json.dumps({"type": "ADDED", "object": row["object"]}).encode(), "c")
        assert event.record is not None, event.message
        rows.append((dict(zip(columns, map(str, row["cells"]), strict=True)), event.record))
    return rows


async def test_pods_read_as_in_the_table(real_fleet: Fleet) -> None:
    member = real_fleet.members[0]
    with odd_pods(member):
        async with open_member(member) as connection:
            rows = await list_rows(connection, PODS)
    assert len(rows) >= 60 + len(ODD)
    for cells, record in rows:
        said = (record.name, f"{record.ready_containers}/{record.total_containers}", record.status)
        assert said == (cells["Name"], cells["Ready"], cells["Status"])
        assert str(record.restarts) == cells["Restarts"].split()[0]
    statuses = {record.name: record.status for _, record in rows}
    assert (statuses["held"], statuses["gated"]) == ("Terminating", "SchedulingGated")
    assert (statuses["crash-loop"], statuses["init-exit"]) == ("CrashLoopBackOff", "Init:ExitCode:4")


async def test_nodes_read_as_in_the_table(real_fleet: Fleet) -> None:
    member = real_fleet.members[1]
    name = member.client.get("/api/v1/nodes")["items"][0]["metadata"]["name"]
    path = f"/api/v1/nodes/{name}"
    member.client.merge(
        path, {"spec": {"unschedulable": True}, "metadata": {"labels": {"node-role.kubernetes.io/odd": ""}}}
    )
    try:
        async with open_member(member) as connection:
            rows = await list_rows(connection, NODES)
    finally:
        member.client.merge(
            path, {"spec": {"unschedulable": None}, "metadata": {"labels": {"node-role.kubernetes.io/odd": None}}}
        )
    for cells, record in rows:
        assert (record.name, record.status) == (cells["Name"], cells["Status"])
        assert (",".join(record.roles) or "<none>", record.kubelet_version) == (cells["Roles"], cells["Version"])
    assert "Ready,SchedulingDisabled" in {record.status for _, record in rows}


async def test_a_list_keeps_every_object_whole(real_fleet: Fleet) -> None:
    async with open_member(real_fleet.members[0]) as connection:
        answer = await connection.request(Call("GET", PODS.path, timeout=30))
    page = PODS.decode_list(answer.body, "c")
    assert page.malformed == ()
    for item, record in zip(json.loads(answer.body)["items"], page.records, strict=True):
        assert load_manifest(record.manifest) == {"kind": "Pod", "apiVersion": "v1", **item}
        containers = item["spec"]["containers"]
        assert [found.name for found in pod_details(record).containers] == [found["name"] for found in containers]


async def test_a_watch_reads_changes(real_fleet: Fleet) -> None:
    member = real_fleet.members[1]
    manifest = _creatable("watched", pod())
    async with open_member(member) as connection:
        answer = await connection.request(Call("GET", PODS.path, timeout=30))
        version = PODS.decode_list(answer.body, "c").resource_version
        query = f"watch=true&resourceVersion={version}&timeoutSeconds=60"
        async with connection.open_stream(Call("GET", PODS.path, query=query, timeout=10, idle_timeout=30)) as stream:
            await asyncio.to_thread(member.client.create, PODS_PATH, manifest)
            await asyncio.to_thread(member.client.delete, f"{PODS_PATH}/watched")
            seen: list[tuple[EventType, Pod]] = []
            async for line in iter_lines(stream.chunks()):
                event = PODS.decode_event(line, "c")
                if event.record is not None and event.record.name == "watched":
                    seen.append((event.type, event.record))
                    if event.type is EventType.DELETED:
                        break
    assert (seen[0][0], seen[0][1].status) == (EventType.ADDED, "Pending")
