"""Which traces are kept.

Source: OpenTelemetry, Trace SDK, "Sampling"; environment variables, "General SDK Configuration" (OTEL_TRACES_SAMPLER).
"""

from msgspec import Struct

from server.tracing.context import Remote

_RANDOM_BITS = 1 << 56
"""Of a trace's id, the last 56 bits are random whoever made it (W3C Trace Context, level 2)."""


class Sampler(Struct, frozen=True):
    """Keeps `ratio` of the traces; `follows` does as the caller does, where there is one that traces."""

    ratio: float = 1.0
    follows: bool = True

    def keeps(self, trace_id: int, remote: Remote | None) -> bool:
        if remote is not None and self.follows:
            return remote.sampled
        return trace_id % _RANDOM_BITS < self.ratio * _RANDOM_BITS


def build_sampler(name: str, argument: float) -> Sampler:
    """By a name of OTEL_TRACES_SAMPLER."""
    kind = name.removeprefix("parentbased_")
    ratio = {"always_on": 1.0, "always_off": 0.0}.get(kind, argument)
    return Sampler(ratio, follows=kind != name)
