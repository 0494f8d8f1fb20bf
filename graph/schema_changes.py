"""Breaking changes of the schema: none without a line in the changelog.

    python -m graph.schema_changes BASELINE SCHEMA CHANGELOG

compares two schemas as text, needs no network and no history, and fails where something that a client could use is gone
or means something else, unless CHANGELOG names it in backquotes (`Pod.status`, or `Pod` for a whole type) under
"Changed" or "Removed" of its newest version. The baseline is the schema of the last release; a release replaces it.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from graphql import BreakingChange, GraphQLSchema, build_schema, find_breaking_changes

_VERSION = re.compile(r"^## ", re.MULTILINE)
_SECTION = re.compile(r"^### +(.+?) *$", re.MULTILINE)
_NAMED = re.compile(r"`([A-Za-z_]\w*(?:\.\w+)?)`")
_PLACE = re.compile(r"[A-Za-z_]\w*\.\w+")
_WORD = re.compile(r"[A-Za-z_]\w*")
_ALLOWING = ("Changed", "Removed")


def find_unnamed(baseline: str, schema: str, changelog: str) -> list[str]:
    """What breaks clients of `baseline` and is not named in the changelog, in words. Raises GraphQLSyntaxError."""
    old, new = build_schema(baseline), build_schema(schema)
    named = read_named(changelog)
    return [change.description for change in find_breaking_changes(old, new) if not _places(change, old) & named]


def read_named(changelog: str) -> frozenset[str]:
    """What the newest version's "Changed" and "Removed" name in backquotes."""
    versions = _VERSION.split(changelog)
    newest = versions[1] if len(versions) > 1 else ""
    _, *parts = _SECTION.split(newest)
    sections = zip(parts[::2], parts[1::2], strict=True)
    return frozenset(name for title, text in sections if title in _ALLOWING for name in _NAMED.findall(text))


def main(arguments: Iterable[str]) -> int:
    """The exit status: 1 where a breaking change is not named."""
    baseline, schema, changelog = (Path(name).read_text(encoding="utf-8") for name in arguments)
    unnamed = find_unnamed(baseline, schema, changelog)
    for description in unnamed:
        sys.stderr.write(f"breaking change of the schema: {description}\n")
    if unnamed:
        sys.stderr.write('name each as `Type.field` under "Changed" or "Removed" of the changelog, or take it back\n')
    return 1 if unnamed else 0


def _places(change: BreakingChange, old: GraphQLSchema) -> set[str]:
    """How the changelog may name it: `Type.field` where the change is of a field or a value, else the type.

    graphql-core tells a change in words only; names are taken from them as far as the old schema knows them.
    """
    places = set(_PLACE.findall(change.description))
    if places:
        return places
    words = _WORD.findall(change.description)
    types = {word for word in words if word in old.type_map}
    return types | {f"{kind}.{word}" for kind in types for word in words if word != kind}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
