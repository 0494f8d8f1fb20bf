"""Renders k8s/: the chart's file of rights from `server.rights`, and the overlays from the chart and their values.

What all overlays have alike goes to `base`, what `monitoring.enabled` adds to `components/monitoring`.
"""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from checks import member_manifests
from fleet.model.unreadable import load_yaml
from realfleet.build_clients import find_client
from server.rights import RIGHTS

K8S = Path(__file__).parents[1] / "k8s"
CHART = K8S / "chart" / "openmcp-apiserver"
OVERLAYS = {
    "host": ("host",),
    "standalone": ("standalone",),
    "prometheus": ("prometheus",),
    "replicas": ("host", "replicas"),
}
"""Each overlay, and whose values it has, the later ones over the earlier."""
_HEAD = "# Written by `make manifests`: change the chart, or the values beside.\n"


def render_chart(overlay: str, *arguments: str) -> list[dict[str, Any]]:
    """What `helm template` makes of an overlay's values; or CalledProcessError; `arguments` are further ones."""
    values = [word for name in OVERLAYS[overlay] for word in ("-f", str(K8S / "overlays" / name / "values.yaml"))]
    command = [str(find_client("helm")), "template", "openmcp-apiserver", str(CHART), "-n", "openmcp", *values]
    ran = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=True)
    return [each for text in re.split(r"^---$", ran.stdout, flags=re.MULTILINE) if (each := load_yaml(text))]


def build_files() -> dict[Path, str]:
    """Each file that is written, by its place below k8s/. Reads the chart with the rights that it has now."""
    whole = {name: render_chart(name) for name in OVERLAYS}
    plain = {name: render_chart(name, "--set", "monitoring.enabled=false") for name in OVERLAYS}
    base = [each for each in plain["host"] if all(each in others for others in plain.values())]
    monitoring = [each for name in OVERLAYS for each in whole[name] if each not in plain[name]]
    return {
        Path("base/manifests.yaml"): _dump(base),
        Path("components/monitoring/manifests.yaml"): _dump(monitoring),
        **{
            Path(f"overlays/{name}/manifests.yaml"): _dump(each for each in objects if each not in base)
            for name, objects in plain.items()
        },
    }


def format_rights() -> str:
    """`RIGHTS` for the chart: those that differ in nothing but their resources are one."""
    alike: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
    for right in RIGHTS:
        alike[right.where, right.needs, right.group, right.verbs, right.namespace, right.names].append(right.resource)
    rows = [
        {"where": where, "needs": needs, "group": group, "resources": resources, "verbs": list(verbs)}
        | ({"namespace": namespace} if namespace else {})
        | ({"names": list(names)} if names else {})
        for (where, needs, group, verbs, namespace, names), resources in alike.items()
    ]
    head = "# Written by `make manifests` from server/rights.py.\n"
    return head + yaml.safe_dump(rows, sort_keys=False, default_flow_style=None, width=120)


def _dump(objects: Iterable[Mapping[str, Any]]) -> str:
    return _HEAD + yaml.safe_dump_all(objects, sort_keys=False, width=120)


def main() -> None:
    """Writes all of it."""
    (CHART / "files" / "rights.yaml").write_text(format_rights())
    for place, text in build_files().items():
        (K8S / place).write_text(text)
    member_manifests.main()


if __name__ == "__main__":
    main()
