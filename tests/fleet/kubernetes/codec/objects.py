"""Kubernetes objects as an API server writes them, for tests."""

import json
from typing import Any


def running(**more: Any) -> dict[str, Any]:
    """A container status that runs and is ready."""
    return {"name": "c", "ready": True, "restartCount": 0, "state": {"running": {}}, **more}


def waiting(reason: str, **more: Any) -> dict[str, Any]:
    """A container status that waits."""
    return {"name": "c", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": reason}}, **more}


def terminated(code: int, reason: str = "", signal: int = 0, **more: Any) -> dict[str, Any]:
    """A container status that has ended."""
    state = {"terminated": {"exitCode": code, "reason": reason, "signal": signal}}
    return {"name": "c", "ready": False, "restartCount": 0, "state": state, **more}


def pod(
    phase: str = "Running",
    statuses: list[dict[str, Any]] | None = None,
    *,
    init: list[dict[str, Any]] | None = None,
    sidecars: int = 0,
    spec: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    **status: Any,
) -> dict[str, Any]:
    """A pod with a container a status; the first `sidecars` init containers are restartable."""
    statuses = statuses or []
    init = init or []
    for index, entry in enumerate(init):
        entry["name"] = f"i{index}"
    init_containers = [
        {"name": f"i{index}", **({"restartPolicy": "Always"} if index < sidecars else {})} for index in range(len(init))
    ]
    return {
        "metadata": {
            "name": "pod1",
            "namespace": "default",
            "uid": "u1",
            "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **(metadata or {}),
        },
        "spec": {
            "containers": [{"name": "c", "image": "i"} for _ in statuses] or [{"name": "c"}],
            "initContainers": init_containers,
            **(spec or {}),
        },
        "status": {"phase": phase, "containerStatuses": statuses, "initContainerStatuses": init, **status},
    }


def list_of(kind: str, *items: Any, version: str = "100", token: str = "") -> bytes:
    """A list's answer."""
    metadata = {"resourceVersion": version, **({"continue": token} if token else {})}
    return json.dumps({"kind": f"{kind}List", "apiVersion": "v1", "metadata": metadata, "items": items}).encode()
