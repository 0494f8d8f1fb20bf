"""What series of pods and nodes are called that are recorded, one a measure: written by the collector, or by rules."""

from fleet.model.usage import Kind, Measure

_LEVELS = {Kind.POD: "namespace_pod", Kind.NODE: "node"}


def recorded_name(kind: Kind, measure: Measure) -> str:
    """For example `namespace_pod:memory_bytes:sum`. Counters are counters, all others gauges, in the measure's unit.

    Labels: one that names the cluster, `namespace`, `pod` and `node`; `node` alone for nodes.
    """
    return f"{_LEVELS[kind]}:{measure.value}:sum"
