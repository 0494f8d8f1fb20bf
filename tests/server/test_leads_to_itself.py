"""A cluster whose server is this server: a mistake in a kubeconfig, or somebody's wish to see it busy with itself."""

import json
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from demo.simulator import open_simulated_fleet
from tests.fakes.waiting import until
from tests.processes import free_port, open_server


async def test_it_is_ill_and_asked_once_a_question(tmp_path: Path) -> None:
    port, config, log = free_port(), tmp_path / "config", tmp_path / "log"
    async with open_simulated_fleet(clusters=1, pods=10) as fleet:
        document = json.loads(fleet.kubeconfig.read_bytes())
        config.write_text(json.dumps(document))
        environment = {
            "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
            "OPENMCP_KUBECONFIG": str(config),
            "OPENMCP_EMBEDDED_FILE": str(tmp_path / "usage.sqlite"),
            "API_USER_NAME": "openmcp",
            "API_USER_PW": "keti",
            "OPENMCP_SIGNING_KEY": "a key for the tests of what leads to itself",
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(free_port()),
        }
        async with open_server("serve", environment=environment, port=port, log=log) as server:
            mine = await server.sign_in()
            place = {"server": f"http://127.0.0.1:{port}/clusters/self"}
            document["clusters"].append({"name": "self", "cluster": place})
            document["users"].append({"name": "self", "user": {"token": mine}})
            document["contexts"].append({"name": "self", "context": {"cluster": "self", "user": "self"}})
            config.write_text(json.dumps(document))

            async def is_ill() -> bool:
                body: Any = await server.ask(mine, "{ clusters { name health } }")
                return {"name": "self", "health": "NOT_READY"} in body["data"]["clusters"]

            await until(is_ill, every=0.2)
            async with ClientSession(headers={"Authorization": f"Bearer {mine}"}) as session:
                answer = await session.get(f"{place['server']}/api/v1/pods")
                assert answer.status == 503
                assert "cluster self leads to this server itself" in await answer.text()
        assert " 429 " not in log.read_text()  # none of a user's calls were taken by another of them
