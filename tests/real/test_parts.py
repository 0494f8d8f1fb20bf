"""The fleet's parts that need no server."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from realfleet import build, ports
from realfleet.cache import build_folder, cache_root, list_missing
from realfleet.ports import list_free_ports
from realfleet.processes import NotReadyError, ServerDiedError, open_servers
from realfleet.quantities import format_bytes, format_nanocores, parse_bytes
from realfleet.usage import pod_amounts
from realfleet.workloads import share_replicas

_MIB = 1024**2


@pytest.mark.parametrize(
    ("environment", "root"),
    [
        ({"OPENMCP_REAL_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a")),
        ({"XDG_CACHE_HOME": "/b"}, Path("/b/openmcp-apiserver")),
        ({}, Path.home() / ".cache/openmcp-apiserver"),
    ],
)
def test_the_cache_is_where_the_environment_says(environment: dict[str, str], root: Path) -> None:
    assert cache_root(environment) == root


def test_what_is_not_built_is_named(tmp_path: Path) -> None:
    folder = build_folder(tmp_path)
    assert "kubernetes-1.36.3-kwok-0.7.0-" in folder.name
    assert list_missing(folder)[0] == f"controlplane is not built, kubectl is not built, kwok is not built in {folder}"


@pytest.mark.real
def test_a_second_build_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENMCP_REAL_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "/nothing")
    folder = build_folder()
    folder.mkdir()
    for name in ("controlplane", "kubectl", "kwok"):
        (folder / name).touch()
    assert build.build_servers() == folder


@pytest.mark.parametrize("pods", [1, 5, 60, 299, 5000])
def test_replicas_add_up(pods: int) -> None:
    replicas = share_replicas(pods)
    assert sum(replicas.values()) == pods
    assert next(iter(replicas)).name == "nginx-deployment"


@pytest.mark.parametrize(
    ("nanocores", "text"),
    [(0, "0"), (218250189, "218250189n"), (21825000, "21825u"), (500_000_000, "500m"), (2 * 10**9, "2")],
)
def test_cpu_is_written_canonically(nanocores: int, text: str) -> None:
    assert format_nanocores(nanocores) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (1234567, "1234567"), (15044845568, "14692232Ki"), (512 * _MIB, "512Mi"), (3072 * _MIB, "3Gi")],
)
def test_bytes_are_written_canonically_and_read_back(count: int, text: str) -> None:
    assert format_bytes(count) == text
    assert parse_bytes(text) == count


def test_a_pod_uses_the_same_at_the_same_moment_and_its_counters_never_fall() -> None:
    readings = [
        pod_amounts("cluster1/shop/busy", 128 * _MIB, 200 * _MIB * 1024, float(time), 0.0) for time in range(0, 7200, 5)
    ]
    assert pod_amounts("cluster1/shop/busy", 128 * _MIB, 200 * _MIB * 1024, 0.0, 0.0) == readings[0]
    assert len({reading.cpu for reading in readings}) > 100
    received = [reading.network_received for reading in readings]
    assert received == sorted(received)
    assert all(reading.memory_working_set + reading.memory_available == 128 * _MIB for reading in readings)


def test_ports_are_free_and_different(unused_port: Callable[[], int]) -> None:
    assert len(set(list_free_ports(20))) == 20
    assert 0 < unused_port() < 65536


def test_a_port_is_given_to_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    lowest = random.randrange(15000, 32000)
    narrow = f"from realfleet import ports; ports._LOWEST = {lowest}; ports._highest = lambda: {lowest + 40}"
    command = [sys.executable, "-c", f"{narrow}; print(*ports.list_free_ports(15), flush=True); input()"]
    monkeypatch.setattr(ports, "_LOWEST", lowest)
    monkeypatch.setattr(ports, "_highest", lambda: lowest + 40)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        theirs = set(map(int, other.stdout.readline().split()))
        ours = set(list_free_ports(15))
        other.stdin.write("\n")
    assert (len(theirs), len(ours), theirs & ours) == (15, 15, set())


def test_a_server_that_ends_says_its_last_words() -> None:
    with open_servers() as servers:
        servers.start("broken", [sys.executable, "-c", "print('no such disk')"])
        with pytest.raises(ServerDiedError, match="broken ended while waiting until it answers:\nno such disk"):
            servers.wait_until(lambda: False, "it answers", 20.0)


def test_leaving_stops_a_paused_server_and_removes_the_folder() -> None:
    with open_servers() as servers:
        server = servers.start("sleeper", ["sleep", "600"])
        server.pause()
        with pytest.raises(NotReadyError, match=r"not within 0.2 s: it answers"):
            servers.wait_until(lambda: False, "it answers", 0.2)
    assert not server.is_running
    assert not servers.folder.exists()
