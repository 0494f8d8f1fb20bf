"""A tracer that keeps spans where a test can look at them."""

from collections.abc import Iterator
from contextlib import contextmanager

from fleet.aio import tracing
from fleet.aio.tracing import Span
from server.tracing.exporter import Exporter
from server.tracing.sampling import Sampler
from server.tracing.tracer import OtlpTracer


class Keeping(OtlpTracer):
    """`spans` are those that have ended, in that order."""

    def __init__(self, sampler: Sampler) -> None:
        super().__init__(Unsent(), sampler)
        self.spans: list[Span] = []

    def take(self, span: Span) -> None:
        self.spans.append(span)


class Unsent(Exporter):
    """Sends nothing."""

    def __init__(self) -> None:
        pass


@contextmanager
def keeping(sampler: Sampler | None = None) -> Iterator[Keeping]:
    """Traces until the `with` is left."""
    tracer = Keeping(sampler or Sampler())
    before, tracing.tracer = tracing.tracer, tracer
    try:
        yield tracer
    finally:
        tracing.tracer = before
