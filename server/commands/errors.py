"""What a person got wrong on the command line: one clear message and exit code 2, never a traceback."""

import os
import sys
from collections.abc import Sequence

import click

from auth.users import find_selector_mistake
from fleet.model.told import detail_of
from fleet.model.visibility import Scope
from server.own_command import NAME

_FROM_STDIN = f"{__name__}.from_stdin"


class CliError(click.ClickException):
    """Printed as `Error: <message>`, with what only who runs the server is told."""

    def __init__(self, message: str) -> None:
        super().__init__(detail_of(message))

    exit_code = 2


def examples(*arguments: str) -> str:
    """The end of a command's help: lines that can be typed."""
    return "\n".join(["\b", "Examples:", *(f"  {NAME} {each}" for each in arguments)])


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


def _note(context: click.Context, _option: click.Parameter, value: bool) -> None:
    context.find_root().meta[_FROM_STDIN] = value


password_option = click.option(
    "--password-stdin",
    is_flag=True,
    expose_value=False,
    callback=_note,
    help="Take the password from standard input, its first line.",
)


def ask_password(*, confirm: bool = False) -> str:
    """Of standard input where that was asked for, else of OPENMCP_PASSWORD, else what is typed.

    Raises CliError where there is none.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().meta.get(_FROM_STDIN):
        if first := sys.stdin.readline().rstrip("\r\n"):
            return first
        raise CliError("standard input has no password in its first line")
    if given := os.environ.get("OPENMCP_PASSWORD"):
        return given
    try:
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=confirm, err=True)
    except click.Abort as error:
        raise CliError("no password was given; type it, use --password-stdin, or set OPENMCP_PASSWORD") from error
    return typed
