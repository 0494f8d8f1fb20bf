"""Known vulnerabilities of what is depended on, and what nobody could be asked about: tools call both "none found".

Exit status: 0 where all was looked up and nothing is known, 1 where something is, 3 where some could not be looked up.
With `UNAUDITED=told` in the environment the last is 0, and said all the same.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from msgspec import Struct

LOCKS = (Path("requirements.lock"), Path("checks/requirements.lock"))
PAGE = Path("graph/graphiql")


class Audit(Struct, frozen=True):
    """What came of a lock file: how many packages it names, what is known of which, and why some are not known of."""

    source: str
    packages: int
    vulnerable: tuple[str, ...] = ()
    unaudited: int = 0
    reason: str = ""

    def __str__(self) -> str:
        told = f"{self.source}: {self.packages - self.unaudited} of {self.packages} packages audited"
        if self.unaudited:
            told += f", {self.unaudited} COULD NOT BE LOOKED UP ({self.reason[:200]})"
        return "\n".join([f"{told}, {len(self.vulnerable)} with known vulnerabilities", *self.vulnerable])


def read_pip_audit(source: str, output: bytes, said: bytes) -> Audit:
    """Of pip-audit's JSON. A package that PyPI does not tell of is skipped by it, and counts as unaudited here."""
    packages = count_pins(Path(source).read_text(encoding="utf-8"))
    try:
        found: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError):
        return Audit(source, packages, unaudited=packages, reason=_last_line(said))
    skipped = [each["skip_reason"] for each in found if "skip_reason" in each]
    vulnerable = (
        f"  {each['name']} {each['version']}: {', '.join(known['id'] for known in each['vulns'])}"
        for each in found
        if each.get("vulns")
    )
    missing = packages - len(found)  # a marker keeps some of the lock off this machine
    reason = skipped[0] if skipped else "they are for other systems"
    return Audit(source, packages, tuple(vulnerable), len(skipped) + missing, reason)


def read_npm_audit(source: str, lock: dict[str, Any], output: bytes) -> Audit:
    """Of npm's JSON; without `vulnerabilities` in it the registry has told nothing."""
    packages = len([name for name in lock["packages"] if name])
    try:
        report: dict[str, Any] = json.loads(output)
    except ValueError:
        report = {}
    if "vulnerabilities" not in report:
        reason = str(report.get("message") or report.get("error", {}).get("summary") or "npm gave no report")
        return Audit(source, packages, unaudited=packages, reason=reason)
    vulnerable = (f"  {name}: {each['severity']}" for name, each in report["vulnerabilities"].items())
    return Audit(source, packages, tuple(vulnerable))


def count_pins(lock: str) -> int:
    return sum("==" in line and not line.startswith((" ", "#")) for line in lock.splitlines())


def find_status(audits: list[Audit], *, told: bool) -> int:
    if any(audit.vulnerable for audit in audits):
        return 1
    return 3 if any(audit.unaudited for audit in audits) and not told else 0


def main(pip_audit: str) -> int:
    options = ("--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "10")
    audits = []
    for lock in LOCKS:
        ran = subprocess.run([pip_audit, "-r", str(lock), *options], capture_output=True, check=False)
        audits.append(read_pip_audit(str(lock), ran.stdout, ran.stderr))
    asked = ["npm", "audit", "--json", "--package-lock-only", "--prefix", str(PAGE)]
    file = PAGE / "package-lock.json"
    try:
        output = subprocess.run(asked, capture_output=True, check=False).stdout
    except OSError as error:
        output = json.dumps({"message": f"npm can't be run: {error.strerror}"}).encode()
    audits.append(read_npm_audit(str(file), json.loads(file.read_text(encoding="utf-8")), output))
    print("\n".join(map(str, audits)))
    return find_status(audits, told=os.environ.get("UNAUDITED") == "told")


def _last_line(said: bytes) -> str:
    return (said.decode(errors="replace").strip().splitlines() or ["pip-audit gave no report"])[-1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
