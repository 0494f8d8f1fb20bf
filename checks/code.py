"""What bandit finds, without lines that say why they are right: ruff knows most rules by the same numbers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGES = ("auth", "fleet", "graph", "rest_compat", "server")


def main(bandit: str) -> int:
    """Prints the findings; 1 where there are any."""
    words = [bandit, "--quiet", "--recursive", "--format", "json", *PACKAGES]
    ran = subprocess.run(words, capture_output=True, check=False)
    found = list(iter_findings(json.loads(ran.stdout)))
    print("\n".join(found) or f"bandit has nothing against {', '.join(PACKAGES)}")
    return 1 if found else 0


def iter_findings(report: dict[str, Any]) -> Iterator[str]:
    """A line for each result whose code has no `noqa` of the same number, and for each file that can't be read."""
    yield from (f"{each['filename']}: {each['reason']}" for each in report["errors"])
    for each in report["results"]:
        lines = Path(each["filename"]).read_text(encoding="utf-8").splitlines()
        code = "\n".join(lines[number - 1] for number in each["line_range"])
        if f"S{each['test_id'][1:]}" not in code.partition("# noqa")[2]:
            yield f"{each['filename']}:{each['line_number']}: {each['test_id']} {each['issue_text']}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
