"""Containers of the image, run by runc as a cluster would: nothing may be written but /tmp, no right may be gained."""

import json
import os
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.required import go_without, need


class UnpackedImage:
    """The image's root file system, and the configuration that umoci makes of the image's own."""

    def __init__(self, archive: Path, folder: Path) -> None:
        if os.geteuid() != 0:
            go_without("only root may start a container as another user here")
        with tarfile.open(archive) as tar:
            tar.extractall(folder / "layout", filter="data")
            tag = json.loads((folder / "layout" / "index.json").read_text())["manifests"][0]["annotations"][
                "org.opencontainers.image.ref.name"
            ]
        named = f"{folder / 'layout'}:{tag}"
        subprocess.run([need("umoci"), "unpack", "--image", named, str(folder / "bundle")], check=True)
        self.root = folder / "bundle" / "rootfs"
        self.config: dict[str, Any] = json.loads((folder / "bundle" / "config.json").read_text())

    def run_command(self, folder: Path, *words: str, environment: Mapping[str, str], mounted: Path) -> list[str]:
        """The command that runs the image's entry point with these words (none: its own), `mounted` at its own path."""
        config = json.loads(json.dumps(self.config))
        process, linux = config["process"], config["linux"]
        process |= {"terminal": False, "noNewPrivileges": True, "capabilities": {}}
        process["env"] += [f"{name}={value}" for name, value in environment.items()]
        if words:
            process["args"] = [process["args"][0], *words]
        config["root"] = {"path": str(self.root), "readonly": True}
        config["mounts"] += [
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]},
            {"destination": str(mounted), "type": "none", "source": str(mounted), "options": ["bind", "ro"]},
        ]
        linux["namespaces"] = [each for each in linux["namespaces"] if each["type"] not in {"network", "user"}]
        bundle = folder / f"bundle-{uuid4().hex[:8]}"
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(config))
        return [need("runc"), "--root", str(folder / "runc"), "run", "--bundle", str(bundle), bundle.name]
