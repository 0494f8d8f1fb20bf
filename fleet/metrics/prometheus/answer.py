"""Answers of Prometheus' HTTP API, decoded: series with their samples; and refusals in the fleet's words.

Source: prometheus.io/docs/prometheus/latest/querying/api. Numbers are texts, times seconds. VictoriaMetrics says
`isPartial` where some of its storages did not answer; Thanos and Mimir say so among the warnings.
"""

import logging
import re
from collections.abc import Callable
from math import isfinite
from typing import Annotated, Any

import msgspec
from msgspec import Struct

from fleet.aio.recorder import note_rows
from fleet.metrics.pool import HttpAnswer, Refuse
from fleet.metrics.prometheus.options import PrometheusOptions
from fleet.model.errors import MetricsTooCostly, MetricsUnavailable
from fleet.model.told import Told, foreign, tell
from fleet.model.unreadable import UNREADABLE

logger = logging.getLogger(__name__)

_LIMITS = re.compile(
    # Prometheus; VictoriaMetrics; Mimir; Thanos.
    r"too many samples|maximum resolution|-search\.max|err-mimir-max|limit \d+ violated|exceeded \w+ limit",
    re.IGNORECASE,
)

VICTORIA = "X-Server-Hostname"
"""A header that VictoriaMetrics sends with every answer."""

_Sample = tuple[Annotated[float, msgspec.Meta(ge=0, lt=2**33)], float]


class Labels(Struct, gc=False):
    """Of a series' labels those that say what it is about; the others are not decoded."""

    name: str = msgspec.field(name="__name__", default="")
    cluster: str = ""
    namespace: str = ""
    pod: str = ""
    node: str = ""
    instance: str = ""
    container: str = ""
    device: str = ""
    interface: str = ""
    cpu: str = ""
    nodename: str = ""
    internal_ip: str = ""


class Rows(Struct, gc=False):
    """One series: its labels, the times of its samples in Unix nanoseconds, oldest first, and their values."""

    labels: Labels
    times_ns: list[int]
    values: list[float]


class Found(Struct, frozen=True):
    """The series of an answer, and what its server says is missing from it (empty: nothing)."""

    rows: list[Rows]
    missing: str = ""
    victoria: bool = False


class _Refusal(Struct):
    error: str = ""


class Decoder:
    """Decodes answers whose series name their cluster by a label of any name."""

    def __init__(self, cluster_label: str) -> None:
        cluster = ("cluster", str, msgspec.field(name=cluster_label, default=""))
        labels = msgspec.defstruct("Labels", [cluster], bases=(Labels,), gc=False)
        samples: tuple[Any, ...] = (("values", list[_Sample], []), ("value", _Sample | None, None))
        series = msgspec.defstruct("Series", [("metric", labels), *samples], gc=False)
        data = msgspec.defstruct("Data", [("result", list[series])])  # type: ignore[valid-type]  # made above
        answer = msgspec.defstruct("Answer", [("data", data), ("warnings", list[str], []), ("isPartial", bool, False)])
        # Numbers are texts: `strict=False` reads them.
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(answer, strict=False).decode

    def decode(self, answer: HttpAnswer) -> Found:
        """The series of a matrix or vector. Raises MetricsUnavailable."""
        try:
            decoded = self._decode(answer.body.replace(b'"+Inf"', b'"Inf"'))
        except UNREADABLE as error:
            raise MetricsUnavailable("Prometheus' answer is not one of its query API, or is cut short") from error
        rows: list[Rows] = []
        last: tuple[float, ...] = ()
        times_ns: list[int] = []
        for series in decoded.data.result:
            samples = series.values or (series.value and [series.value])
            if not samples:
                continue
            times, values = zip(*samples, strict=True)
            if len(set(times)) != len(times) or not isfinite(sum(values)):
                # A VictoriaMetrics has what was written twice, and says that a series has ended by NaN.
                told = {time: value for time, value in samples if isfinite(value)}
                if not told:
                    continue
                times, values = zip(*told.items(), strict=True)
            if times != last:  # series of one scrape have the same
                last, times_ns = times, [round(time * 1000) * 1_000_000 for time in times]
            rows.append(Rows(series.metric, times_ns, list(values)))
        note_rows(sum(len(row.values) for row in rows))
        return Found(rows, _told_missing(decoded.warnings, decoded.isPartial), VICTORIA in answer.headers)


def _told_missing(warnings: list[str], partial: bool) -> str:
    if not warnings and not partial:
        return ""
    logger.info("Prometheus answered with warnings: %s", "; ".join(warnings) or "partial")
    first = foreign(warnings[0][:300]) if warnings else "some of its storages did not answer"
    return tell("Prometheus' answer is not complete: {}", first)


def build_refuse(options: PrometheusOptions) -> Refuse:
    """What an answer other than 200 means."""

    def refuse(status: int, body: bytes) -> MetricsUnavailable:
        said = _read_refusal(body)
        if _LIMITS.search(said):
            logger.info("Prometheus refused a question: %s", said[-300:])
            return MetricsTooCostly(
                tell(
                    "{} refuses so large a question{}: ask for a longer step, a shorter time or fewer objects",
                    options.server,
                    Told("", f" ({said[-300:]})"),
                )
            )
        if status in (401, 403):
            return MetricsUnavailable(tell("{} refuses {} ({})", options.server, options.caller, status))
        if status == 404:
            return MetricsUnavailable(
                tell("{} has no query API there (404): check the path of OPENMCP_PROMETHEUS_URL", options.server)
            )
        detail = f": {said[-300:]}" if said else ""
        return MetricsUnavailable(tell("{} answers with an error ({}{})", options.server, status, Told("", detail)))

    return refuse


def _read_refusal(body: bytes) -> str:
    """The server's own words, one line, which may hold names of series: for administrators."""
    try:
        said = msgspec.json.decode(body, type=_Refusal).error
    except UNREADABLE:
        said = body.decode(errors="replace")
    return " ".join(said.split())
