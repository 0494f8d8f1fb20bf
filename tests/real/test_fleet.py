"""What a fleet runs, holds and measures."""

import re
from collections import Counter

import pytest

from realfleet.client import KubeClient, KubeError
from realfleet.fleet import Fleet
from realfleet.influx import InfluxError
from realfleet.membership import KUBEFED_PATH, OPENMCP_PATH, SECRETS_PATH, secret_name

pytestmark = pytest.mark.real

_FIELDS = (
    "CPUUsageNanoCores",
    "FsAvailableBytes",
    "FsCapacityBytes",
    "FsUsedBytes",
    "MemoryAvailableBytes",
    "MemoryUsageBytes",
    "MemoryWorkingSetBytes",
    "NetworkLatency",
    "NetworkRxBytes",
    "NetworkTxBytes",
)
_MEMBERS = ("cluster1", "cluster2")


@pytest.mark.parametrize("name", _MEMBERS)
def test_a_member_runs_the_pods_its_deployments_ask_for(real_fleet: Fleet, name: str) -> None:
    member = real_fleet.cluster(name)
    deployments = member.client.get("/apis/apps/v1/deployments")["items"]
    asked = {item["metadata"]["labels"]["app"]: item["spec"]["replicas"] for item in deployments}

    pods = [pod for pod in member.list_pods() if pod["status"]["phase"] == "Running"]

    assert Counter(pod["metadata"]["labels"]["app"] for pod in pods) == asked
    assert sum(asked.values()) == 60
    assert all(pod["status"]["podIP"] for pod in pods)
    assert {pod["spec"]["nodeName"] for pod in pods} == {f"kube{name[-1]}-worker{number}" for number in (1, 2, 3)}


@pytest.mark.parametrize("name", _MEMBERS)
def test_the_host_holds_what_the_platform_knows_of_a_member(real_fleet: Fleet, name: str) -> None:
    host, member = real_fleet.host.client, real_fleet.cluster(name)

    federated = host.get(f"{KUBEFED_PATH}/{name}")
    joined = host.get(f"{OPENMCP_PATH}/{name}")
    secret = host.get(f"{SECRETS_PATH}/{secret_name(name)}")

    assert federated["spec"]["apiEndpoint"] == member.url
    assert [(c["type"], c["status"], c["reason"]) for c in federated["status"]["conditions"]] == [
        ("Ready", "True", "ClusterReady")
    ]
    assert joined["spec"]["joinStatus"] == "JOIN"
    assert joined["spec"]["nodeInfo"]["region"] == federated["status"]["region"]
    assert set(secret["data"]) == {"token"}


def test_the_host_is_no_member_of_its_own(real_fleet: Fleet) -> None:
    names = [item["metadata"]["name"] for item in real_fleet.host.client.get(KUBEFED_PATH)["items"]]
    assert sorted(names) == list(_MEMBERS)
    assert real_fleet.host.list_pods() == []


def test_each_api_server_has_an_authority_and_tokens_of_its_own(real_fleet: Fleet) -> None:
    first, second = real_fleet.members
    with pytest.raises(KubeError, match="certificate verify failed"):
        KubeClient(first.url, second.ca_file, first.token).get("/api")
    with pytest.raises(KubeError) as refused:
        KubeClient(first.url, first.ca_file, second.token).get("/api")
    assert refused.value.status == 401


@pytest.mark.parametrize(("token", "namespaced", "nodes"), [("viewer", 200, 403), ("stranger", 403, 403)])
def test_lesser_tokens_may_do_less(real_fleet: Fleet, token: str, namespaced: int, nodes: int) -> None:
    member = real_fleet.cluster("cluster1")
    client = KubeClient(member.url, member.ca_file, getattr(member.api.tokens, token))
    assert client.read("GET", "/api/v1/pods")[0] == namespaced
    assert client.read("GET", "/api/v1/nodes")[0] == nodes


