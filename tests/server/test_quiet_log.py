"""What is ill is told when it falls ill and when it is well again, and not in between, however often it is tried."""

import json
import re
from collections import Counter
from pathlib import Path

from demo.simulator import open_simulated_fleet
from tests.fakes.waiting import until
from tests.processes import free_port, open_server

QUERY = "{ pods(first: 3) { items { name usage { cpuCores } } clusters { name state } } }"
FLAPS = 3
NOT_COUNTED = ("server.request_log", "server.found")
"""A line a request, and what is said once at the start."""


async def test_a_dead_a_slow_and_a_flapping_member_are_told_at_each_change(tmp_path: Path) -> None:
    async with open_simulated_fleet(clusters=3, pods=10) as fleet:
        await fleet["cluster1"].faults.refuse()
        fleet["cluster2"].faults.latency = 0.3
        port = free_port()
        environment = {
            "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
            "OPENMCP_KUBECONFIG": str(fleet.kubeconfig),
            "OPENMCP_SIGNING_KEY": "a key for the tests of the log",
            "API_USER_NAME": "openmcp",
            "API_USER_PW": "keti",
            "OPENMCP_METRIC_STORE": "influxql",
            "OPENMCP_INFLUX_URL": f"http://127.0.0.1:{free_port()}",
            "OPENMCP_MEMBER_TIMEOUT": "1s",
            "OPENMCP_HEARTBEAT": "1s",
            "OPENMCP_LOG_FORMAT": "json",
            "OPENMCP_LOG_LEVEL": "info",
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(free_port()),
        }
        async with open_server("serve", environment=environment, port=port, log=tmp_path / "log") as server:

            def count() -> Counter[str]:
                read = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
                return Counter(name_kind(line) for line in read if line["logger"] not in NOT_COUNTED)

            token = await server.sign_in()
            flapping = fleet["cluster3"].faults
            for flap in range(1, FLAPS + 1):
                for change, told in ((flapping.hang, "cluster3 is ill"), (flapping.resume, "cluster3 answers again")):
                    change()

                    async def is_told(told: str = told, flap: int = flap) -> bool:
                        body = await server.ask(token, QUERY)
                        assert "data" in body
                        return count()[told] == flap

                    await until(is_told, what=f"{told} for the {flap}. time", every=0.1)
        assert count() == {
            "joined": 4,
            "listening": 1,
            "cluster1 is ill": 1,
            "cluster3 is ill": FLAPS,
            "cluster3 answers again": FLAPS,
            "usage and history are missing": 1,
        }


def name_kind(line: dict[str, str]) -> str:
    """What a line is about; the whole of it where nobody expects it."""
    known = r"joined|listening|cluster\d is ill|cluster\d answers again|usage and history are missing"
    found = re.search(known, line["message"])
    return found[0] if found else f"{line['logger']}: {line['message']}"
