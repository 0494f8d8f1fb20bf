"""The image as a cluster runs it: by a user without rights, where nothing may be written, in front of real clusters."""

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from realfleet.fleet import Fleet
from realfleet.pki import build_cluster_files
from server.commands.kubeconfig import Trust, build_kubeconfig
from tests.kubectl.running import Kubectl
from tests.processes import free_port, open_server
from tests.release.containers import UnpackedImage

pytestmark = pytest.mark.real


@pytest.fixture
def mounted(tmp_path: Path, real_fleet: Fleet) -> Path:
    """What a cluster would mount, for whom it runs as to read."""
    folder = tmp_path / "mounted"
    build_cluster_files(folder, "server")
    shutil.copy(real_fleet.kubeconfig, folder / "kubeconfig")
    for path in folder.iterdir():
        path.chmod(0o644)
    folder.chmod(0o755)
    return folder


@pytest.fixture
def environment(real_fleet: Fleet, mounted: Path) -> Mapping[str, str]:
    names = ("OPENMCP_PORT", "OPENMCP_PLAIN_PORT", "OPENMCP_OPS_PORT")
    return {
        **real_fleet.environment(mounted / "kubeconfig"),
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_TLS_CERT_FILE": str(mounted / "serving.crt"),
        "OPENMCP_TLS_KEY_FILE": str(mounted / "serving.key"),
        **{name: str(free_port()) for name in names},
    }


async def test_check_finds_all_well(
    image: UnpackedImage, environment: Mapping[str, str], mounted: Path, tmp_path: Path
) -> None:
    command = image.run_command(tmp_path, "check", environment=environment, mounted=mounted)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert (process.returncode, b"cluster2" in output) == (0, True), output.decode()


async def test_it_serves_kubectl_and_ends_when_it_is_told(
    image: UnpackedImage, environment: Mapping[str, str], mounted: Path, tmp_path: Path, real_fleet: Fleet
) -> None:
    command = image.run_command(tmp_path, environment=environment, mounted=mounted)
    plain = int(environment["OPENMCP_PLAIN_PORT"])
    async with open_server(environment=environment, port=plain, log=tmp_path / "log", program=command) as server:
        token = await server.sign_in()
        url = f"https://127.0.0.1:{environment['OPENMCP_PORT']}"
        trust = Trust(ca_file=mounted / "ca.crt")
        kubeconfig = tmp_path / "through.yaml"
        kubeconfig.write_text(build_kubeconfig(url, "openmcp", {"token": token}, ["cluster1"], trust))
        member = real_fleet.cluster("cluster1")
        through = Kubectl(member.kubectl_program, kubeconfig, tmp_path / "cache")
        assert await through.must("get nodes -o name") == member.kubectl("get", "nodes", "-o", "name")
        assert (
            read_status(server.pid) >= {"Uid": "65532", "Gid": "65532", "CapEff": "0" * 16, "NoNewPrivs": "1"}.items()
        )
        server.process.terminate()
        assert await server.process.wait() == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def read_status(runc: int) -> set[tuple[str, str]]:
    """What the kernel says of the process that runc started: names and first values."""
    (child,) = [pid for path in Path(f"/proc/{runc}/task").glob("*/children") for pid in path.read_text().split()]
    lines = [line.split() for line in Path(f"/proc/{child}/status").read_text().splitlines()]
    return {(line[0].rstrip(":"), line[1]) for line in lines if len(line) > 1}
