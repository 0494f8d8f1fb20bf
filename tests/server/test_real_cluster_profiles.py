"""`serve` and `check` with ClusterProfiles, set up as `docs/how-to/cluster-sources.md` says."""

import asyncio
import base64
import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from realfleet.hub import open_hub
from realfleet.kubeconfig import Access, build_kubeconfig, write_private
from realfleet.workloads import NAMESPACES_PATH, build_namespace
from tests import credentials
from tests.fakes.waiting import until
from tests.fleet.kubernetes.sources.hub import Stage, build_stage
from tests.kubectl.conftest import Secured, open_secured
from tests.kubectl.running import Kubectl
from tests.processes import COMMAND, free_port

pytestmark = pytest.mark.real

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "cluster-sources.md"
ACCOUNT = f"{NAMESPACES_PATH}/openmcp/serviceaccounts"
CLUSTERS = "{ clusters { name role health message region labels { key value } namespaces { name } } }"


@dataclass(frozen=True)
class Manual:
    """The code blocks of the page's section."""

    commands: str
    manifest: dict[str, Any]
    providers: dict[str, Any]


@pytest.fixture(scope="module")
def manual() -> Manual:
    section = PAGE.read_text().partition("## clusterprofile\n")[2].partition("\n## ")[0]
    commands, manifest, providers = re.findall(r"^```\w+\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return Manual(commands, yaml.safe_load(manifest), json.loads(providers))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, manual: Manual) -> Iterator[Stage]:
    """The hub as the page has it set up: rights for the service account, the providers file with our plugin."""
    folder = tmp_path_factory.mktemp("hub")
    with open_hub() as hub:
        stage = build_stage(hub, folder)
        hub.api.client.create(NAMESPACES_PATH, build_namespace("openmcp"))
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "openmcp-apiserver"}}
        hub.api.client.create(ACCOUNT, account)
        for line in manual.commands.splitlines():
            if line.startswith("kubectl "):
                program = [str(hub.binaries.kubectl), f"--kubeconfig={hub.kubeconfig}"]
                subprocess.run([*program, *line.split()[1:]], check=True, timeout=60)
        (provider,) = manual.providers["providers"]
        provider["execConfig"]["command"] = str(folder / "plugin")
        stage.providers_file.write_text(json.dumps(manual.providers))
        apply_manual(stage, manual)
        yield stage


def apply_manual(stage: Stage, manual: Manual) -> None:
    """The page's profile, but for the place of the cluster."""
    (provider,) = manual.manifest["status"]["accessProviders"]
    provider["cluster"]["server"] = stage.hub.member.url
    authority = base64.b64encode(stage.hub.member.files.ca_pem).decode()
    provider["cluster"]["certificate-authority-data"] = authority
    head = manual.manifest["metadata"]
    stage.rotate(head["name"])
    path = f"/apis/multicluster.x-k8s.io/v1alpha1/namespaces/{head['namespace']}/clusterprofiles"
    stage.hub.api.client.create(path, manual.manifest)
    stage.hub.api.client.merge(f"{path}/{head['name']}/status", {"status": manual.manifest["status"]})


@pytest.fixture(scope="module")
def environment(stage: Stage, manual: Manual) -> dict[str, str]:
    """The page's settings, and the way to the hub as the service account."""
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
    hub = stage.hub.api
    token = hub.client.create(f"{ACCOUNT}/openmcp-apiserver/token", asked)["status"]["token"]
    credentials.note(token, "the server's token in the hub")
    kubeconfig = write_private(
        stage.folder / "server.yaml", build_kubeconfig([Access("hub", hub.url, hub.files.ca_pem, token)])
    )
    settings = dict(re.findall(r"(OPENMCP_\w+)=(\S+)", manual.commands))
    return settings | {
        "OPENMCP_PROFILE_PROVIDERS_FILE": str(stage.providers_file),
        "OPENMCP_KUBECONFIG": str(kubeconfig),
        "OPENMCP_EMBEDDED_FILE": str(stage.folder / "usage.sqlite"),
        "OPENMCP_SIGNING_KEY": "a key for the tests of profiles, long enough",
        "API_USER_NAME": "openmcp",
        "API_USER_PW": "keti",
    }


