"""What is told of each member."""

from collections.abc import Callable, Iterator, Sequence

from fleet.members.member import Member
from fleet.model.objects import ClusterHealth
from fleet.ports import Counted
from server.figures.figure import Figure, Samples, Value, outcomes_of

Members = Sequence[Member]

OUTCOMES = ("ok", "refused", "error", "failed")
_CLUSTER = ("cluster",)


def _each(value: Callable[[Member], Value]) -> Callable[[Members], Samples]:
    return lambda members: [((member.name,), value(member)) for member in members]


def _read_health(members: Members) -> Samples:
    for member in members:
        now, _ = member.health.summary()
        for health in ClusterHealth:
            yield (member.name, health.name.lower()), int(now is health)


def _read_objects(members: Members) -> Samples:
    for member in members:
        for kind, store in member.stores.as_filled.items():
            yield (member.name, kind), len(store)
        yield (member.name, "events"), len(member.stores.events)


def _counted(members: Members) -> Iterator[tuple[str, Counted]]:
    for member in members:
        connection: object = member.connection
        if isinstance(connection, Counted):
            yield member.name, connection


def _read_calls(members: Members) -> Samples:
    for name, connection in _counted(members):
        yield from outcomes_of(connection.calls, OUTCOMES, name)


def _read_connections(members: Members) -> Samples:
    for name, connection in _counted(members):
        used, idle = connection.count_connections()
        yield (name, "used"), used
        yield (name, "idle"), idle


FIGURES: tuple[Figure[Members], ...] = (
    Figure(
        "openmcp_cluster_ready",
        "gauge",
        "Whether the cluster is ready (1) or not (0).",
        _each(lambda member: int(member.health.summary()[0] is ClusterHealth.READY)),
        _CLUSTER,
    ),
    Figure(
        "openmcp_cluster_health",
        "gauge",
        "The cluster's health as this server sees it: 1 for the one that it is in.",
        _read_health,
        ("cluster", "health"),
    ),
    Figure(
        "openmcp_cluster_age_seconds",
        "gauge",
        "Time since the cluster last proved itself; missing where it never did.",
        _each(lambda member: member.health.age_seconds),
        _CLUSTER,
    ),
    Figure(
        "openmcp_cluster_breaker_open",
        "gauge",
        "Whether the cluster is cut off after failed attempts (1), and only heartbeats ask it.",
        _each(lambda member: int(member.health.breaker.refuses)),
        _CLUSTER,
    ),
    Figure(
        "openmcp_cluster_objects",
        "gauge",
        "Objects of the cluster that are in memory, by kind.",
        _read_objects,
        ("cluster", "kind"),
    ),
    Figure(
        "openmcp_cluster_watches_total",
        "counter",
        "Watches that were opened; an API server ends each after some minutes.",
        _each(lambda member: member.follows.watches),
        _CLUSTER,
    ),
    Figure(
        "openmcp_cluster_list_duration_seconds",
        "summary",
        "Whole lists of a kind, from the first page to the last one in memory.",
        _each(lambda member: (member.follows.lists, member.follows.list_seconds)),
        _CLUSTER,
    ),
    Figure(
        "openmcp_cluster_requests_total",
        "counter",
        "Calls to the cluster's API server: ok, refused (4xx), error (5xx), failed (no whole answer).",
        _read_calls,
        ("cluster", "outcome"),
    ),
    Figure(
        "openmcp_cluster_request_duration_seconds",
        "histogram",
        "Time until the head of an answer of the cluster's API server.",
        lambda members: [((name,), connection.calls.durations) for name, connection in _counted(members)],
        _CLUSTER,
    ),
    Figure(
        "openmcp_cluster_connections",
        "gauge",
        "Connections to the cluster's API server, by whether they are used or idle.",
        _read_connections,
        ("cluster", "state"),
    ),
)
