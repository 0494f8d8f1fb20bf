"""What answers where a Prometheus is said to be, which series are there, and how old the newest are."""

import re

import msgspec
from msgspec import Struct

from fleet.metrics.prometheus.answer import VICTORIA
from fleet.metrics.prometheus.asking import Asking
from fleet.model.unreadable import UNREADABLE


class _Build(Struct, frozen=True):
    version: str = ""
    application: str = ""


class _BuildInfo(Struct):
    data: _Build = _Build()


async def describe(asking: Asking) -> str:
    """For example `Prometheus 2.42.0`. Raises MetricsUnavailable."""
    await asking.newest(["vector(1)"])
    return await _name_server(asking)


async def _name_server(asking: Asking) -> str:
    answer = await asking.get("/api/v1/status/buildinfo")
    try:
        build = msgspec.json.decode(answer.body, type=_BuildInfo).data
    except UNREADABLE:
        build = _Build()
    if VICTORIA in answer.headers:
        return "VictoriaMetrics"
    name = build.application or "Prometheus"
    return f"{re.sub('^Grafana ', '', name)} {build.version[:40]}".strip()
