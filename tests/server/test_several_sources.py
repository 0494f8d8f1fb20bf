"""KubeFed's members, and contexts of a kubeconfig, by which the same clusters have other names and users."""

import json
from pathlib import Path
from typing import Any

from demo.simulator import open_simulated_fleet
from tests.processes import free_port, open_server

QUERY = """{ clusters { name role health podCounts(by: CLUSTER) { count } }
             mine: pod(cluster: "my-cluster1", namespace: "none", name: "none") { name }
             pods { totalCount } }"""


async def test_pods_of_a_cluster_in_two_sources_are_counted_once_and_found_by_both_names(tmp_path: Path) -> None:
    async with open_simulated_fleet(clusters=2, pods=10) as fleet:
        document = json.loads(fleet.kubeconfig.read_bytes())
        for entry in document["contexts"]:
            if entry["name"] != "openmcp":
                entry["name"] = f"my-{entry['name']}"
        (tmp_path / "config").write_text(json.dumps(document))
        port = free_port()
        environment = {
            "OPENMCP_CLUSTER_SOURCE": "kubefed,kubeconfig",
            "OPENMCP_HOST_CONTEXT": "openmcp",
            "OPENMCP_KUBECONFIG": str(tmp_path / "config"),
            "OPENMCP_EMBEDDED_FILE": str(tmp_path / "usage.sqlite"),
            "API_USER_NAME": "openmcp",
            "API_USER_PW": "keti",
            "OPENMCP_SIGNING_KEY": "a key for the tests of several sources",
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(free_port()),
        }
        async with open_server("serve", environment=environment, port=port, log=tmp_path / "log") as server:
            body: Any = await server.ask(await server.sign_in(), QUERY)
    shown = {cluster["name"]: cluster for cluster in body["data"]["clusters"]}
    assert {name: (found["role"], found["health"]) for name, found in shown.items()} == {
        "openmcp": ("HOST", "READY"),
        "cluster1": ("MEMBER", "READY"),
        "cluster2": ("MEMBER", "READY"),
    }
    counted = {name: sum(count["count"] for count in found["podCounts"]) for name, found in shown.items()}
    assert (counted["cluster1"], counted["cluster2"]) == (10, 10)
    assert body["data"]["pods"]["totalCount"] == sum(counted.values())
    assert (body["data"]["mine"], "errors" in body) == (None, False)
