"""The image: what is in it, that it runs where nothing may be written, and that a commit gives the same again."""

import asyncio
import importlib.resources
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from packaging.utils import canonicalize_name

from realfleet.fleet import Fleet
from realfleet.pki import build_cluster_files
from release.image import build_image
from release.oci import iter_files, read_layers
from release.sbom import write_bill
from release.versions import ROOT
from server.commands.kubeconfig import Trust, build_kubeconfig
from tests.kubectl.running import Kubectl
from tests.processes import free_port, open_server
from tests.release.containers import UnpackedImage
from tests.release.test_versions import read_lock


@pytest.fixture(scope="module")
def bill(archive: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(write_bill(archive).read_text())
    return read


def test_nothing_is_in_it_to_go_on_with(image: UnpackedImage) -> None:
    names = {path.name for path in image.root.rglob("*") if path.is_file() and path.stat().st_mode & 0o111}
    programs = {path.name for folder in ("usr/bin", "usr/sbin") for path in (image.root / folder).iterdir()}
    assert programs == {"python3.11"}
    assert not {"sh", "bash", "dash", "busybox", "apt-get", "dpkg", "perl", "pip"} & names
    assert [path for path in image.root.rglob("*") if path.is_file() and path.stat().st_mode & 0o6000] == []
    assert image.config["process"]["user"] == {"uid": 65532, "gid": 65532}


def test_the_licences_of_all_that_is_in_it_are_in_it(image: UnpackedImage, archive: Path) -> None:
    assert {path.name for path in (image.root / "licenses").iterdir()} == {"LICENSE", "NOTICE"}
    packages = {path.name for path in (image.root / "var/lib/dpkg/status.d").iterdir()}
    assert packages == set((ROOT / "image" / "debian-packages").read_text().split())
    doc = image.root / "usr/share/doc"
    assert {name for name in packages if not list(doc.glob(f"{name}/copyright"))} == set()
    assert list(image.root.glob("opt/openmcp-apiserver/lib/*/site-packages/openmcp_apiserver-*/licenses/LICENSE"))


def test_every_library_finds_what_it_is_linked_with(image: UnpackedImage) -> None:
    """Nothing of Debian is missing that a wheel or a module of Python wants."""
    folders = "glob('/opt/**/*.so', recursive=True) + glob('/usr/lib/python3*/**/*.so', recursive=True)"
    load = f"from ctypes import CDLL; from glob import glob; [CDLL(module) for module in {folders}]"
    python = ["chroot", str(image.root), "/opt/openmcp-apiserver/bin/python", "-c", load]
    assert subprocess.run(python, check=False, capture_output=True, text=True).stderr == ""


def test_the_bill_of_materials_names_all_of_it_in_valid_cyclonedx(bill: dict[str, Any]) -> None:
    folder = importlib.resources.files("cyclonedx.schema") / "_res"
    files = [f"{name}.SNAPSHOT.schema.json" for name in ("bom-1.6", "jsf-0.82", "spdx")]
    schema, *others = (json.loads((folder / file).read_text()) for file in files)
    base = schema["$id"].rpartition("/")[0]
    registry = jsonschema_rs.Registry([(f"{base}/{file}", each) for file, each in zip(files[1:], others, strict=True)])
    jsonschema_rs.validator_for(schema, registry=registry).validate(bill)

    parts = {part["purl"]: part["name"] for part in bill["components"]}
    named = {kind: {parts[url] for url in parts if url.startswith(f"pkg:{kind}/")} for kind in ("deb", "pypi")}
    locked = set(read_lock(ROOT / "image" / "requirements.lock"))
    assert named["deb"] == set((ROOT / "image" / "debian-packages").read_text().split())
    assert {canonicalize_name(name) for name in named["pypi"]} == locked | {"openmcp-apiserver"}
    assert {"pkg:npm/graphiql@5.4.0", "pkg:npm/react@19.3.1"} <= set(parts)
    assert all(part.get("licenses") for part in bill["components"] if not part["purl"].startswith("pkg:deb/"))


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


@pytest.mark.real
async def test_check_finds_all_well(
    image: UnpackedImage, environment: Mapping[str, str], mounted: Path, tmp_path: Path
) -> None:
    command = image.run_command(tmp_path, "check", environment=environment, mounted=mounted)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert (process.returncode, b"cluster2" in output) == (0, True), output.decode()


@pytest.mark.real
async def test_it_serves_kubectl_and_ends_when_it_is_told(
    image: UnpackedImage, environment: Mapping[str, str], mounted: Path, tmp_path: Path, real_fleet: Fleet
) -> None:
    """With the metric file of its own, for which there is no home and no folder of its own here."""
    environment = {name: value for name, value in environment.items() if "INFLUX" not in name and "STORE" not in name}
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


def test_the_same_commit_gives_the_same_layers(archive: Path, tmp_path: Path) -> None:
    again = build_image(tmp_path, fresh=True)
    status = ("var/lib/dpkg/status.d/*",)
    first = archive
    if dict(iter_files(archive, status)) != dict(iter_files(again, status)):  # Debian has mended something meanwhile
        (tmp_path / "first").mkdir()
        first = build_image(tmp_path / "first", fresh=True)
    assert read_layers(again) == read_layers(first)


def read_status(runc: int) -> set[tuple[str, str]]:
    """What the kernel says of the process that runc started: names and first values."""
    (child,) = [pid for path in Path(f"/proc/{runc}/task").glob("*/children") for pid in path.read_text().split()]
    lines = [line.split() for line in Path(f"/proc/{child}/status").read_text().splitlines()]
    return {(line[0].rstrip(":"), line[1]) for line in lines if len(line) > 1}
