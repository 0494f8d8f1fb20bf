"""Which rights these settings take."""

from pathlib import Path

import pytest

from server.rights import NEEDS, RIGHTS, Where, format_table, wanted
from server.settings.environment import load_settings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "rights.md"
MARK = "<!-- from here on: the output of `python -m server.rights` -->\n\n"


def ask(where: Where, **variables: str) -> set[tuple[str | None, str, str]]:
    settings = load_settings({f"OPENMCP_{name.upper()}": value for name, value in variables.items()})
    return {
        (right.namespace, f"{right.resource}.{right.group}".rstrip("."), verb)
        for right in wanted(settings, where)
        for verb in right.verbs
    }


def test_each_right_needs_something_that_is_known() -> None:
    assert {right.needs for right in RIGHTS} <= NEEDS.keys()


@pytest.mark.parametrize(
    ("setting", "value", "lost"),
    [
        ("events_kept", "0", ("events", "watch")),
        ("workloads", "false", ("jobs.batch", "watch")),
        ("collect_interval", "0s", ("pods.metrics.k8s.io", "list")),
    ],
)
def test_what_is_off_takes_no_right(setting: str, value: str, lost: tuple[str, str]) -> None:
    all_on = ask("member", metric_store="embedded")
    assert (None, *lost) in all_on - ask("member", metric_store="embedded", **{setting: value})


def test_rights_are_in_the_namespaces_that_settings_name() -> None:
    found = ask("host", cluster_source="kubefed,secrets", kubefed_namespace="kf", secrets_namespace="a,b")
    assert {(namespace, verb) for namespace, resource, verb in found if resource == "secrets"} == {
        (namespace, verb) for namespace in ("kf", "a", "b") for verb in ("list", "watch")
    }
    assert {namespace for namespace, resource, _ in found if resource == "openmcpclusters.openmcp.k8s.io"} == {
        "openmcp"
    }
    assert (None, "secrets", "list") in ask("host", cluster_source="secrets", secrets_namespace="*")


def test_the_page_of_rights_is_the_table() -> None:
    written = PAGE.read_text().split(MARK)[1:]
    assert written == [format_table()], "put the output of python -m server.rights below the mark"
