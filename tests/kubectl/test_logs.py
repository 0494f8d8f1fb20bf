"""The log of each container of a pod's three lists, by kubectl both ways and by the URLs of yesterday's clients."""

import ssl

import aiohttp
import pytest

from tests.kubectl.conftest import Both
from tests.kubectl.running import NAMESPACE

pytestmark = pytest.mark.real

POD = """
apiVersion: v1
kind: Pod
metadata: {name: three-lists}
spec:
  initContainers: [{name: first, image: "a:1"}, {name: beside, image: "a:1", restartPolicy: Always}]
  containers: [{name: main, image: "a:1"}]
"""


async def test_the_log_of_every_container_is_the_same_by_every_way(stage: Both) -> None:
    await stage.directly.must("create -f -", POD)
    try:
        await stage.directly.must("wait --for=condition=Ready pod/three-lists --timeout=60s")
        await stage.through.must("debug three-lists --image=a:1 --container=debugger --target=main")
        for name in ("first", "beside", "main", "debugger"):
            line = f"logs three-lists -c {name} --tail=3"
            said = await stage.directly.must(line)
            assert said
            assert await stage.through.must(line) == said
            assert await read_legacy(stage, container=name, tailLines="3") == (200, said)
        assert (await read_legacy(stage, container="nobody"))[0] == 400
    finally:
        await stage.directly.must("delete pod three-lists --force --timeout=30s")


async def read_legacy(stage: Both, **query: str) -> tuple[int, str]:
    url = f"{stage.server.url}/api/v1/namespaces/{NAMESPACE}/pods/three-lists/log"
    headers = {"Authorization": f"Bearer {stage.token}"}
    trust = ssl.create_default_context(cafile=stage.ca_file)
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(url, params={"clustername": "cluster1", **query}, ssl=trust) as answer,
    ):
        return answer.status, await answer.text()
