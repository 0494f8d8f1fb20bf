"""What is told of operations of the graph, of who waits for their turn, and of what is followed live."""

from fleet.aio.admission import Admission
from graph.figures import OUTCOMES, Operations
from graph.subscriptions.hub import Hub
from server.figures.figure import Figure, Samples, one


def _read_outcomes(operations: Operations) -> Samples:
    for name in operations.durations:
        for outcome in OUTCOMES:
            yield (name, outcome), operations.outcomes[name, outcome]


OPERATIONS: tuple[Figure[Operations], ...] = (
    Figure(
        "openmcp_graphql_operations_total",
        "counter",
        "Operations by name (the 50 that are asked often; else anonymous or other): ok, partial (a part failed), "
        "refused, too_dear (by its cost), failed (a fault of this server, or out of time).",
        _read_outcomes,
        ("operation", "outcome"),
    ),
    Figure(
        "openmcp_graphql_operation_duration_seconds",
        "histogram",
        "Time that an operation took from when its turn came to its result.",
        lambda operations: [((name,), found) for name, found in operations.durations.items()],
        ("operation",),
    ),
    Figure(
        "openmcp_graphql_cost_units_total",
        "counter",
        "What operations were estimated at, those too dear among them.",
        one(lambda operations: operations.cost),
    ),
)

ADMISSION: tuple[Figure[Admission], ...] = (
    Figure(
        "openmcp_requests_at_work",
        "gauge",
        "Operations of the graph that are worked on.",
        one(lambda admission: admission.at_work),
    ),
    Figure(
        "openmcp_requests_waiting",
        "gauge",
        "Operations that wait for their turn.",
        one(lambda admission: admission.waiting),
    ),
    Figure(
        "openmcp_requests_refused_total",
        "counter",
        "Requests that were too many so far.",
        one(lambda admission: admission.refusals.count + admission.rate.refusals.count),
    ),
)

LIVE: tuple[Figure[Hub], ...] = (
    Figure(
        "openmcp_live_connections",
        "gauge",
        "WebSockets and streams of events that are open.",
        one(lambda hub: hub.connections),
    ),
    Figure("openmcp_live_operations", "gauge", "Operations that are open on them.", one(lambda hub: hub.operations)),
    Figure(
        "openmcp_live_channels",
        "gauge",
        "Questions that are followed; operations that ask the same share one.",
        one(lambda hub: hub.channels),
    ),
    Figure("openmcp_live_messages_total", "counter", "Results that were sent on them.", one(lambda hub: hub.messages)),
    Figure(
        "openmcp_live_held_bytes",
        "gauge",
        "What channels hold of rendered objects.",
        one(lambda hub: hub.held_bytes),
    ),
    Figure(
        "openmcp_live_max_held_bytes",
        "gauge",
        "What they may hold at most.",
        one(lambda hub: hub.options.max_held_bytes),
    ),
    Figure(
        "openmcp_live_watched_bytes",
        "gauge",
        "What is kept of kinds that are followed.",
        one(lambda hub: hub.grounds.federation.kinds.held_bytes),
    ),
)
