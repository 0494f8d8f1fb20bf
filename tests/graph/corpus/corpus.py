"""Odd but legal objects, one document each: what is in `manifests/` is created on a real API server and compared.

Another object is another document there, with its `status` in it; a file of its own is found by itself. The host has
neither a kubelet nor controllers, so every status stays as it was written. The label `corpus: deleted` has an object
deleted after it was made; a finalizer keeps it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from realfleet.cluster import Cluster
from realfleet.fleet import Fleet

Object = dict[str, Any]

FIRST = "kinds.yaml"
_ADDED = "ephemeralContainers"
_HUGE = "x" * (256 * 1024 - 200)
"""Stands for `$HUGE`: an object's annotations may have 256 KiB in all."""

_FOLDER = Path(__file__).parent / "manifests"


def read_manifests(*names: str) -> list[Object]:
    """The documents of the named files, else of all but the first."""
    files = [_FOLDER / name for name in names] or [file for file in sorted(_FOLDER.iterdir()) if file.name != FIRST]
    return [
        document
        for file in files
        for document in yaml.safe_load_all(file.read_text().replace("$HUGE", _HUGE))
        if document
    ]


OBJECTS = read_manifests()


def named(item: Object) -> str:
    return f"{item['kind']}/{item['metadata']['name']}"


def list_names(kind: str) -> list[str]:
    return [item["metadata"]["name"] for item in OBJECTS if item["kind"] == kind]


@contextmanager
def created(fleet: Fleet) -> Iterator[Cluster]:
    """All of them on the host, until the `with` is left."""
    host, kinds = fleet.host, read_manifests(FIRST)
    try:
        _apply(host, kinds)
        crds = [named(item) for item in kinds if item["kind"] == "CustomResourceDefinition"]
        host.kubectl("wait", "--for=condition=Established", "--timeout=60s", *crds)
        _apply(host, OBJECTS)
        for item in OBJECTS:
            if added := item.get("spec", {}).get(_ADDED):
                host.client.merge(f"{path_of(host, item)}/ephemeralcontainers", {"spec": {_ADDED: added}})
            if "status" in item:
                host.client.merge(f"{path_of(host, item)}/status", {"status": item["status"]})
        host.kubectl("delete", "pods,nodes", "--all-namespaces", "-l", "corpus=deleted", "--wait=false")
        yield host
    finally:
        for item in OBJECTS:
            if "finalizers" in item["metadata"]:
                host.client.merge(path_of(host, item), {"metadata": {"finalizers": None}})
        every = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*OBJECTS, *reversed(kinds)]})
        host.kubectl("delete", "-f", "-", "--ignore-not-found", "--force", "--wait=false", stdin=every)
        for item in kinds:
            if item["kind"] == "Namespace":  # no controller is there to let go of it
                empty = json.dumps({**item, "spec": {"finalizers": []}})
                host.kubectl("replace", "--raw", f"{path_of(host, item)}/finalize", "-f", "-", stdin=empty)


def path_of(cluster: Cluster, item: Object) -> str:
    """The object's path, asked of discovery."""
    version = item["apiVersion"]
    root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    served = cluster.client.get(root)["resources"]
    plural = next(entry["name"] for entry in served if entry["kind"] == item["kind"] and "/" not in entry["name"])
    namespace = item["metadata"].get("namespace")
    return f"{root}/{f'namespaces/{namespace}/' if namespace else ''}{plural}/{item['metadata']['name']}"


def _apply(cluster: Cluster, items: list[Object]) -> None:
    """By server-side apply, without what subresources take (a status may hold what apply refuses: doubled keys)."""
    bare = [{key: value for key, value in item.items() if key != "status"} for item in items]
    for item in bare:
        if _ADDED in item.get("spec", {}):
            item["spec"] = {key: value for key, value in item["spec"].items() if key != _ADDED}
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": bare})
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=text)
