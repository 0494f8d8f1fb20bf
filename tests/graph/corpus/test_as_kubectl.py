"""Every object of the corpus is shown by the graph as kubectl prints it and as the API server's own table has it."""

import json
import math
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.model.quantities import parse_bytes, parse_cores, parse_count
from fleet.registry import FleetOptions, open_federation
from realfleet.cluster import Cluster
from realfleet.fleet import Fleet
from tests.fakes.kubernetes import FakeSource
from tests.graph.conftest import Graph
from tests.graph.corpus.corpus import OBJECTS, Object, created, list_names, named, path_of
from tests.graph.types.test_real_amounts import read_described

pytestmark = pytest.mark.real

NAMESPACE = "corpus"
HERE = '(first: 500, filter: {clusters: ["openmcp"]%s})'
PODS = f"""{{ pods{HERE % f', namespaces: ["{NAMESPACE}"]'} {{ items {{
  name status ready restarts createdAt nodeName podIP manifest conditions {{ type status lastTransitionAt }}
  requests {{ cpuCores memoryBytes }}
  containers {{ name init ephemeral ready restarts state {{ kind startedAt }} }}
}} }} }}"""
NODES = f"""{{ nodes{HERE % ""} {{ items {{
  name status ready roles kubeletVersion internalIP osImage architecture conditions {{ lastTransitionAt }}
  addresses {{ type address }} capacity {{ ...Amounts }} allocatable {{ ...Amounts }}
  requested {{ ...Amounts }}
}} }} }} fragment Amounts on Resources {{
  cpuCores memoryBytes ephemeralStorageBytes pods extended {{ name amount }}
}}"""
RESOURCE = """query ($version: String!, $kind: String!, $namespace: String, $name: String!) {
  resource(cluster: "openmcp", apiVersion: $version, kind: $kind, namespace: $namespace, name: $name) {
    columns { name type priority value } } }"""
MOST = 2**64 - 1
"""What the graph shows of bytes and pods; beyond it an amount is null."""
_COLUMN = re.compile(r"\S+(?: \S+)*")
_RESERVED = re.compile(r"^  (\S+) +(\d\S*) ", re.MULTILINE)


@pytest.fixture(scope="module")
def host(real_fleet: Fleet) -> Iterator[Cluster]:
    with created(real_fleet) as cluster:
        yield cluster


@pytest.fixture(scope="module")
async def graph(host: Cluster, real_fleet: Fleet) -> AsyncIterator[Graph]:
    async with (
        open_kubeconfig_source((real_fleet.kubeconfig,)) as source,
        open_federation(source, FleetOptions(member_timeout=4.0)) as federation,
    ):
        await federation.wait_synced(20)
        yield Graph(FakeSource(), federation)


@pytest.fixture(scope="module")
async def pods(graph: Graph) -> dict[str, Object]:
    return {item["name"]: item for item in (await graph.ask(PODS))["pods"]["items"]}


@pytest.fixture(scope="module")
async def nodes(graph: Graph) -> dict[str, Object]:
    result = await graph.execute(NODES)
    assert {(error.extensions or {})["code"] for error in result.errors or ()} == {"OUT_OF_RANGE"}  # one has 1e30 bytes
    assert result.data is not None
    return {item["name"]: item for item in result.data["nodes"]["items"]}


@pytest.fixture(scope="module")
def printed_pods(host: Cluster) -> dict[str, dict[str, str]]:
    return read_columns(host.kubectl("get", "pods", "-n", NAMESPACE, "-o", "wide"))


@pytest.fixture(scope="module")
def printed_nodes(host: Cluster) -> dict[str, dict[str, str]]:
    return read_columns(host.kubectl("get", "nodes", "-o", "wide"))


def read_columns(text: str) -> dict[str, dict[str, str]]:
    """kubectl's lines by name; a column begins where its title does."""
    head, *lines = text.splitlines()
    titles = [(match.group(), match.start()) for match in _COLUMN.finditer(head)]
    ends = [start for _, start in titles[1:]] + [None]
    rows = [
        {title: line[start:end].strip() for (title, start), end in zip(titles, ends, strict=True)} for line in lines
    ]
    return {row["NAME"]: row for row in rows}


def as_cell(text: str | None, missing: str = "<none>") -> str:
    """As kubectl prints it: of several lines the first."""
    first, more, _ = (text or missing).partition("\n")
    return f"{first}..." if more else first


def count_gates(pod: Object) -> str | None:
    gates = [gate["conditionType"] for gate in pod["manifest"]["spec"].get("readinessGates", [])]
    states = {entry["type"]: entry["status"] for entry in reversed(pod["conditions"])}
    return f"{sum(states.get(gate) == 'True' for gate in gates)}/{len(gates)}" if gates else None


