"""What every command says of itself: examples that can be typed, and completion for shells."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator

import click
import pytest

from graph.schema import schema
from server.commands.main import main
from tests.processes import COMMAND

SHELL = re.compile(r" [|<>] .*")


def list_commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from list_commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(list_commands(main))


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "(none)")
def test_its_help_ends_with_examples_that_it_takes(path: tuple[str, ...]) -> None:
    _, _, lines = (COMMANDS[path].epilog or "").partition("Examples:\n")
    assert lines
    for line in lines.splitlines():
        program, *arguments = shlex.split(SHELL.sub("", line))
        assert program == "openmcp-apiserver"
        taken = max((known for known in COMMANDS if arguments[: len(known)] == list(known)), key=len)
        assert taken[: len(path)] == path
        allowed = [
            each if each not in ("users.yaml", "openmcp.yaml", "pods.graphql", "ca.crt") else os.devnull
            for each in arguments[len(taken) :]
        ]
        assert [schema.find_mistakes(each) for each in allowed if each.startswith("{")] in ([], [[]])
        with COMMANDS[taken].make_context(" ".join(taken), allowed):
            pass


@pytest.mark.parametrize(
    ("typed", "offered"), [("user can", "can-i"), ("check --out", "--output"), ("check --output js", "json")]
)
def test_a_shell_completes_it(typed: str, offered: str) -> None:
    asked = {"_OPENMCP_APISERVER_COMPLETE": "bash_complete", "COMP_CWORD": str(len(typed.split()))}
    known = os.environ | asked | {"COMP_WORDS": f"openmcp-apiserver {typed}"}
    done = subprocess.run([COMMAND], env=known, capture_output=True, text=True, timeout=60, check=True)
    assert f"plain,{offered}" in done.stdout.split()