@pytest.mark.parametrize("name", _MEMBERS)
def test_metrics_are_those_of_the_pods_that_run(real_fleet: Fleet, name: str) -> None:
    running = {(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in real_fleet.cluster(name).list_pods()}

    series = real_fleet.influx.query(
        'SELECT "CPUUsageNanoCores" FROM "Pods" WHERE "cluster" = $cluster GROUP BY "namespace", "pod"', cluster=name
    )

    assert {(entry["tags"]["namespace"], entry["tags"]["pod"]) for entry in series} >= running
    spans = [entry["values"][-1][0] - entry["values"][0][0] for entry in series]
    # Other tests delete pods: those that took their place have only just begun.
    assert max(spans) > 3500 * 10**9, "the past hour is there"


def test_metric_fields_are_text(real_fleet: Fleet) -> None:
    kinds = {entry["name"]: entry["values"] for entry in real_fleet.influx.query("SHOW FIELD KEYS")}
    text = [[field, "string"] for field in _FIELDS]
    assert kinds == {"Pods": text, "Nodes": text}


def test_metric_values_are_canonical_quantities(real_fleet: Fleet) -> None:
    newest = real_fleet.influx.query('SELECT * FROM "Pods", "Nodes" WHERE time > now() - 20s')
    rows = [dict(zip(entry["columns"], row, strict=True)) for entry in newest for row in entry["values"]]

    assert {entry["name"] for entry in newest} == {"Pods", "Nodes"}
    for values in rows:
        assert re.fullmatch(r"0|[1-9]\d*[num]?", values["CPUUsageNanoCores"])
        assert not re.search(r"000[num]$", values["CPUUsageNanoCores"])
        assert all(re.fullmatch(r"0|[1-9]\d*([KMGT]i)?", values[field]) for field in _FIELDS[1:7])
        assert re.fullmatch(r"\d\.\d{6}", values["NetworkLatency"])
        assert values["NetworkRxBytes"].isdigit()


def test_one_delivery_has_one_time(real_fleet: Fleet) -> None:
    influx = real_fleet.influx
    (nodes,) = influx.query('SELECT "NetworkLatency" FROM "Nodes" WHERE "node" = $node', node="kube1-worker1")
    newest = nodes["values"][-1][0]
    around = influx.query(
        'SELECT "NetworkLatency" FROM "Pods", "Nodes" WHERE "cluster" = $cluster AND time > $after AND time < $before',
        cluster="cluster1",
        after=newest - 10**9,
        before=newest + 10**9,
    )
    assert {row[0] for entry in around for row in entry["values"]} == {newest}
    delivered = {entry["name"]: len(entry["values"]) for entry in around}
    # Other tests may have pods of their own beside the sixty that are always there.
    assert delivered["Nodes"] == 3
    assert delivered["Pods"] >= 60


def test_influxdb_answers_nobody_without_a_password(real_fleet: Fleet) -> None:
    statement = 'SELECT * FROM "Pods" LIMIT 1'
    for username, password in (("", ""), ("root", "root")):
        with pytest.raises(InfluxError) as refused:
            real_fleet.influx.query_as(statement, username, password)
        assert refused.value.status == 401


def test_pods_have_logs_and_a_shell(real_fleet: Fleet) -> None:
    target = "deployment/nginx-deployment"
    assert "cluster1 request 200 answered\n" in real_fleet.kubectl(
        "cluster1", "logs", target
    )  # others may have added lines
    assert real_fleet.kubectl("cluster1", "exec", target, "--", "echo", "hello") == "hello\n"


def test_the_environment_has_all_the_server_needs(real_fleet: Fleet) -> None:
    environment = real_fleet.environment()
    assert environment["OPENMCP_CLUSTER_SOURCE"] == "kubefed"
    assert environment["OPENMCP_HOST_CONTEXT"] == "openmcp"
    assert len(environment["OPENMCP_SIGNING_KEY"]) >= 32
    assert environment["OPENMCP_INFLUX_PASSWORD"] == real_fleet.influx.password
    assert "'" not in "".join(environment.values())
