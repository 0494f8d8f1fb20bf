"""How a stored object's bytes come about: from a document someone wrote, or from a template and a few values.

A hundred clusters with a thousand pods each would be half a gigabyte of JSON; as templates they are a tenth of it.
Sources give the members of an object without its type (`kind`, `apiVersion`): lists of built-in kinds leave it out.
"""

import re
from typing import Any, Protocol

import orjson
from msgspec import Struct

_SLOT = re.compile(r'"«#(\w+)»"|«(\w+)»')
_VERSION = "«version»"


class Source(Protocol):
    """Gives the bytes of an object as it is stored under a version."""

    def render(self, version: int) -> bytes:
        """The object as compact JSON, type members left out, `metadata` first."""
        ...


class Document(Struct, frozen=True, gc=False):
    """An object that was written as a whole; its resourceVersion goes between `head` and `tail`."""

    head: bytes
    tail: bytes

    def render(self, version: int) -> bytes:
        return b"%b%d%b" % (self.head, version, self.tail)


def build_document(members: dict[str, Any]) -> Document:
    """A source from an object's members; type members and an old resourceVersion are dropped."""
    metadata = {key: value for key, value in members.get("metadata", {}).items() if key != "resourceVersion"}
    # resourceVersion comes first so that nothing a client wrote can look like its place.
    placed = {"metadata": {"resourceVersion": _VERSION, **metadata}}
    placed |= {key: value for key, value in members.items() if key not in ("metadata", "kind", "apiVersion")}
    head, _, tail = orjson.dumps(placed).partition(_VERSION.encode())
    return Document(head, tail)


class Template:
    """JSON with named slots: `«name»` inside a string, `"«#count»"` for a bare number."""

    def __init__(self, members: dict[str, Any]) -> None:
        text = orjson.dumps(members).decode()
        self._parts: list[str] = []
        self._slots: list[tuple[int, str]] = []
        end = 0
        for match in _SLOT.finditer(text):
            self._parts.append(text[end : match.start()])
            self._slots.append((len(self._parts), match[1] or match[2]))
            self._parts.append("")
            end = match.end()
        self._parts.append(text[end:])

    def render(self, values: dict[str, str]) -> bytes:
        """The text with its slots filled. Values are names, times and numbers: nothing that JSON would escape."""
        parts = self._parts.copy()
        for position, name in self._slots:
            parts[position] = values[name]
        return "".join(parts).encode()
