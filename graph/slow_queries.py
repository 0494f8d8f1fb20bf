"""Operations that took long, a log line each: by the name and the hash of their text, never by the text itself.

Literals of a text may be secrets, and variables are never logged. The first line of a hash is followed by the text with
its literals hidden: what is asked, not about whom.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graphql import GraphQLError, IntValueNode, Node, StringValueNode, Visitor, parse, print_ast, visit

from fleet.aio.lru import Lru
from fleet.aio.recorder import Recorder, recording
from fleet.aio.request_context import current_request
from graph.operation import Operation, hash_document

MAX_TEXT = 2_000
"""Characters of a text that are logged."""

_KNOWN_TEXTS = 1_000
_SLOWEST = 5
_log = logging.getLogger(__name__)


class SlowQueries:
    """Tells of operations that took `seconds` or more; of none where that is 0."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._known: Lru[str, bool] = Lru(_KNOWN_TEXTS)

    @contextmanager
    def watching(self, operation: Operation) -> Iterator[Recorder | None]:
        """Around the execution of an operation, with the record of what it takes; None where nobody wants one."""
        if not self._seconds and not operation.asked.explain:
            yield None
            return
        recorder = Recorder()
        try:
            with recording(recorder):
                yield recorder
        finally:
            if self._seconds and recorder.seconds >= self._seconds:
                self._tell(operation.query, recorder)

    def _tell(self, text: str, recorder: Recorder) -> None:
        digest = hash_document(text)
        fields = {"sha256": digest, **_describe(recorder)}
        name = fields.get("operation", "without a name")
        _log.warning("slow query %s: %.2f s", name, recorder.seconds, extra={"fields": fields})
        if self._known.get(digest) is None:
            self._known.put(digest, True)
            if (shown := hide_literals(text)) is not None:
                _log.info("the text of %s, without its literals: %s", digest, shown[:MAX_TEXT])


def hide_literals(text: str) -> str | None:
    """The text with `"*"` for each string and 0 for each number, on one line; None for what is no document."""
    try:
        return " ".join(print_ast(visit(parse(text), _Hiding())).split())
    except (GraphQLError, RecursionError):
        return None


class _Hiding(Visitor):
    def enter_string_value(self, *_: Any) -> Node:
        return StringValueNode(value="*")

    def enter_int_value(self, *_: Any) -> Node:
        return IntValueNode(value="0")

    enter_float_value = enter_int_value


def _describe(recorder: Recorder) -> dict[str, Any]:
    """Milliseconds of all of it, and of its parts: `parse`, waits for members and stores, and the rest."""
    request = current_request()
    took, waited = recorder.seconds, recorder.waited.seconds
    parsed = 0.0 if request is None else request.parse_seconds
    records = recorder.clusters
    waits = {name: record.waited.seconds for name, record in records.items() if record.waited.seconds}
    slowest = sorted(waits, key=waits.__getitem__, reverse=True)[:_SLOWEST]
    fields = {
        "operation": None if request is None else request.operation,
        "user": None if request is None else request.user,
        "cost": None if request is None else request.cost,
        "took_ms": _milliseconds(took),
        "parse_ms": _milliseconds(parsed),
        "upstream_ms": _milliseconds(waited),
        "execute_ms": _milliseconds(max(0.0, took - parsed - waited)),
        "clusters": len(records),
        "waited_ms": {name: _milliseconds(waits[name]) for name in slowest},
        "calls": sum(record.upstream_calls for record in records.values()),
        "rows": sum(record.cached_objects for record in records.values()),
        "metric_queries": recorder.metric_queries,
        "metric_rows": recorder.metric_rows,
    }
    return {name: value for name, value in fields.items() if value is not None and value != {}}


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
