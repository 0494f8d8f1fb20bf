"""The platform's measurement `ClusterStatus` (tag `cluster`; scores are numbers, warnings booleans): asked and read."""

import math
from collections.abc import Mapping
from typing import Any

from fleet.metrics.influx.influxql_text import Bound
from fleet.metrics.influx.layout import Query
from fleet.metrics.influx.rows import InfluxSeries
from fleet.model.cluster_status import ClusterStatus
from fleet.model.errors import MetricsUnavailable

_NAMES = {"cpu": "cpu", "mem": "memory", "disk": "disk", "net": "network", "latency": "latency"}
SCORES = {f"{short}Score": f"{name}_score" for short, name in _NAMES.items()}
WARNINGS = {f"{short}Warning": f"{name}_warning" for short, name in _NAMES.items()}
_COLUMNS = (*SCORES, *WARNINGS)


def build_statuses(cluster: str, *, start_ns: int | None, end_ns: int | None, limit: int) -> Query:
    """The newest `limit` points of a cluster in [start, end), newest first; with neither bound the newest one."""
    bound = Bound()
    conditions = [f"cluster = {bound.name(cluster)}", *bound.span(start_ns, end_ns)]
    newest = bound.name(1 if start_ns is None and end_ns is None else limit)
    return bound.select(_COLUMNS, "ClusterStatus", conditions, f" ORDER BY time DESC LIMIT {newest}")


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
