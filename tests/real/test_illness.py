"""A member can be made ill and is well again afterwards; nothing outlives a fleet."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from realfleet.client import KubeClient, KubeError
from realfleet.fleet import Fleet

pytestmark = pytest.mark.real

_START_TIMEOUT = 180
_STOP_TIMEOUT = 30

_OPEN_AND_WAIT = """
import json, threading
from realfleet.fleet import open_fleet
with open_fleet(members=1, pods=5, nodes=1) as fleet:
    print(json.dumps({"pids": fleet.servers.pids, "folder": str(fleet.servers.folder)}), flush=True)
    threading.Event().wait()
"""


def test_a_paused_member_takes_connections_and_answers_nothing(real_fleet: Fleet) -> None:
    member = real_fleet.cluster("cluster2")
    impatient = KubeClient(member.url, member.ca_file, member.token, timeout=0.5)
    with member.paused(), pytest.raises(KubeError, match="timed out"):
        impatient.get("/api")
    assert impatient.is_ready()


def test_a_stopped_member_refuses_and_comes_back_with_its_data(real_fleet: Fleet) -> None:
    member = real_fleet.cluster("cluster2")
    before = {pod["metadata"]["uid"] for pod in member.list_pods()}
    with member.stopped(), pytest.raises(KubeError, match="refused"):
        member.client.get("/api")
    assert {pod["metadata"]["uid"] for pod in member.list_pods()} == before


def test_deleted_pods_are_replaced(real_fleet: Fleet) -> None:
    member = real_fleet.cluster("cluster2")
    member.kubectl("delete", "pods", "--namespace=shop", "--selector=app=cart", "--wait=false")
    member.wait_whole()
    assert member.kubectl("get", "pods", "--namespace=shop", "--selector=app=cart", "--output=name").count("pod/") == 9


def test_nodes_renew_their_leases_and_so_stay_ready(real_fleet: Fleet) -> None:
    member = real_fleet.cluster("cluster1")
    leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"

    def renewed() -> dict[str, str]:
        return {lease["metadata"]["name"]: lease["spec"]["renewTime"] for lease in member.client.get(leases)["items"]}

    real_fleet.servers.wait_until(lambda: len(renewed()) == 3, "each node has a lease", 60)
    before = renewed()
    real_fleet.servers.wait_until(lambda: all(renewed()[name] > before[name] for name in before), "renewed", 60)


def test_no_server_outlives_a_killed_fleet(tmp_path: Path) -> None:
    with _started([sys.executable, "-c", _OPEN_AND_WAIT], tmp_path) as process:
        running = json.loads(_wait_for_line(process, tmp_path, "{"))
        assert len(running["pids"]) == 7
        assert all(map(_is_alive, running["pids"]))

    _wait_until(lambda: not any(map(_is_alive, running["pids"])), _STOP_TIMEOUT)
    _wait_until(lambda: not Path(running["folder"]).exists(), _STOP_TIMEOUT)


def test_the_command_hands_over_a_fleet_and_clears_up_on_interrupt(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "realfleet", "up", "--members", "1", "--pods", "5", "--nodes", "1"]
    with _started(command, tmp_path) as process:
        assert _wait_for_line(process, tmp_path, "ready") == "ready"
        exports = (tmp_path / ".fleet/env").read_text().splitlines()
        assert f"export OPENMCP_KUBECONFIG='{tmp_path}/.fleet/kubeconfig'" in exports
        assert "name: cluster1" in (tmp_path / ".fleet/kubeconfig").read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait(_STOP_TIMEOUT) == 0
    assert list((tmp_path / ".fleet").iterdir()) == []


@contextmanager
def _started(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the folder, its output in a file there; killed outright when left, if it still runs."""
    clone = str(Path(__file__).parents[2])
    with (
        (folder / "output").open("wb") as output,
        subprocess.Popen(command, stdout=output, cwd=folder, env=os.environ | {"PYTHONPATH": clone}) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _wait_for_line(process: subprocess.Popen[bytes], folder: Path, start: str) -> str:
    """The first whole line of a process's output that starts so."""

    def list_lines() -> list[str]:
        whole = (folder / "output").read_text().rpartition("\n")[0].splitlines()
        return [line for line in whole if line.startswith(start)]

    _wait_until(lambda: bool(list_lines()) or process.poll() is not None, _START_TIMEOUT)
    return list_lines()[0]


def _wait_until(condition: Callable[[], bool], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    """Whether it runs; one that is dead and only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
