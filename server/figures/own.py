"""The figures of this process, from what it has open."""

import asyncio
import resource
import sys
from collections.abc import Iterable, Sequence

from fleet.aio.admission import Admission
from fleet.collector.outputs import Buffer
from fleet.model.objects import Cluster, ClusterHealth
from fleet.model.visibility import EVERYTHING
from graph.subscriptions.hub import Hub
from server.audit_log import AuditLog
from server.figures.exposition import build_family, label_cluster
from server.figures.metric_file import build_file_exposition
from server.figures.state import build_state_exposition
from server.lifespan import State


def build_own_exposition(state: State, started_at: float) -> str:
    """The figures of this process as text. `started_at` is in Unix seconds."""
    tasks = build_family("openmcp_process_tasks", "Tasks of the event loop.", [("", len(asyncio.all_tasks()))])
    text = build_exposition(state["federation"].list_clusters(EVERYTHING), started_at)
    text += build_live_exposition(state["live"]) + build_admission_exposition(state["live"].grounds.admission) + tasks
    if (replica := state.get("replica")) is not None:
        text += build_state_exposition(replica.figures(), connected=replica.nats.is_connected)
    text += build_outputs_exposition(state.get("outputs", ())) + build_file_exposition(state.get("metric_file"))
    return text + _build_audit_exposition(state.get("audit"))


def build_exposition(clusters: Iterable[Cluster], started_at: float) -> str:
    """The figures as text. `started_at` is in Unix seconds."""
    listed = [(label_cluster(cluster.name), cluster) for cluster in clusters]
    ready = [(labels, int(cluster.health is ClusterHealth.READY)) for labels, cluster in listed]
    ages = [(labels, f"{cluster.age_seconds:.3f}") for labels, cluster in listed if cluster.age_seconds is not None]
    families = (
        build_family("openmcp_up", "Always 1: the process answers.", [("", 1)]),
        build_family("process_start_time_seconds", "Start of the process in Unix time.", [("", f"{started_at:.3f}")]),
        build_family(
            "openmcp_process_max_resident_bytes",
            "Largest resident size of the process so far.",
            [("", _max_resident_bytes())],
        ),
        build_family("openmcp_cluster_ready", "Whether the cluster is ready (1) or not (0).", ready),
        build_family("openmcp_cluster_age_seconds", "Time since the cluster last proved itself.", ages),
    )
    return "".join(families)


def build_live_exposition(hub: Hub) -> str:
    gauges = (
        ("connections", "WebSockets and streams of events that are open.", hub.connections),
        ("operations", "Operations that are open on them.", hub.operations),
        ("channels", "Questions that are followed; operations that ask the same share one.", hub.channels),
        ("held_bytes", "What channels hold of rendered objects.", hub.held_bytes),
        ("max_held_bytes", "What they may hold at most.", hub.options.max_held_bytes),
        ("watched_bytes", "What is kept of kinds that are followed.", hub.grounds.federation.kinds.held_bytes),
    )
    return "".join(build_family(f"openmcp_live_{name}", words, [("", value)]) for name, words, value in gauges)


def build_admission_exposition(admission: Admission) -> str:
    refused = admission.refusals.count + admission.rate.refusals.count
    families = (
        build_family(
            "openmcp_requests_at_work", "Operations of the graph that are worked on.", [("", admission.at_work)]
        ),
        build_family("openmcp_requests_waiting", "Operations that wait for their turn.", [("", admission.waiting)]),
        build_family(
            "openmcp_requests_refused_total", "Requests that were too many so far.", [("", refused)], "counter"
        ),
    )
    return "".join(families)


def build_outputs_exposition(outputs: Sequence[Buffer]) -> str:
    """How the stores take what is collected; nothing where nothing is."""
    families = (
        ("points_written_total", "Points that the store took.", "written"),
        ("points_lost_total", "Points that the store refused, or that waited for too long or were too many.", "lost"),
        ("waiting_bytes", "What waits for the store.", "waiting_bytes"),
        ("waiting_seconds", "For how long the oldest of it has waited.", "waiting_seconds"),
    )
    text = ""
    for name, words, field in families if outputs else ():
        samples = [(f'{{store="{output.name}"}}', f"{getattr(output, field):.15g}") for output in outputs]
        kind = "counter" if name.endswith("_total") else "gauge"
        text += build_family(f"openmcp_collected_{name}", words, samples, kind)
    return text


def _build_audit_exposition(audit: AuditLog | None) -> str:
    if audit is None:
        return ""
    words = "Lines of the audit log that"
    written = build_family(
        "openmcp_audit_lines_written_total", f"{words} were written.", [("", audit.written)], "counter"
    )
    lost = build_family(
        "openmcp_audit_lines_lost_total", f"{words} could not be written.", [("", audit.dropped)], "counter"
    )
    return written + lost


def _max_resident_bytes() -> int:
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes if sys.platform == "darwin" else kibibytes * 1024
