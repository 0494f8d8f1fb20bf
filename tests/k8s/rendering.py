"""What somebody applies: the chart and the overlays, rendered."""

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from checks.manifests import K8S
from realfleet.cache import build_folder

OVERLAYS = ("host", "standalone", "prometheus", "replicas")


def kustomize(folder: Path) -> list[dict[str, Any]]:
    """What `kubectl apply -k` sends."""
    command = [str(build_folder() / "kubectl"), "kustomize", str(folder)]
    return list(yaml.safe_load_all(subprocess.run(command, capture_output=True, timeout=60, check=True).stdout))


def overlay(name: str) -> list[dict[str, Any]]:
    """Of an overlay, its namespace left out, which `helm install --create-namespace` makes."""
    return [each for each in kustomize(K8S / "overlays" / name) if each["kind"] != "Namespace"]


def by_key(objects: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """By kind, namespace and name."""
    named = {(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each for each in objects}
    return dict(sorted(named.items()))


def find(objects: Iterable[dict[str, Any]], kind: str, name: str = "openmcp-apiserver") -> dict[str, Any]:
    """The one of a kind and a name."""
    (found,) = (each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def container_of(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """The one container of a Deployment."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(container)


def commands_of(page: str, heading: str) -> list[str]:
    """The blocks of commands below a heading of a how-to page."""
    text = (K8S.parent / "docs" / "how-to" / page).read_text()
    (section,) = re.findall(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
