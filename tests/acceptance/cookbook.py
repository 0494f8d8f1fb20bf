"""Reads the recipes of `docs/how-to/cookbook.md` and says what an answer has in common with the printed one."""

import json
import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

COOKBOOK = Path(__file__).parents[2] / "docs" / "how-to" / "cookbook.md"
_KINDS = "graphql|graphql ill|json variables|json extensions|json answer"
_FENCE = re.compile(rf"^```({_KINDS})\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_ENUM = re.compile(r"[A-Z][A-Z_]+")


class Recipe(NamedTuple):
    """A query with its variables, its extensions and its printed answer. `ill`: it is asked while a cluster hangs."""

    query: str
    variables: dict[str, Any]
    extensions: dict[str, Any]
    answer: Any
    ill: bool = False

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.query.split()[1].partition("(")[0]


def read_recipes(text: str) -> list[Recipe]:
    """Each query with the variables, the extensions and the answer that follow it."""
    recipes: list[Recipe] = []
    for kind, body in _FENCE.findall(text):
        if kind.startswith("graphql"):
            recipes.append(Recipe(body, {}, {}, None, ill=kind.endswith("ill")))
        elif kind == "json variables":
            recipes[-1] = recipes[-1]._replace(variables=json.loads(body))
        elif kind == "json extensions":
            recipes[-1] = recipes[-1]._replace(extensions=json.loads(body))
        else:
            recipes[-1] = recipes[-1]._replace(answer=json.loads(body))
    return recipes


def bring_up_to_date(variables: dict[str, Any]) -> dict[str, Any]:
    """The variables with each time replaced by one of ten seconds ago, since a test's fleet is minutes old."""
    recent = (datetime.now(UTC) - timedelta(seconds=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        name: recent if isinstance(value, str) and _TIME.fullmatch(value) else value
        for name, value in variables.items()
    }


def find_kinds(value: Any, *, exact: bool) -> dict[str, set[str]]:
    """The kinds of value at each path, items of a list at one. `exact`: an enum's value is its own kind, and a
    time is no text."""
    found: dict[str, set[str]] = defaultdict(set)

    def walk(part: Any, path: str) -> None:
        found[path].add(_kind(part, exact=exact))
        if isinstance(part, dict):
            for key, inner in part.items():
                walk(inner, f"{path}.{key}")
        elif isinstance(part, list):
            for inner in part:
                walk(inner, f"{path}[]")

    walk(value, "")
    return found


def _kind(value: Any, *, exact: bool) -> str:
    if isinstance(value, bool) or value is None:
        return "null" if value is None else "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        if _TIME.fullmatch(value):
            return "time" if exact else "text"
        return (value if exact else "ENUM") if _ENUM.fullmatch(value) else "text"
    return type(value).__name__
