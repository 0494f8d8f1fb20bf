"""Writes k8s/member: the service account that members' tokens are of, with the rights that `server.rights` lists."""

from pathlib import Path

import yaml

from server.rights import OFFERED, RIGHTS
from server.roles import build_roles

MEMBER = Path(__file__).parents[1] / "k8s" / "member"
FOLDERS = {
    "": ("always", "events", "workloads", "collector"),
    "impersonation": ("impersonation",),
    **{name: (name,) for name in OFFERED},
}
"""What is applied in one go (below k8s/member), and what it is for."""

_ACCOUNT = {"kind": "ServiceAccount", "name": "openmcp-apiserver", "namespace": "openmcp"}
_HEAD = "# Written by `make manifests` from server/rights.py.\n"


def build_files() -> dict[Path, str]:
    """Each file that is written, by its place below k8s/member."""
    return {Path(folder, "rbac.yaml"): _format(folder, needs) for folder, needs in FOLDERS.items()}


def _format(folder: str, needs: tuple[str, ...]) -> str:
    rights = [right for right in RIGHTS if right.where == "member" and right.needs in needs]
    objects = build_roles(rights, "-".join(filter(None, ("openmcp-apiserver", folder))), _ACCOUNT)
    return _HEAD + "---\n".join(
        yaml.safe_dump(each, sort_keys=False, default_flow_style=None, width=120) for each in objects
    )


def main() -> None:
    for place, text in build_files().items():
        (MEMBER / place).parent.mkdir(parents=True, exist_ok=True)
        (MEMBER / place).write_text(text)


if __name__ == "__main__":
    main()
