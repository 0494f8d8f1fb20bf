"""`openmcp-apiserver check` as a process, and its report."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realfleet.fleet import Fleet
from tests.processes import COMMAND

SECONDS = 120
FREE_PORTS = {"OPENMCP_PORT": "0", "OPENMCP_OPS_PORT": "0"}


class Report:
    """What one run said; `rows` by what was tried."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status, self.text, self.err = done.returncode, done.stdout, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        assert report["exitStatus"] == done.returncode
        self.rows: dict[str, dict[str, Any]] = {row["what"]: row for row in report["checks"]}

    def states(self, *states: str) -> dict[str, str]:
        """What was said, of rows that are in one of these states."""
        return {what: row["said"] for what, row in self.rows.items() if row["state"] in states}


def check(environment: Mapping[str, str], *arguments: str, folder: Path | None = None) -> Report:
    known = {"PATH": os.environ["PATH"], "HOME": str(folder or "/nowhere"), **FREE_PORTS, **environment}
    return Report(
        subprocess.run(
            [COMMAND, "check", "--output", "json", *arguments],
            env=known, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False,
        )
    )  # fmt: skip


def mend(fleet: Fleet, row: Mapping[str, Any], environment: Mapping[str, str], folder: Path) -> str:
    """Types the command of a row, as an administrator of all clusters would."""
    kubectl = Path(fleet.members[0].kubectl_program).parent
    path = f"{COMMAND.parent}:{kubectl}:{os.environ['PATH']}"
    known = {"HOME": str(folder), **environment, "PATH": path, "KUBECONFIG": str(fleet.kubeconfig)}
    command = ["bash", "-o", "pipefail", "-ec", row["mend"]]
    done = subprocess.run(command, env=known, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, (row["mend"], done.stderr)
    return done.stdout
