"""kubectl takes a simulated cluster for a real one."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from demo.simulator import Certificate, SimulatedFleet, open_simulated_fleet
from demo.simulator.population import DOCUMENTED_POD
from realfleet.cache import find_binaries
from realfleet.pki import build_cluster_files
from tests.fakes.waiting import PATIENCE

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
async def secure_fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SimulatedFleet]:
    """A fleet of one member that speaks HTTPS, since kubectl sends no token without it."""
    files = build_cluster_files(tmp_path_factory.mktemp("pki"), "simulated")
    certificate = Certificate(files.serving_certificate, files.serving_key, files.ca_pem)
    async with open_simulated_fleet(clusters=1, pods=20, certificate=certificate) as fleet:
        yield fleet


async def kubectl(fleet: SimulatedFleet, *arguments: str, stdin: str = "") -> str:
    """What kubectl prints about the member."""
    process = await asyncio.create_subprocess_exec(
        find_binaries().kubectl,
        *(f"--kubeconfig={fleet.kubeconfig}", f"--cache-dir={fleet.kubeconfig.parent}", "--context=cluster1"),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(stdin.encode()), PATIENCE)
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_get_lists_pods_and_nodes(secure_fleet: SimulatedFleet) -> None:
    pods = await kubectl(secure_fleet, "get", "pods", "--all-namespaces", "--chunk-size=7", "--no-headers")
    nodes = await kubectl(
        secure_fleet, "get", "no,ns,deploy,rs,svc,cm,secrets,events", "--all-namespaces", "-o", "name"
    )

    assert len(pods.splitlines()) == 20
    assert {"node/kube1-worker1", "namespace/shop", "deployment.apps/nginx-deployment"} <= set(nodes.split())


async def test_describe_knows_a_pod_its_node_and_its_owner(secure_fleet: SimulatedFleet) -> None:
    text = await kubectl(secure_fleet, "describe", "pod", "-n", "default", DOCUMENTED_POD)

    for part in (
        "kube1-worker1/10.1.0.10",
        "ReplicaSet/nginx-deployment-55fbd9fd6d",
        "Running",
        "Started container nginx",
    ):
        assert part in text


async def test_objects_are_created_patched_and_deleted(secure_fleet: SimulatedFleet) -> None:
    manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made}\ndata: {key: one}\n"
    created = await kubectl(secure_fleet, "create", "--validate=false", "-f", "-", stdin=manifest)
    await kubectl(secure_fleet, "patch", "configmap", "made", "-p", '{"data": {"key": "two"}}')
    stored = json.loads(await kubectl(secure_fleet, "get", "configmap", "made", "-o", "json"))
    deleted = await kubectl(secure_fleet, "delete", "configmap", "made")

    assert stored["data"] == {"key": "two"}
    assert ("created" in created, "deleted" in deleted) == (True, True)


async def test_wait_follows_a_watch_to_its_end(secure_fleet: SimulatedFleet) -> None:
    text = await kubectl(secure_fleet, "wait", "-n", "default", "--for=condition=Ready", f"pod/{DOCUMENTED_POD}")

    assert "condition met" in text


def test_the_kubeconfig_is_its_owner_s_alone(secure_fleet: SimulatedFleet) -> None:
    assert Path(secure_fleet.kubeconfig).stat().st_mode & 0o777 == 0o600


async def test_logs_are_shown(secure_fleet: SimulatedFleet) -> None:
    lines = (await kubectl(secure_fleet, "logs", DOCUMENTED_POD, "--tail=3", "--timestamps")).splitlines()
    followed = await kubectl(secure_fleet, "logs", DOCUMENTED_POD, "-f", "--tail=1", "--limit-bytes=120")

    assert len(lines) == 3
    assert lines == sorted(lines)
    assert len(followed) == 120
