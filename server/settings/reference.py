"""The table of all settings in `docs/reference/configuration.md`; `python -m server.settings.reference` prints it."""

import sys
from pathlib import Path

from pydantic_core import PydanticUndefined

from server.settings.environment import Variable, list_variables
from server.settings.groups import Settings

_TABLE_HEAD = ("| Variable | Also | Default | May be | Meaning |", "|---|---|---|---|---|")


def build_reference() -> str:
    """Markdown: a heading and a table for each group."""
    sections = []
    for group, info in Settings.model_fields.items():
        rows = [_row(variable) for variable in list_variables() if variable.group == group]
        about = (getattr(info.annotation, "__doc__", "") or "").splitlines()[0]
        sections.append("\n".join([f"### {group.capitalize()}", "", about, "", *_TABLE_HEAD, *rows]))
    return "\n\n".join(sections) + "\n"


def _row(variable: Variable) -> str:
    also = ", ".join(f"`{alias}`" for alias in variable.aliases) or "-"
    text = variable.info.description or ""
    return f"| `{variable.name}` | {also} | {_default(variable)} | {variable.values} | {text} |"


def _default(variable: Variable) -> str:
    default = variable.info.default
    if default in (None, ()) or default is PydanticUndefined:
        return "-"
    if isinstance(default, tuple):
        default = ", ".join(str(part) for part in default)
    if isinstance(default, float):
        default = f"{default:g}s"
    return f"`{default.as_posix() if isinstance(default, Path) else default}`"


if __name__ == "__main__":
    sys.stdout.write(build_reference())
