"""What is told of the metric store, of what is collected for it, and of the metric file."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec import Struct

from fleet.aio.recorder import METRIC_CALLS, METRIC_ROWS
from fleet.collector.outputs import Buffer
from fleet.metrics.embedded.extent import Extent
from fleet.model.usage import NANOSECONDS
from server.figures.figure import Figure, Kind, Samples, one, outcomes_of
from server.store_watch import StoreWatch

if TYPE_CHECKING:
    from fleet.metrics.embedded.store import EmbeddedStore

ASKED: tuple[Figure[None], ...] = (
    Figure(
        "openmcp_metric_store_requests_total",
        "counter",
        "Queries of the metric store: ok, refused (more than is answered), failed.",
        lambda _: outcomes_of(METRIC_CALLS, ("ok", "refused", "failed")),
        ("outcome",),
    ),
    Figure(
        "openmcp_metric_store_request_duration_seconds",
        "histogram",
        "Time that a query of the metric store took, its answer read.",
        one(lambda _: METRIC_CALLS.durations),
    ),
    Figure(
        "openmcp_metric_store_points_total",
        "counter",
        "Points that the metric store answered.",
        one(lambda _: METRIC_ROWS.value),
    ),
)

WATCHED: tuple[Figure[StoreWatch], ...] = (
    Figure(
        "openmcp_metric_store_up",
        "gauge",
        "Whether the metric store answers (1) or not (0), asked twice a minute by one process of a server.",
        one(lambda watch: None if watch.up is None else int(watch.up)),
    ),
    Figure(
        "openmcp_cluster_usage_age_seconds",
        "gauge",
        "Time since usage of the cluster was measured; missing where all of it is too old to be answered.",
        lambda watch: [((cluster,), age) for cluster, age in watch.ages().items()],
        ("cluster",),
    ),
)

Buffers = Sequence[Buffer]


def _collected(name: str, words: str, field: str, kind: Kind = "gauge") -> Figure[Buffers]:
    value: Callable[[Buffer], float] = attrgetter(field)

    def read(buffers: Buffers) -> Samples:
        return [((buffer.name,), value(buffer)) for buffer in buffers]

    return Figure(f"openmcp_collected_{name}", kind, words, read, ("store",))


COLLECTED: tuple[Figure[Buffers], ...] = (
    _collected("points_written_total", "Points that the store took.", "written", "counter"),
    _collected(
        "points_lost_total",
        "Points that the store refused, or that waited for too long or were too many.",
        "lost",
        "counter",
    ),
    _collected("waiting_bytes", "What waits for the store.", "waiting_bytes"),
    _collected("waiting_seconds", "For how long the oldest of it has waited.", "waiting_seconds"),
)

_RESOLUTIONS = {0: "points", 60: "1m", 600: "10m"}


class File(Struct, frozen=True):
    """The metric file of the process that writes it."""

    extent: Extent
    damaged: int


def find_file(store: "EmbeddedStore | None") -> File | None:
    """None where this process writes no file, and before it looked at its bounds once."""
    return None if store is None or store.extent is None else File(store.extent, store.damages.count)


def _read_oldest(file: File) -> Samples:
    for number, oldest_ns in sorted(file.extent.oldest_ns.items()):
        yield (_RESOLUTIONS[number],), (file.extent.now_ns - oldest_ns) / NANOSECONDS


def _early(file: File) -> float:
    since_ns = file.extent.early_since_ns
    return 0 if since_ns is None else (file.extent.now_ns - since_ns) / NANOSECONDS


FILE: tuple[Figure[File], ...] = (
    Figure("openmcp_metric_file_bytes", "gauge", "What the metric file takes.", one(lambda file: file.extent.bytes)),
    Figure("openmcp_metric_file_max_bytes", "gauge", "What it may take.", one(lambda file: file.extent.max_bytes)),
    Figure(
        "openmcp_metric_file_needed_bytes",
        "gauge",
        "What would keep all points for as long as is set.",
        one(lambda file: file.extent.needed_bytes),
    ),
    Figure(
        "openmcp_metric_file_oldest_seconds",
        "gauge",
        "How far back it reaches, by what is kept of points.",
        _read_oldest,
        ("resolution",),
    ),
    Figure(
        "openmcp_metric_file_early_seconds",
        "gauge",
        "For how long points have been dropped early, for want of room.",
        one(_early),
    ),
    Figure(
        "openmcp_metric_file_damaged_blocks_total",
        "counter",
        "Blocks that could not be read.",
        one(lambda file: file.damaged),
    ),
)
