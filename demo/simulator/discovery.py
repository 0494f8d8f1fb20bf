"""The paths that say what an API server has: versions, groups, resources, health."""

from collections.abc import Sequence
from typing import Any

from demo.simulator.kinds import Kind

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
HEALTH_PATHS = ("/healthz", "/livez", "/readyz")

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.3",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "go1.26.0",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def build_discovery(kinds: Sequence[Kind], path: str, address: str) -> dict[str, Any] | None:
    """The answer to a discovery path, or None where the path is none. `address` is the server's own host and port."""
    if path == "/version":
        return dict(VERSION)
    if path == "/api":
        by_client = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": by_client}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(kind) for kind in _by_group(kinds)]}
    for kind in _by_group(kinds):
        if path == f"/apis/{kind.group}":
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(kind)}
    roots = {kind.root: kind.api_version for kind in kinds}
    if path in roots:
        resources = [_resource(kind) for kind in kinds if kind.root == path]
        version = {} if path == "/api/v1" else {"apiVersion": "v1"}
        return {"kind": "APIResourceList", **version, "groupVersion": roots[path], "resources": resources}
    return None


def build_root_paths(kinds: Sequence[Kind]) -> dict[str, Any]:
    """The answer to `/`."""
    groups = [path for kind in _by_group(kinds) for path in (f"/apis/{kind.group}", kind.root)]
    return {"paths": ["/api", "/api/v1", "/apis", *groups, *HEALTH_PATHS, "/version"]}


def _by_group(kinds: Sequence[Kind]) -> list[Kind]:
    """One kind of each group but the core's."""
    return list({kind.group: kind for kind in kinds if kind.group}.values())


def _group(kind: Kind) -> dict[str, Any]:
    version = {"groupVersion": kind.api_version, "version": kind.version}
    return {"name": kind.group, "versions": [version], "preferredVersion": version}


def _resource(kind: Kind) -> dict[str, Any]:
    return {
        "name": kind.plural,
        "singularName": kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(VERBS),
        **({"shortNames": list(kind.short_names)} if kind.short_names else {}),
    }
