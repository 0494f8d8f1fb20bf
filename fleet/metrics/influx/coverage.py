"""Which clusters an InfluxDB has points of, by the values of their tag."""

from collections.abc import Collection

import msgspec

from fleet.metrics.influx.layout import Query
from fleet.metrics.influx.rows import InfluxSeries
from fleet.model.errors import MetricsUnavailable

_SHOWN = 10


def build_clusters() -> Query:
    """InfluxQL, which a 2.x takes as well."""
    return Query("SHOW TAG VALUES FROM Nodes,Pods WITH KEY = cluster", {})


def read_clusters(answer: list[InfluxSeries]) -> set[str]:
    """Raises MetricsUnavailable where the rows are not values of a tag."""
    try:
        return {value for series in answer for _, value in msgspec.convert(series.values, list[tuple[str, str]])}
    except msgspec.ValidationError as error:
        raise MetricsUnavailable("InfluxDB's answer has no values of the tag cluster") from error


def describe_strange(found: set[str], clusters: Collection[str]) -> str:
    """Those that are no cluster here; empty where there is none."""
    strange = sorted(found.difference(clusters))
    more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
    return f"points with cluster={', '.join(strange[:_SHOWN])}{more}, which is no cluster here" if strange else ""
