"""Manifests of trusted documents, as client tools write them.

Two forms are understood: `{"id": "text", ...}`, as Relay's compiler writes it (`persistConfig.file`), and Apollo's
`{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id", "body", ...}, ...]}`, as
`@apollo/generate-persisted-query-manifest` writes it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
from graphql import GraphQLSyntaxError, parse

MAX_MANIFEST = 16 << 20
"""Bytes of a manifest."""

_APOLLO_FORMAT = "apollo-persisted-query-manifest"


class ManifestInvalid(Exception):
    """A manifest can't be used; the message says what is wrong in it."""


def read_manifest(path: Path) -> Mapping[str, str]:
    """The texts by id. Raises ManifestInvalid, also for a file that can't be read and for a text that is no GraphQL."""
    try:
        if path.stat().st_size > MAX_MANIFEST:
            raise ManifestInvalid(f"is larger than {MAX_MANIFEST:,} bytes")
        written = orjson.loads(path.read_bytes())
    except OSError as error:
        raise ManifestInvalid(f"can't be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise ManifestInvalid(f"is not JSON: {error}") from error
    texts: dict[str, str] = {}
    for name, text in _entries(written):
        if not isinstance(name, str) or not name or not isinstance(text, str):
            raise ManifestInvalid(f"has an entry whose id and text are not strings: {name!r:.80}")
        if texts.setdefault(name, text) != text:
            raise ManifestInvalid(f"has two texts with the id {name[:80]!r}")
        try:
            parse(text, no_location=True)
        except GraphQLSyntaxError as error:
            raise ManifestInvalid(f"has a text that is no GraphQL, {name[:80]!r}: {error.message}") from error
    if not texts:
        raise ManifestInvalid("has no documents in it, so that nothing could be asked")
    return texts


def _entries(written: Any) -> Iterable[tuple[Any, Any]]:
    if not isinstance(written, dict):
        raise ManifestInvalid(f"is neither an object of texts by id nor a manifest of the format {_APOLLO_FORMAT}")
    if "format" not in written:
        return written.items()
    operations = written.get("operations")
    if written["format"] != _APOLLO_FORMAT or written.get("version") != 1 or not isinstance(operations, list):
        raise ManifestInvalid(f"is not of the format {_APOLLO_FORMAT}, version 1, with a list of `operations`")
    if not all(isinstance(operation, dict) for operation in operations):
        raise ManifestInvalid("has `operations` that are not objects with `id` and `body`")
    return [(operation.get("id"), operation.get("body")) for operation in operations]
