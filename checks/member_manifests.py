"""Writes k8s/member: the service account that members' tokens are of, with the rights that `server.rights` lists."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from server.rights import OFFERED, RIGHTS, Right

MEMBER = Path(__file__).parents[1] / "k8s" / "member"
FOLDERS = {
    "": ("always", "events", "workloads", "collector"),
    "impersonation": ("impersonation",),
    **{name: (name,) for name in OFFERED},
}
"""What is applied in one go (below k8s/member), and what it is for."""

_GROUP = "rbac.authorization.k8s.io"
_HEAD = "# Written by `make manifests` from server/rights.py.\n"


def build_rules(rights: Iterable[Right]) -> list[dict[str, Any]]:
    """The rules of a role: those that differ in nothing but their resources are one."""
    verbs: defaultdict[tuple[str, str, tuple[str, ...]], set[str]] = defaultdict(set)
    for right in rights:
        verbs[right.group, right.resource, right.names] |= set(right.verbs)
    alike: defaultdict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource, names), allowed in verbs.items():
        alike[group, tuple(sorted(allowed)), names].append(resource)
    return [
        {"apiGroups": [group], "resources": sorted(resources), "verbs": list(allowed)}
        | ({"resourceNames": list(names)} if names else {})
        for (group, allowed, names), resources in alike.items()
    ]


def build_files() -> dict[Path, str]:
    """Each file that is written, by its place below k8s/member."""
    return {Path(folder, "rbac.yaml"): _format(folder, needs) for folder, needs in FOLDERS.items()}


def _format(folder: str, needs: tuple[str, ...]) -> str:
    head = {"metadata": {"name": "-".join(filter(None, ("openmcp-apiserver", folder)))}}
    name = head["metadata"]["name"]
    rights = [right for right in RIGHTS if right.where == "member" and right.needs in needs]
    account = {"kind": "ServiceAccount", "name": "openmcp-apiserver", "namespace": "openmcp"}
    objects = (
        {"apiVersion": f"{_GROUP}/v1", "kind": "ClusterRole", **head, "rules": build_rules(rights)},
        {
            "apiVersion": f"{_GROUP}/v1",
            "kind": "ClusterRoleBinding",
            **head,
            "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": name},
            "subjects": [account],
        },
    )
    return _HEAD + "---\n".join(
        yaml.safe_dump(each, sort_keys=False, default_flow_style=None, width=120) for each in objects
    )


def main() -> None:
    for place, text in build_files().items():
        (MEMBER / place).parent.mkdir(parents=True, exist_ok=True)
        (MEMBER / place).write_text(text)


if __name__ == "__main__":
    main()
