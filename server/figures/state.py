"""What the ops port tells of the shared state."""

from collections.abc import Iterable

from fleet.replication.figures import MemberFigures
from server.figures.exposition import build_family, label_cluster

_FAMILIES = (
    ("writer", "Whether this replica watches the cluster and publishes it (1), or follows another (0).", "writes"),
    ("lag_seconds", "Time that the newest message took to this follower.", "lag_seconds"),
    ("last_sequence", "Newest message of the cluster's stream that was written or applied.", "last_sequence"),
    ("pending", "Messages that are not published yet.", "pending"),
    ("messages_published_total", "Messages that were published.", "published"),
    ("bytes_published_total", "Bytes that were published.", "published_bytes"),
    ("messages_refused_total", "Messages that were refused, since another replica writes.", "refused"),
    ("messages_received_total", "Messages that were received.", "received"),
    ("bytes_received_total", "Bytes that were received.", "received_bytes"),
    ("lists_total", "Lists that the cluster was asked for.", "lists"),
    ("snapshots_total", "Times that the stream was read from its beginning.", "snapshots"),
)


def build_state_exposition(members: Iterable[MemberFigures], *, connected: bool) -> str:
    """One replica's. What does not apply to a cluster here is missing."""
    listed = [(label_cluster(figures.cluster), figures) for figures in members]
    text = build_family("openmcp_state_connected", "Whether NATS is reached (1) or not (0).", [("", int(connected))])
    for name, words, field in _FAMILIES:
        samples = [(labels, getattr(figures, field)) for labels, figures in listed]
        told = [
            (labels, f"{value:g}" if isinstance(value, float) else int(value))
            for labels, value in samples
            if value is not None
        ]
        text += build_family(f"openmcp_state_{name}", words, told, "counter" if name.endswith("_total") else "gauge")
    return text
