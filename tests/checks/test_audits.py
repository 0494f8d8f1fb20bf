"""What could not be looked up is never told as sound, and a finding with its reason beside it is none."""

import json
from pathlib import Path

import pytest

from checks.code import iter_findings
from checks.dependencies import Audit, find_status, read_npm_audit, read_pip_audit

LOCK = "a==1 \\\n    --hash=sha256:0\nb==2 \\\n    --hash=sha256:0\n"
SOUND = {"name": "a", "version": "1", "vulns": []}
HARMED = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1"}]}
SKIPPED = {"name": "b", "skip_reason": "Dependency not found on PyPI"}
NODE_LOCK: dict[str, object] = {"packages": {"": {}, "node_modules/a": {}, "node_modules/b": {}}}


@pytest.mark.parametrize(
    ("found", "said", "statuses"),
    [
        ([SOUND, SOUND], "2 of 2 packages audited, 0 with", (0, 0)),
        ([SOUND, HARMED], "2 of 2 packages audited, 1 with known vulnerabilities\n  b 2: PYSEC-1", (1, 1)),
        ([SOUND, SKIPPED], "1 of 2 packages audited, 1 COULD NOT BE LOOKED UP (Dependency not found on PyPI)", (3, 0)),
        ([SOUND], "1 of 2 packages audited, 1 COULD NOT BE LOOKED UP", (3, 0)),
        (None, "0 of 2 packages audited, 2 COULD NOT BE LOOKED UP (no route)", (3, 0)),
    ],
)
def test_pip_audit_is_read_with_what_it_skips(
    tmp_path: Path, found: list[object] | None, said: str, statuses: tuple[int, int]
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK)
    output = b"" if found is None else json.dumps({"dependencies": found}).encode()
    audit = read_pip_audit(str(lock), output, b"Traceback\nno route\n")
    assert said in str(audit)
    assert (find_status([audit], told=False), find_status([audit], told=True)) == statuses


@pytest.mark.parametrize(
    ("output", "said", "status"),
    [
        ({"vulnerabilities": {}}, "2 of 2 packages audited, 0 with", 0),
        ({"vulnerabilities": {"b": {"severity": "high"}}}, "1 with known vulnerabilities\n  b: high", 1),
        ({"message": "405 Method Not Allowed", "error": {"summary": ""}}, "2 COULD NOT BE LOOKED UP (405 Method", 3),
        ({"error": {"summary": "no route"}}, "2 COULD NOT BE LOOKED UP (no route)", 3),
    ],
)
def test_npm_audit_without_a_report_has_looked_at_nothing(output: dict[str, object], said: str, status: int) -> None:
    audit = read_npm_audit("package-lock.json", NODE_LOCK, json.dumps(output).encode())
    assert said in str(audit)
    assert find_status([audit], told=False) == status


def test_a_finding_elsewhere_is_worse_than_what_could_not_be_asked() -> None:
    assert find_status([Audit("x", 2, unaudited=2), Audit("y", 1, ("b",))], told=True) == 1


def test_a_line_with_the_same_rule_and_its_reason_is_no_finding(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text("exec(text)  # noqa: S102 - ours\nexec(text)\nexec(text)  # noqa: S307 - another rule\n")
    results = [
        {"filename": str(file), "line_number": at, "line_range": [at], "test_id": "B102", "issue_text": "exec"}
        for at in (1, 2, 3)
    ]
    assert list(iter_findings({"errors": [], "results": results})) == [f"{file}:{at}: B102 exec" for at in (2, 3)]