@pytest.mark.parametrize("name", list_names("Pod"))
def test_a_pod_is_shown_as_kubectl_prints_it(
    name: str, pods: dict[str, Object], printed_pods: dict[str, dict[str, str]]
) -> None:
    pod, line = pods[name], printed_pods[name]
    assert {
        "NAME": pod["name"],
        "READY": pod["ready"],
        "STATUS": as_cell(pod["status"], ""),
        "RESTARTS": str(pod["restarts"]),
        "AGE": line["AGE"],
        "IP": as_cell(pod["podIP"]),
        "NODE": as_cell(pod["nodeName"]),
        "NOMINATED NODE": as_cell(pod["manifest"]["status"].get("nominatedNodeName")),
        "READINESS GATES": as_cell(count_gates(pod)),
    } == line | {"RESTARTS": line["RESTARTS"].split()[0]}
    assert pod["createdAt"] == pod["manifest"]["metadata"]["creationTimestamp"]


@pytest.mark.parametrize("name", list_names("Node"))
def test_a_node_is_shown_as_kubectl_prints_it(
    name: str, nodes: dict[str, Object], printed_nodes: dict[str, dict[str, str]]
) -> None:
    node, line = nodes[name], printed_nodes[name]
    external = [entry["address"] for entry in node["addresses"] if entry["type"] == "ExternalIP"]
    assert {
        "NAME": node["name"],
        "STATUS": node["status"],
        "ROLES": as_cell(",".join(node["roles"])),
        "VERSION": node["kubeletVersion"],
        "INTERNAL-IP": as_cell(node["internalIP"]),
        "EXTERNAL-IP": as_cell(next(iter(external), None)),
        "OS-IMAGE": as_cell(node["osImage"], "<unknown>"),
    } == {key: line[key] for key in line if key not in ("AGE", "KERNEL-VERSION", "CONTAINER-RUNTIME")}
    assert node["ready"] is (line["STATUS"].split(",")[0] == "Ready")
    assert (node["architecture"] or "") == line["KERNEL-VERSION"].partition("(")[2].rstrip(")")


async def test_a_pod_has_the_claims_that_the_api_server_keeps(graph: Graph) -> None:
    query = f"""{{ pod(cluster: "openmcp", namespace: "{NAMESPACE}", name: "claims") {{
      resourceClaims {{ name claimName templateName }} }} }}"""
    assert (await graph.ask(query))["pod"]["resourceClaims"] == [
        {"name": "own", "claimName": "claims-own-x7k2f", "templateName": "large-gpu"},
        {"name": "late", "claimName": None, "templateName": "large-gpu"},
        {"name": "shared", "claimName": "lab", "templateName": None},
    ]


async def test_filters_list_what_kubectl_prints(
    graph: Graph, host: Cluster, printed_pods: dict[str, dict[str, str]], printed_nodes: dict[str, dict[str, str]]
) -> None:
    """Of several lines of a status kubectl prints the first, which is no status to ask for."""
    lines, here = printed_pods.values(), {"clusters": ["openmcp"], "namespaces": [NAMESPACE]}

    async def names(kind: str, wanted: Object) -> set[str]:
        query = f"query Q($f: {kind.title()}Filter) {{ {kind}s(first: 1000, filter: $f) {{ items {{ name }} }} }}"
        return {item["name"] for item in (await graph.ask(query, {"f": wanted}))[f"{kind}s"]["items"]}

    for status in {line["STATUS"] for line in lines if not line["STATUS"].endswith("...")} - {""}:
        printed = {line["NAME"] for line in lines if line["STATUS"] == status}
        assert await names("pod", here | {"statuses": [status]}) == printed, status
        assert await names("pod", here | {"not": {"statuses": [status]}}) == printed_pods.keys() - printed, status
    ready = {line["NAME"] for line in lines if len({*line["READY"].split("/")}) == 1}
    assert await names("pod", here | {"ready": True}) == ready
    restarted = {line["NAME"] for line in lines if line["RESTARTS"].split()[0] != "0"}
    assert await names("pod", here | {"restarts": {"gt": 0}}) == restarted
    whole = json.loads(host.kubectl("get", "pods", "-n", NAMESPACE, "-o", "json"))["items"]
    for qos_class in ("Guaranteed", "Burstable", "BestEffort"):
        having = {pod["metadata"]["name"] for pod in whole if pod["status"].get("qosClass") == qos_class}
        assert await names("pod", here | {"qosClasses": [qos_class]}) == having, qos_class
    owned = {pod["metadata"]["name"] for pod in whole if pod["metadata"].get("ownerReferences")}
    assert await names("pod", here | {"hasOwner": True}) == owned
    lists = ("containers", "initContainers", "ephemeralContainers")
    images = {
        pod["metadata"]["name"]: {one["image"] for part in lists for one in pod["spec"].get(part) or ()}
        for pod in whole
    }
    for image in {image for several in images.values() for image in several}:
        having = {name for name, several in images.items() if any(image in other for other in several)}
        assert await names("pod", here | {"images": {"contains": image}}) == having, image
    words = {word for line in printed_nodes.values() for word in (line["STATUS"], *line["STATUS"].split(","))}
    assert {"SchedulingDisabled", "NotReady", "Unknown"} < words
    for word in words:
        printed = {name for name, line in printed_nodes.items() if f",{word}," in f",{line['STATUS']},"}
        assert await names("node", {"clusters": ["openmcp"], "statuses": [word]}) == printed, word


