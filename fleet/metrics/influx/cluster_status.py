"""The platform's measurement `ClusterStatus` (tag `cluster`; scores are numbers, warnings booleans): asked and read."""

import math
from collections.abc import Mapping
from typing import Any

from fleet.metrics.influx.layout import Query, Value
from fleet.metrics.influx.rows import InfluxSeries
from fleet.model.cluster_status import ClusterStatus
from fleet.model.errors import MetricsUnavailable

SCORES: Mapping[str, str] = {
    "cpuScore": "cpu_score",
    "memScore": "memory_score",
    "diskScore": "disk_score",
    "netScore": "network_score",
    "latencyScore": "latency_score",
}
WARNINGS: Mapping[str, str] = {
    "cpuWarning": "cpu_warning",
    "memWarning": "memory_warning",
    "diskWarning": "disk_warning",
    "netWarning": "network_warning",
    "latencyWarning": "latency_warning",
}
_COLUMNS = (*SCORES, *WARNINGS)


def build_statuses(cluster: str, *, start_ns: int | None, end_ns: int | None, limit: int) -> Query:
    """The newest `limit` points of a cluster in [start, end), newest first; with neither bound the newest one."""
    params: dict[str, Value] = {"cluster": cluster, "limit": 1 if start_ns is None and end_ns is None else limit}
    conditions = ["cluster = $cluster"]
    for name, sign, bound in (("start", ">=", start_ns), ("end", "<", end_ns)):
        if bound is not None:
            params[name] = bound
            conditions.append(f"time {sign} ${name}")
    chosen = ",".join(_COLUMNS)
    text = f"SELECT {chosen} FROM ClusterStatus WHERE {' AND '.join(conditions)} ORDER BY time DESC LIMIT $limit"  # noqa: S608 - constants and bound names only
    return Query(text, params)


def read_statuses(answer: list[InfluxSeries]) -> list[ClusterStatus]:
    """All rows, oldest first. Raises MetricsUnavailable where they are not what was asked for."""
    statuses = []
    for series in answer:
        if tuple(series.columns) != ("time", *_COLUMNS):
            raise MetricsUnavailable("InfluxDB's answer has other columns than were asked for")
        for row in series.values:
            if len(row) != len(series.columns) or type(row[0]) is not int:
                raise MetricsUnavailable("InfluxDB's answer has other columns than were asked for")
            statuses.append(_build_status(dict(zip(series.columns, row, strict=True))))
    return sorted(statuses, key=lambda status: status.time_ns)


def _build_status(row: Mapping[str, Any]) -> ClusterStatus:
    measured: dict[str, Any] = {name: _number(row[column]) for column, name in SCORES.items()}
    for column, name in WARNINGS.items():
        measured[name] = row[column] if isinstance(row[column], bool) else None
    return ClusterStatus(time_ns=row["time"], **measured)


def _number(cell: object) -> int | float | None:
    """The cell where it is a number: a bool is none, whatever Python says."""
    if isinstance(cell, bool) or not isinstance(cell, int | float) or not math.isfinite(cell):
        return None
    return cell
