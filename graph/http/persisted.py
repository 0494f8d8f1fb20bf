"""Documents that a request names by an id: automatic persisted queries, and documents that are trusted.

Source: Apollo's protocol of automatic persisted queries (`extensions.persistedQuery`), and the appendix "Persisted
Documents" of the GraphQL over HTTP specification (`documentId`). A request that brings its text needs neither, unless
trusted documents are set: then nothing else is run.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from fleet.aio.lru import Lru
from graph.errors import Code
from graph.operation import Refused

SHA256_PREFIX = "sha256:"
ENTRY_BYTES = 256
"""What a kept document costs beside its text."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_MAX_SHOWN = 80


class Documents:
    """Finds the text that a request names.

    `max_bytes` bounds what is kept for automatic persisted queries; 0 switches them off. `trusted` are the texts by id
    that may be run, None where any may.
    """

    def __init__(self, *, max_bytes: int, trusted: Mapping[str, str] | None = None) -> None:
        self.kept: Lru[str, str] = Lru(most_weight=0 if trusted is not None else max_bytes)
        """Texts by their SHA-256, in lower-case hex."""
        self._trusted = None if trusted is None else {**_by_digest(trusted), **trusted}
        self._trusted_texts = frozenset((trusted or {}).values())

    def complete(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request's parameters with the text in `query`, as far as it names one. Raises Refused."""
        query = given.get("query") or None  # an empty text beside a hash is none: some clients send it
        document_id, digest = _read_document_id(given), _read_digest(given)
        if document_id is not None and query is not None:
            raise Refused(400, "a request has a `query` or a `documentId`, not both")
        if self._trusted is not None:
            return {**given, "query": self._trust(query, document_id or digest)}
        if document_id is not None:
            return {**given, "query": self._look_up(document_id)}
        if digest is not None:
            return {**given, "query": self._automatic(digest, query)}
        return given

    def _trust(self, query: object, name: str | None) -> str:
        text = (self._trusted or {}).get(name) if name is not None else None
        if text is not None and query in (None, text):
            return text
        if isinstance(query, str) and query in self._trusted_texts and name is None:
            return query
        what = f"{name[:_MAX_SHOWN]!r} is" if name is not None and query is None else "this text is"
        raise Refused(
            403,
            f"this server runs trusted documents only, and {what} none of them: send the `documentId` of one "
            "(introspection and GraphiQL need OPENMCP_TRUSTED_DOCUMENTS to be unset)",
            Code.FORBIDDEN,
        )

    def _look_up(self, document_id: str) -> str:
        prefix, digest = document_id[: len(SHA256_PREFIX)], document_id[len(SHA256_PREFIX) :]
        if prefix != SHA256_PREFIX or not _SHA256.fullmatch(digest):
            raise Refused(
                400,
                "no trusted documents are set (OPENMCP_TRUSTED_DOCUMENTS): a `documentId` is "
                f"{SHA256_PREFIX!r} and the SHA-256 of a text that was sent before, in lower-case hex",
            )
        return self._automatic(digest, None)

    def _automatic(self, digest: str, query: object) -> str:
        if not self.kept.most_weight:
            raise Refused(
                400, "PersistedQueryNotSupported", Code.PERSISTED_QUERY_NOT_SUPPORTED, well_formed=True
            )  # the words that clients know; they send the text from then on
        if query is None:
            text = self.kept.get(digest)
            if text is None:
                raise Refused(400, "PersistedQueryNotFound", Code.PERSISTED_QUERY_NOT_FOUND, well_formed=True)
            return text
        if not isinstance(query, str) or hashlib.sha256(query.encode()).hexdigest() != digest:
            raise Refused(400, "`extensions.persistedQuery.sha256Hash` is not the SHA-256 of `query`")
        if self.kept.get(digest) is None:
            self.kept.put(digest, query, len(query.encode()) + ENTRY_BYTES)
        return query


def _by_digest(trusted: Mapping[str, str]) -> dict[str, str]:
    """Each text by the id that the specification gives any text."""
    return {SHA256_PREFIX + hashlib.sha256(text.encode()).hexdigest(): text for text in trusted.values()}


def _read_document_id(given: Mapping[str, Any]) -> str | None:
    found = given.get("documentId")
    if found is not None and (not isinstance(found, str) or not found):
        raise Refused(400, "`documentId` is not a string with an id in it")
    return found


def _read_digest(given: Mapping[str, Any]) -> str | None:
    """The digest of `extensions.persistedQuery`, None where there is none. Raises Refused."""
    extensions = given.get("extensions")
    asked = extensions.get("persistedQuery") if isinstance(extensions, dict) else None
    if asked is None:
        return None
    if not isinstance(asked, dict) or asked.get("version") != 1:
        raise Refused(400, "`extensions.persistedQuery` is an object with `version` 1 and a `sha256Hash`")
    digest = asked.get("sha256Hash")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest.lower()):
        raise Refused(400, "`extensions.persistedQuery.sha256Hash` is a SHA-256 in hex: 64 digits")
    return digest.lower()
