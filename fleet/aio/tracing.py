"""The port of tracing: what is under way, as spans, for whoever set `tracer`.

It is None where nobody wants to know, and a seam looks at it before anything else. Spans are begun in what is traced
already (a request, an operation of a subscription), or by `tracer.begin`; an ended span is nobody's parent, so that
work which outlives its request is no part of it.

Source: OpenTelemetry, Trace API; W3C Trace Context, section 3.2 (traceparent).
"""

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from enum import IntEnum
from random import getrandbits
from types import TracebackType
from typing import Protocol, Self

Value = str | int | float | bool
"""Of an attribute."""


class Kind(IntEnum):
    """What a span is of, by its number in OTLP."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


class Span:
    """Something that is under way, with whose `with` it ends; or the context alone of a request that is not `sampled`.

    Ids are numbers, times nanoseconds of Unix time; `state` is the caller's `tracestate`. Attributes hold no
    credential, no variable of an operation and no query of a URL.
    """

    __slots__ = (
        "_before",
        "attributes",
        "end_ns",
        "failed",
        "kind",
        "name",
        "parent_id",
        "sampled",
        "span_id",
        "start_ns",
        "state",
        "trace_id",
    )

    def __init__(
        self,
        name: str,
        kind: Kind,
        attributes: dict[str, Value],
        trace_id: int,
        parent_id: int = 0,
        state: bytes = b"",
        *,
        sampled: bool = True,
    ) -> None:
        self.name = name
        self.kind = kind
        self.attributes = attributes
        self.trace_id = trace_id
        self.parent_id = parent_id
        self.state = state
        self.sampled = sampled
        self.span_id = getrandbits(64)  # nosec B311 - tells spans apart, protects nothing
        self.start_ns = time.time_ns()
        self.end_ns = 0
        self.failed = False
        self._before: Span | None = None

    @property
    def traceparent(self) -> bytes:
        """The header for who is asked for its sake."""
        return b"00-%032x-%016x-%02x" % (self.trace_id, self.span_id, self.sampled)

    def fail(self, reason: str) -> None:
        """It goes wrong; the reason is one of few: a class of errors, a status."""
        self.failed = True
        self.attributes["error.type"] = reason

    def note_status(self, status: int, wrong: int) -> None:
        """The status of HTTP, which from `wrong` on says that it failed."""
        self.attributes["http.response.status_code"] = status
        if status >= wrong:
            self.fail(str(status))

    def end(self, error: BaseException | None = None) -> None:
        """It is over, by an error or without; the first time counts. To be cancelled is no failure."""
        if self.end_ns:
            return
        self.end_ns = time.time_ns()
        if isinstance(error, Exception):
            self.fail(type(error).__name__)
        elif error is not None:
            self.attributes["openmcp.cancelled"] = True
        if self.sampled and tracer is not None:
            tracer.take(self)

    def __enter__(self) -> Self:
        self._before = _CURRENT.get()
        _CURRENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _CURRENT.set(self._before)  # not by a token: a generator may be closed in another context
        self.end(error)


class Tracer(Protocol):
    """Who wants to know."""

    def begin(
        self, name: str, kind: Kind, attributes: dict[str, Value], headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> Span:
        """The first span here of a trace, which is sampled or not; the headers, in lower case, may say of which."""

    def take(self, span: Span) -> None:
        """A sampled span that has ended."""


tracer: Tracer | None = None

UNTRACED: AbstractContextManager[None] = nullcontext()

_CURRENT: ContextVar[Span | None] = ContextVar("span", default=None)


def current_span() -> Span | None:
    """What is under way here, sampled or not; None where nothing is traced."""
    span = _CURRENT.get()
    return None if span is None or span.end_ns else span


def child(name: str, attributes: dict[str, Value], kind: Kind = Kind.INTERNAL) -> Span | None:
    """A span of what is under way; None where that is not sampled."""
    parent = _CURRENT.get()
    if parent is None or not parent.sampled or parent.end_ns:
        return None
    return Span(name, kind, attributes, parent.trace_id, parent.span_id, parent.state)


def spanning(name: str) -> AbstractContextManager[Span | None]:
    """Around a step of what is under way."""
    return UNTRACED if tracer is None else child(name, {}) or UNTRACED


def beginning(name: str, attributes: dict[str, Value]) -> AbstractContextManager[Span | None]:
    """Around work of the server's own, a trace of its own."""
    return UNTRACED if tracer is None else tracer.begin(name, Kind.INTERNAL, attributes)
