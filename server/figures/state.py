"""What is told of the shared state, by one replica. What does not apply to a cluster here is missing."""

from collections.abc import Callable
from operator import attrgetter

from msgspec import Struct

from fleet.replication.figures import MemberFigures
from server.figures.figure import Figure, Kind, Samples, one


class Shared(Struct, frozen=True):
    """The state as it is: whether NATS is reached, and each member's stream."""

    is_connected: bool
    members: tuple[MemberFigures, ...]


def _figure(name: str, words: str, field: str, kind: Kind = "gauge") -> Figure[Shared]:
    value: Callable[[MemberFigures], float | None] = attrgetter(field)

    def read(shared: Shared) -> Samples:
        return [((member.cluster,), value(member)) for member in shared.members]

    return Figure(f"openmcp_state_{name}", kind, words, read, ("cluster",))


FIGURES: tuple[Figure[Shared], ...] = (
    Figure(
        "openmcp_state_connected",
        "gauge",
        "Whether NATS is reached (1) or not (0).",
        one(lambda shared: int(shared.is_connected)),
    ),
    _figure(
        "writer", "Whether this replica watches the cluster and publishes it (1) or follows another (0).", "writes"
    ),
    _figure("lag_seconds", "Time that the newest message took to this follower.", "lag_seconds"),
    _figure("last_sequence", "Newest message of the cluster's stream that was written or applied.", "last_sequence"),
    _figure("pending", "Messages that are not published yet.", "pending"),
    _figure("messages_published_total", "Messages that were published.", "published", "counter"),
    _figure("bytes_published_total", "Bytes that were published.", "published_bytes", "counter"),
    _figure("messages_refused_total", "Messages that were refused: another replica writes.", "refused", "counter"),
    _figure("messages_received_total", "Messages that were received.", "received", "counter"),
    _figure("bytes_received_total", "Bytes that were received.", "received_bytes", "counter"),
    _figure("lists_total", "Lists that the cluster was asked for.", "lists", "counter"),
    _figure("snapshots_total", "Times that the stream was read from its beginning.", "snapshots", "counter"),
)