@pytest.fixture(scope="module")
async def served(environment: Mapping[str, str], stage: Stage) -> AsyncIterator[Secured]:
    async with open_secured(environment, stage.folder) as secured:
        yield secured


async def list_clusters(served: Secured) -> dict[str, dict[str, Any]]:
    answer: Any = await served.plain.ask(served.token, CLUSTERS)
    assert "errors" not in answer, answer
    return {cluster["name"]: cluster for cluster in answer["data"]["clusters"]}


async def test_what_the_page_says_gives_a_cluster(served: Secured, stage: Stage) -> None:
    async def is_served() -> bool:
        return bool((await list_clusters(served))["cluster1"]["health"] == "READY")

    await until(is_served)
    (cluster,) = (await list_clusters(served)).values()
    assert (cluster["role"], cluster["region"], cluster["message"]) == ("MEMBER", "eu", None)
    labels = {label["key"]: label["value"] for label in cluster["labels"]}
    assert labels == {
        "env": "prod",
        "topology.kubernetes.io/region": "eu",
        "x-k8s.io/cluster-manager": "open-cluster-management",
    }
    assert "kube-system" in {namespace["name"] for namespace in cluster["namespaces"]}
    kubeconfig = served.write_kubeconfig(stage.folder / "through.yaml", ["cluster1"])
    through = Kubectl(stage.hub.binaries.kubectl, kubeconfig, stage.folder / "through")
    assert "namespace/kube-system" in await through.must("get namespaces -o name")


async def test_a_cluster_joins_and_goes_while_it_serves(served: Secured, stage: Stage) -> None:
    async def shows(name: str, *, is_there: bool) -> bool:
        found = (await list_clusters(served)).get(name)
        return (found is not None and found["health"] == "READY") if is_there else found is None

    access = stage.access("cluster1", **{"tls-server-name": "localhost"})
    stage.put_profile("joins", {"accessProviders": [{**access, "name": "open-cluster-management"}]})
    await until(lambda: shows("joins", is_there=True))
    stage.delete_profile("joins")
    await until(lambda: shows("joins", is_there=False))


async def check(environment: Mapping[str, str], **changes: str) -> dict[str, str]:
    """Its rows, by what they are about."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "check",
        env={**environment, "OPENMCP_PORT": str(free_port()), "OPENMCP_OPS_PORT": str(free_port()), **changes},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    rows = (re.split(r"  +", line, maxsplit=1) for line in output.decode().splitlines())
    return {row[0]: row[1] for row in rows}


async def test_check_says_what_is_wrong(environment: Mapping[str, str], stage: Stage) -> None:
    stage.put_profile("bad")
    rows = await check(environment)
    assert rows["clusters by clusterprofile"] == "ok   2 found"
    assert rows["member cluster1"].startswith("ok   Kubernetes v1.")
    assert rows["member bad"].startswith("ILL  ClusterProfile fleet/bad: status.accessProviders is empty")
    elsewhere = await check(environment, OPENMCP_PROFILE_NAMESPACE="other")
    assert "ILL  none found, cluster hub answered 403 to " in elsewhere["clusters by clusterprofile"]
    missing = await check(environment, OPENMCP_PROFILE_PROVIDERS_FILE=str(stage.folder / "missing"))
    words = f"the providers file {stage.folder / 'missing'} can't be read: No such file or directory"
    assert missing["clusters by clusterprofile"] == f"ILL  2 found, {words}"
    assert missing["member cluster1"] == f"ILL  ClusterProfile fleet/cluster1: {words}"
    stage.delete_profile("bad")
