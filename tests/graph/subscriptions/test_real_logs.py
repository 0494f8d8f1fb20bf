"""The log of each container of a real pod is what kubectl reads, whichever of the pod's three lists it stands in."""

import asyncio
from collections.abc import Iterator

import pytest

from fleet.federation import Federation
from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.model.kinds import PODS
from fleet.model.objects import PodKey
from fleet.model.visibility import Role, Scope
from fleet.objects.details import pod_details
from fleet.objects.logs import LogRequest, check_log, follow_log
from fleet.registry import FleetOptions, open_federation
from realfleet.fleet import Fleet
from tests.fakes.waiting import until

pytestmark = pytest.mark.real

PATH = "/api/v1/namespaces/default/pods"
KEY = PodKey("cluster1", "default", "three-lists")
CONTAINERS = {
    "initContainers": [{"name": "first", "image": "a"}, {"name": "beside", "image": "a", "restartPolicy": "Always"}],
    "containers": [{"name": "main", "image": "a"}],
}
ADDED = [{"name": "debugger", "image": "a", "targetContainerName": "main"}]
EVERYTHING = Scope(Role.ADMIN)


@pytest.fixture
def debugged(real_fleet: Fleet) -> Iterator[Fleet]:
    """A pod on a node of cluster1 with init containers, a container and one that was added to it."""
    client = real_fleet.cluster("cluster1").client
    spec = {"nodeName": "kube1-worker1", **CONTAINERS}
    client.create(PATH, {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": KEY.name}, "spec": spec})
    try:
        real_fleet.kubectl("cluster1", "wait", "--for=condition=Ready", f"pod/{KEY.name}", "--timeout=60s")
        client.merge(f"{PATH}/{KEY.name}/ephemeralcontainers", {"spec": {"ephemeralContainers": ADDED}})
        yield real_fleet
    finally:
        real_fleet.kubectl("cluster1", "delete", "pod", KEY.name, "--force", "--timeout=60s")


async def read_log(federation: Federation, container: str | None) -> list[str]:
    wanted = LogRequest(KEY, container, tail_lines=3, follow=False)
    checked = check_log(federation, EVERYTHING, lambda *_: None, wanted)
    return [line.text async for line in follow_log(federation, EVERYTHING, checked)]


async def test_the_log_of_every_container_is_the_one_that_kubectl_reads(debugged: Fleet) -> None:
    async with (
        open_kubeconfig_source((debugged.kubeconfig,)) as source,
        open_federation(source, FleetOptions(member_timeout=4.0)) as federation,
    ):
        await federation.wait_synced(20)
        await until(lambda: federation.get_cached(PODS, EVERYTHING, KEY) is not None)
        pod = federation.get_cached(PODS, EVERYTHING, KEY)
        assert pod is not None
        names = [container.name for container in pod_details(pod).containers]
        assert names == ["first", "beside", "main", "debugger"]
        for name in (*names, None):
            line = ["logs", KEY.name, "--tail=3", *(["-c", name] if name else [])]
            said = await asyncio.to_thread(debugged.kubectl, "cluster1", *line)
            assert await read_log(federation, name) == said.splitlines()
