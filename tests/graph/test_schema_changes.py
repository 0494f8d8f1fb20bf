"""A breaking change of the schema passes with a line in the changelog, and not without."""

from pathlib import Path

import pytest

from graph.schema_changes import find_unnamed, main

BASELINE = """
type Query { pod(name: String): Pod phase: Phase }
type Pod { name: String! status: String! }
enum Phase { RUNNING FAILED }
"""
BROKEN = [
    (BASELINE.replace(" status: String!", ""), "Pod.status"),
    (BASELINE.replace("status: String!", "status: Int!"), "Pod.status"),
    (BASELINE.replace("RUNNING FAILED", "RUNNING"), "Phase.FAILED"),
    (BASELINE.replace("(name: String)", "(name: String!)"), "Query.pod"),
    (BASELINE.replace("(name: String)", ""), "Query.pod"),
    (BASELINE.replace(" phase: Phase", ""), "Query.phase"),
    (BASELINE.replace(" phase: Phase", "").replace("enum Phase { RUNNING FAILED }", ""), "Phase` and `Query.phase"),
]


def changelog(section: str, name: str) -> str:
    return f"# Changelog\n\n## [Unreleased]\n\n### {section}\n\n- `{name}` is not as it was.\n\n## 0.1\n"


@pytest.mark.parametrize(("schema", "name"), BROKEN)
def test_what_breaks_clients_has_to_be_named_under_changed_or_removed(schema: str, name: str) -> None:
    assert find_unnamed(BASELINE, schema, changelog("Added", name))
    assert find_unnamed(BASELINE, schema, changelog("Changed", "Pod.name"))
    assert find_unnamed(BASELINE, schema, changelog("Changed", name)) == []
    assert find_unnamed(BASELINE, schema, changelog("Removed", name)) == []


def test_what_older_versions_named_does_not_count() -> None:
    old = "# Changelog\n\n## [Unreleased]\n\n## 0.1\n\n### Removed\n\n- `Pod.status`\n"
    assert find_unnamed(BASELINE, BROKEN[0][0], old) == ["Field Pod.status was removed."]


def test_what_is_added_breaks_nobody() -> None:
    added = BASELINE.replace("name: String!", "name: String! uid: String")
    assert find_unnamed(BASELINE, added, "") == []


def test_the_command_fails_and_says_what_breaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {"old": BASELINE, "new": BROKEN[0][0], "log": changelog("Added", "Pod.status")}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in texts]
    assert main(files) == 1
    assert "Pod.status was removed" in capsys.readouterr().err
    assert main([files[0], files[0], files[2]]) == 0
