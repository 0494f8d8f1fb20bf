"""What stands beside the code for those who work on it: hooks that ask no other host, forms that a forge can read."""

import re

import yaml

from release.versions import ROOT


def test_hooks_run_what_make_check_runs_and_come_from_nowhere_else() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    assert [(hook["entry"], hook["language"]) for hook in repositories[0]["hooks"]] == [("make check", "system")]


def test_forms_of_issues_say_what_they_are_for() -> None:
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"))
    heads = [yaml.safe_load(re.split(r"^---$", form.read_text(), maxsplit=2, flags=re.MULTILINE)[1]) for form in forms]
    assert forms
    assert [head for head in heads if not (head["name"] and head["about"])] == []
