"""Kubeconfig files with everything in them: authority and token as data, no paths."""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import yaml


class Access(NamedTuple):
    """How one cluster is reached; its context, cluster and user all carry the cluster's name."""

    cluster: str
    url: str
    ca_pem: bytes
    token: str


def build_kubeconfig(accesses: Iterable[Access]) -> str:
    """The YAML text; the first access is the current context."""
    known = tuple(accesses)
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": known[0].cluster,
            "clusters": [
                {
                    "name": access.cluster,
                    "cluster": {
                        "server": access.url,
                        "certificate-authority-data": base64.b64encode(access.ca_pem).decode(),
                    },
                }
                for access in known
            ],
            "users": [{"name": access.cluster, "user": {"token": access.token}} for access in known],
            "contexts": [
                {"name": access.cluster, "context": {"cluster": access.cluster, "user": access.cluster}}
                for access in known
            ],
        },
        sort_keys=False,
    )


def write_private(path: Path, text: str) -> Path:
    """Writes a file that holds credentials so that only its owner reads it."""
    path.touch(mode=0o600)
    path.write_text(text)
    return path
