"""The cluster that this runs in, reached as from a pod: a real API server and a real service account's files."""

from pathlib import Path

import pytest

from fleet.aio.detached import Detached
from fleet.kubernetes.connection import HttpConnection
from fleet.kubernetes.sources.host import HostAccess, load_host, load_host_access
from fleet.ports import Call
from realfleet.fleet import Fleet
from server.settings.environment import load_settings

pytestmark = pytest.mark.real


@pytest.fixture
def account(real_fleet: Fleet, tmp_path: Path) -> Path:
    """What a kubelet mounts into every pod."""
    member = real_fleet.cluster("cluster1")
    (tmp_path / "ca.crt").write_bytes(member.ca_pem)
    token = member.kubectl("create", "token", "default", "--namespace=default")
    (tmp_path / "token").write_text(token.strip())
    return tmp_path


async def test_a_pods_variables_lead_to_the_api_server(real_fleet: Fleet, account: Path) -> None:
    address, _, port = real_fleet.cluster("cluster1").url.removeprefix("https://").partition(":")
    clusters = load_settings({"KUBERNETES_SERVICE_HOST": address, "KUBERNETES_SERVICE_PORT": port}).clusters
    assert (clusters.cluster_source, clusters.kubeconfig) == (("kubefed",), ())
    assert clusters.own_cluster_url is not None
    access = await load_host_access(HostAccess(endpoint=clusters.own_cluster_url, service_account=account), Detached())
    reachable = await load_host("openmcp", access, 5)
    connection = HttpConnection("openmcp", reachable.target)
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    body = b'{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'
    try:
        headers = ((b"content-type", b"application/json"),)
        answer = await connection.request(Call("POST", path, 10, headers=headers, body=body))
    finally:
        await connection.close()
    assert (answer.status, b"system:serviceaccount:default:default" in answer.body) == (201, True)
