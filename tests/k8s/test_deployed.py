"""The server runs by what is deployed: its environment, Secrets, account, volumes and a root that can't be written."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from checks.manifests import K8S, render_chart
from realfleet.cluster import Cluster
from realfleet.crds import CRDS_PATH, PROMETHEUS_RULE, SERVICE_MONITOR, install_crds
from realfleet.fleet import Fleet
from realfleet.metric_server import MetricServer
from tests.fakes.deployed import Deployed, open_deployed
from tests.k8s.rendering import find, overlay

pytestmark = pytest.mark.real
CLUSTERS = "{ clusters { name health } }"
WHO = {
    "OPENMCP_SIGNING_KEY": "0123456789abcdef0123456789abcdef",
    "API_USER_NAME": "admin",
    "API_USER_PW": "deployed-pw",
}


@pytest.fixture(scope="module")
def member(real_fleet: Fleet) -> Iterator[Cluster]:
    """With our namespace, which a host has."""
    member = real_fleet.members[0]
    member.kubectl("apply", "--server-side", "-k", str(K8S / "namespace"))
    try:
        yield member
    finally:
        member.kubectl("delete", "namespace", "openmcp")


@contextmanager
def applied(cluster: Cluster, name: str, **secrets: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The overlay's Deployment, where the overlay and its Secrets are."""
    objects = overlay(name)
    for secret, data in secrets.items():
        metadata = {"name": f"openmcp-apiserver-{secret}", "namespace": "openmcp"}
        objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
    manifests = yaml.safe_dump_all(objects)
    cluster.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=manifests)
    try:
        yield find(objects, "Deployment")
    finally:
        cluster.kubectl("delete", "--wait=false", "-f", "-", stdin=manifests)


async def ask(deployed: Deployed, query: str) -> dict[str, Any]:
    """The answer to the administrator of the environment, without a look at the certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    who = {"username": deployed.environment["API_USER_NAME"], "password": deployed.environment["API_USER_PW"]}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        async with session.post(f"{deployed.api}/token", json=who) as answer:
            token = (await answer.json())["token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with session.post(f"{deployed.api}/graphql", json={"query": query}, headers=headers) as answer:
            body: dict[str, Any] = await answer.json()
    assert "errors" not in body, body
    data: dict[str, Any] = body["data"]
    return data


def read_only_places(deployed: Deployed) -> set[str]:
    """Where the program may write nothing, of the file systems that it has."""
    mounts = [line.split() for line in Path(f"/proc/{deployed.ops.pid}/mounts").read_text().splitlines()]
    return {place for _, place, _, options, *_ in mounts if "ro" in options.split(",")}


async def test_in_a_host_by_its_account_and_a_certificate(real_fleet: Fleet, tmp_path: Path) -> None:
    host, influx = real_fleet.host, real_fleet.influx
    told = {"OPENMCP_INFLUX_URL": influx.url, "INFLUX_USERNAME": influx.username, "INFLUX_PASSWORD": influx.password}
    tls = {"tls.crt": host.api.files.serving_certificate.read_text(), "tls.key": host.api.files.serving_key.read_text()}
    with applied(host, "host", config=WHO | told, tls=tls) as deployment:
        async with open_deployed(host, deployment, tmp_path) as deployed:
            shown = await ask(deployed, CLUSTERS)
            usage = await ask(deployed, '{ cluster(name: "cluster1") { usage { cpuCores } } }')
    assert deployed.api.startswith("https:")
    health = {each["name"]: each["health"] for each in shown["clusters"]}
    assert {name for name, said in health.items() if said == "READY"} == {"openmcp", "cluster1", "cluster2"}
    assert usage["cluster"]["usage"]["cpuCores"] > 0


async def test_alone_by_a_kubeconfig_and_a_root_that_cant_be_written(
    real_fleet: Fleet, member: Cluster, tmp_path: Path
) -> None:
    kubeconfig, users = {"config": real_fleet.kubeconfig.read_text()}, {"users.yaml": "[{name: alice, role: view}]"}
    further = "persistence.enabled=true,usersSecret=openmcp-apiserver-users"
    deployment = find(render_chart("standalone", "--set", further), "Deployment")
    with applied(member, "standalone", config=WHO, kubeconfig=kubeconfig, users=users):
        async with open_deployed(member, deployment, tmp_path) as deployed:
            shown = await ask(deployed, CLUSTERS)
            written = read_only_places(deployed)
    assert {each["name"] for each in shown["clusters"]} == {"openmcp", "cluster1", "cluster2"}
    assert {"/", "/etc", "/etc/openmcp-apiserver/kubeconfig"} <= written
    assert "/tmp" not in written
    assert (tmp_path / "volumes/var/lib/openmcp-apiserver/usage.sqlite").is_file()


async def test_in_a_cluster_by_its_account_and_prometheus(
    member: Cluster, real_prometheus: MetricServer, tmp_path: Path
) -> None:
    install_crds(member.servers, member.client, (SERVICE_MONITOR, PROMETHEUS_RULE))
    try:
        with applied(member, "prometheus", config=WHO) as deployment:
            here = {"OPENMCP_PROMETHEUS_URL": real_prometheus.url}
            async with open_deployed(member, deployment, tmp_path, **here) as deployed:
                shown = await ask(deployed, CLUSTERS)
    finally:
        for crd in (SERVICE_MONITOR, PROMETHEUS_RULE):
            member.client.delete(f"{CRDS_PATH}/{crd['metadata']['name']}")
    assert shown["clusters"] == [{"name": "here", "health": "READY"}]
