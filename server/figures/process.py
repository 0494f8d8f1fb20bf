"""What is told of the process: what it is asked, its ports, its event loop and its memory."""

import asyncio
import logging
import platform
import resource
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from auth.authenticator import Authenticator
from server.asgi.connections import Connections
from server.asgi.requests import RequestCounts
from server.audit_log import AuditLog
from server.figures.figure import Figure, Samples, Value, one, outcomes_of
from server.log_handler import LogHandler
from server.process_counts import ProcessCounts
from server.tls import ReloadingCertificate

if TYPE_CHECKING:
    from server.tracing.exporter import Exporter


class Serving(Struct, frozen=True):
    """What users' ports have."""

    connections: Connections
    certificate: ReloadingCertificate | None = None


def _max_resident_bytes() -> int:
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes if sys.platform == "darwin" else kibibytes * 1024


@cache
def _find_memory_limit() -> int | None:
    """Of the control group, version 2 or 1, in whose name space a container is; None where there is none."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limit = int(Path(path).read_text())
        except (OSError, ValueError):  # "max" is no number
            continue
        return limit if limit < 1 << 60 else None
    return None


def _describe_build() -> Value:
    return {"version": version("openmcp-apiserver"), "python": platform.python_version()}


ALWAYS: tuple[Figure[None], ...] = (
    Figure("openmcp_up", "gauge", "Always 1: the process answers.", one(lambda _: 1)),
    Figure("openmcp_build_info", "info", "Which version this is, and its Python's.", one(lambda _: _describe_build())),
    Figure("openmcp_process_tasks", "gauge", "Tasks of the event loop.", one(lambda _: len(asyncio.all_tasks()))),
    Figure(
        "openmcp_process_max_resident_bytes",
        "gauge",
        "Largest resident size of the process so far.",
        one(lambda _: _max_resident_bytes()),
    ),
    Figure(
        "openmcp_memory_limit_bytes",
        "gauge",
        "What the container may take, all its processes together; missing where nothing is set.",
        one(lambda _: _find_memory_limit()),
    ),
    Figure(
        "openmcp_log_lines_lost_total",
        "counter",
        "Lines of the log that came faster than it was read.",
        one(lambda _: _count_lost_lines()),
    ),
)


def _count_lost_lines() -> int:
    return sum(handler.dropped for handler in logging.getLogger().handlers if isinstance(handler, LogHandler))


def _read_counts(requests: RequestCounts) -> Samples:
    return requests.counts.items()


REQUESTS: tuple[Figure[RequestCounts], ...] = (
    Figure(
        "openmcp_http_requests_total",
        "counter",
        "Requests of users' ports that have ended, by route, method and status (499: the caller left).",
        _read_counts,
        ("route", "method", "code"),
    ),
    Figure(
        "openmcp_http_request_duration_seconds",
        "histogram",
        "Time from a request's head to its answer's end, but for watches, followed logs and other streams.",
        lambda requests: [((route,), found) for route, found in requests.durations.items()],
        ("route",),
    ),
)

LOOP: tuple[Figure[ProcessCounts], ...] = (
    Figure(
        "openmcp_event_loop_lag_seconds",
        "histogram",
        "How late the event loop is with what is due, looked at four times a second.",
        one(lambda counts: counts.lag),
    ),
    Figure(
        "openmcp_gc_pause_seconds",
        "histogram",
        "How long the garbage collector stopped all else, by generation.",
        lambda counts: [((generation,), found) for generation, found in counts.collections.items()],
        ("generation",),
    ),
)

SIGN_INS: tuple[Figure[Authenticator], ...] = (
    Figure(
        "openmcp_sign_ins_total",
        "counter",
        "Sign-ins: ok, refused, delayed (not looked at, after too many that failed).",
        lambda authenticator: outcomes_of(authenticator.sign_ins, ("ok", "refused", "delayed")),
        ("outcome",),
    ),
)

SPANS: tuple[Figure["Exporter"], ...] = (
    Figure(
        "openmcp_trace_spans_total",
        "counter",
        "Spans: sent, refused by the collector, dropped (too many waited).",
        lambda spans: [(("sent",), spans.sent), (("refused",), spans.refused), (("dropped",), spans.dropped)],
        ("outcome",),
    ),
)

SERVING: tuple[Figure[Serving], ...] = (
    Figure(
        "openmcp_http_connections",
        "gauge",
        "Connections of users' ports that are open.",
        one(lambda serving: len(serving.connections)),
    ),
    Figure(
        "openmcp_http_max_connections",
        "gauge",
        "How many there may be.",
        one(lambda serving: serving.connections.options.most),
    ),
    Figure(
        "openmcp_http_connections_refused_total",
        "counter",
        "Connections that were one too many.",
        one(lambda serving: serving.connections.refused),
    ),
    Figure(
        "openmcp_http_connections_stalled_total",
        "counter",
        "Connections that were cut off, since their callers took nothing.",
        one(lambda serving: serving.connections.stalled),
    ),
    Figure(
        "openmcp_certificate_end_timestamp_seconds",
        "gauge",
        "When the certificate of the main port ends, in Unix time; missing without HTTPS.",
        one(lambda serving: None if serving.certificate is None else serving.certificate.ends_at.timestamp()),
    ),
)

AUDIT: tuple[Figure[AuditLog], ...] = (
    Figure(
        "openmcp_audit_lines_written_total",
        "counter",
        "Lines of the audit log that were written.",
        one(lambda audit: audit.written),
    ),
    Figure(
        "openmcp_audit_lines_lost_total",
        "counter",
        "Lines of the audit log that could not be written.",
        one(lambda audit: audit.dropped),
    ),
)
