"""The image as a cluster gets it: what is in it, what is said of that, and that a commit gives the same again."""

import importlib.resources
import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from packaging.utils import canonicalize_name

from release.image import build_image
from release.oci import iter_files, read_layers
from release.sbom import write_bill
from release.versions import ROOT
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
    load = "import ctypes, glob; [ctypes.CDLL(so) for so in glob.glob('/[ou]*/**/*.so', recursive=True)]"
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


def test_the_same_commit_gives_the_same_layers(archive: Path, tmp_path: Path) -> None:
    again = build_image(tmp_path, fresh=True)
    status = ("var/lib/dpkg/status.d/*",)
    first = archive
    if dict(iter_files(archive, status)) != dict(iter_files(again, status)):  # Debian has mended something meanwhile
        (tmp_path / "first").mkdir()
        first = build_image(tmp_path / "first", fresh=True)
    assert read_layers(again) == read_layers(first)
