"""What a check says: a row for each thing that was tried, as a table and as JSON."""

import textwrap
from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal

import click
import msgspec
from msgspec import Struct

State = Literal["ok", "warn", "ill"]

_SHOWN = {"ok": "ok  ", "warn": "warn", "ill": "ILL "}
_COLOURS = {"ok": "green", "warn": "yellow", "ill": "red"}
_NARROWEST = 20
"""Columns that are left for words, however narrow the terminal."""


class Row(Struct, frozen=True):
    """One thing that was tried: `warn` serves, and is hardly meant. `mend` is the command that mends it, if one does.

    `is_member` is one of the clusters that may be ill while the configuration is right.
    """

    what: str
    state: State
    said: str
    mend: str = ""
    is_member: bool = False

    @property
    def works(self) -> bool:
        return self.state != "ill"


class _Report(Struct, frozen=True, rename="camel"):
    version: str
    exit_status: int
    checks: list["_Check"]


class _Check(Struct, frozen=True):
    what: str
    state: State
    said: str
    mend: str | None
    member: bool


def find_status(rows: Sequence[Row], *, strict: bool) -> int:
    """What the command exits with: 1 where something must be mended for `serve` to be of use; with `strict` at all."""
    return int(any(not row.works and (strict or not row.is_member) for row in rows))


def format_rows(rows: Sequence[Row], width: int | None = None) -> str:
    """A line a row, and one more with the command that mends it; `width` is that of a terminal, which gets colours."""
    indent = max(len(row.what) for row in rows) + 7
    lines = []
    for row in rows:
        state = _SHOWN[row.state] if width is None else click.style(_SHOWN[row.state], fg=_COLOURS[row.state])
        head, *rest = _wrap(row.said, indent, width)
        lines.append(f"{row.what:<{indent - 7}}  {state} {head}".rstrip())
        lines += [f"{'':{indent}}{line}" for line in rest]
        if row.mend:  # never broken: it is there to be copied
            command = f"$ {row.mend}"
            lines.append(" " * indent + (command if width is None else click.style(command, bold=True)))
    return "\n".join(lines)


def format_json(rows: Sequence[Row], status: int) -> str:
    """The same for programs; docs/reference/check.md says what each field is, and what never changes."""
    checks = [_Check(row.what, row.state, row.said, row.mend or None, row.is_member) for row in rows]
    report = _Report(version("openmcp-apiserver"), status, checks)
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()


def _wrap(said: str, indent: int, width: int | None) -> list[str]:
    if width is None:
        return [said]
    room = max(_NARROWEST, width - indent)
    return textwrap.wrap(said, room, break_long_words=False, break_on_hyphens=False) or [""]
