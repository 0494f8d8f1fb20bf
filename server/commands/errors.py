"""What a person got wrong on the command line: one clear message and exit code 2, never a traceback."""

import os
from collections.abc import Sequence

import click

from auth.users import find_selector_mistake
from fleet.model.told import detail_of
from fleet.model.visibility import Scope


class CliError(click.ClickException):
    """Printed as `Error: <message>`, with what only who runs the server is told."""

    def __init__(self, message: str) -> None:
        super().__init__(detail_of(message))

    exit_code = 2


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Cells under each other, the first row's names above."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def describe_clusters(scope: Scope) -> str:
    """Patterns and labels in a cell of a table."""
    patterns = ",".join(scope.clusters) or "-"
    return f"{patterns} ({scope.cluster_labels})" if scope.cluster_labels else patterns


def check_selector(selector: str) -> None:
    """Raises CliError where it is no label selector."""
    if wrong := find_selector_mistake(selector):
        raise CliError(f"--cluster-labels is {selector!r}: {wrong}")


def ask_password(*, confirm: bool = False) -> str:
    """The password in OPENMCP_PASSWORD, else what is typed. Raises CliError where there is neither."""
    given = os.environ.get("OPENMCP_PASSWORD")
    if given:
        return given
    try:
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=confirm, err=True)
    except click.Abort as error:
        raise CliError("no password was given; type it, or set OPENMCP_PASSWORD") from error
    return typed