@pytest.mark.parametrize("name", list_names("Node"))
def test_a_node_reserves_what_kubectl_describes(name: str, host: Cluster, nodes: dict[str, Object]) -> None:
    said = host.kubectl("describe", "node", name)
    sums = dict(_RESERVED.findall(said.partition("Allocated resources:")[2]))
    sums["pods"] = re.findall(r"\((\d+) in total\)", said)[0]
    node, lines = nodes[name], read_described(said).values()
    # Not kubectl's own totals, which leave statuses out that its lines and the scheduler count.
    assert node["requested"] == read_amounts(sums) | {
        "cpuCores": round(math.fsum(parse_cores(line[0]) for line in lines), 9),
        "memoryBytes": sum(parse_bytes(line[2]) for line in lines),
    }
    for field, title in (("capacity", "Capacity"), ("allocatable", "Allocatable")):
        part = re.search(rf"^{title}:\n((?:  .*\n)*)", said, re.MULTILINE)
        assert node[field] == read_amounts(dict(re.findall(r"(\S+): +(\S+)", part[1] if part else "")))


@pytest.mark.parametrize("name", list_names("Node"))
def test_pods_ask_for_what_kubectl_describes(name: str, host: Cluster, pods: dict[str, Object]) -> None:
    described = read_described(host.kubectl("describe", "node", name))
    found = {pod: pods[pod]["requests"] or {} for pod in described}
    assert {pod: (each.get("cpuCores") or 0, each.get("memoryBytes") or 0) for pod, each in found.items()} == {
        pod: (parse_cores(line[0]), parse_bytes(line[2])) for pod, line in described.items()
    }


def read_amounts(said: dict[str, str]) -> Object:
    readers = {"cpu": parse_cores, "memory": parse_bytes, "ephemeral-storage": parse_bytes, "pods": parse_count}
    fields = ("cpuCores", "memoryBytes", "ephemeralStorageBytes", "pods")
    amounts = {
        field: reader(said[name]) if name in said else None
        for field, (name, reader) in zip(fields, readers.items(), strict=True)
    }
    shown = {
        field: None if (amount or 0) > MOST and field != "cpuCores" else amount for field, amount in amounts.items()
    }
    others = sorted(said.keys() - readers.keys())
    return shown | {"extended": [{"name": name, "amount": parse_count(said[name])} for name in others]}


@pytest.mark.parametrize("name", list_names("Pod"))
def test_a_pods_containers_are_those_of_all_its_lists(name: str, pods: dict[str, Object]) -> None:
    spec, status = pods[name]["manifest"]["spec"], pods[name]["manifest"]["status"]
    wanted = []
    for kind in ("initContainer", "container", "ephemeralContainer"):
        known = {entry["name"]: entry for entry in status.get(f"{kind}Statuses", [])}
        for entry in spec.get(f"{kind}s", []):
            found = known.get(entry["name"], {})
            marks = (kind == "initContainer", kind == "ephemeralContainer")
            state = next(iter(found.get("state", {})), None)
            wanted.append((entry["name"], *marks, found.get("ready", False), found.get("restartCount", 0), state))
    assert wanted == [
        (
            *(entry[field] for field in ("name", "init", "ephemeral", "ready", "restarts")),
            entry["state"] and entry["state"]["kind"],
        )
        for entry in pods[name]["containers"]
    ]


@pytest.mark.parametrize("item", OBJECTS, ids=named)
async def test_an_object_has_the_cells_of_the_api_servers_table(item: Object, host: Cluster, graph: Graph) -> None:
    wanted = {"version": item["apiVersion"], "kind": item["kind"], "name": item["metadata"]["name"]}
    wanted["namespace"] = item["metadata"].get("namespace")
    cells: Any = None
    columns: Any = None
    for _ in range(3):  # an age may pass a second between the two
        columns = (await graph.ask(RESOURCE, wanted))["resource"]["columns"]
        cells = read_table(host, path_of(host, item))
        if columns == cells:
            break
    assert columns == cells


def read_table(host: Cluster, path: str) -> list[Object]:
    status, body = host.client.read("GET", path, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    table = json.loads(body)
    assert status == 200, table
    return [
        {"name": column["name"], "type": column["type"], "priority": column["priority"], "value": value}
        for column, value in zip(table["columnDefinitions"], table["rows"][0]["cells"], strict=True)
    ]
