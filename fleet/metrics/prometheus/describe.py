"""What answers where a Prometheus is said to be, what is measured there, of which clusters, and how long ago."""

import re
import time
from collections.abc import Collection, Iterable, Sequence
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from fleet.metrics.prometheus.answer import VICTORIA
from fleet.metrics.prometheus.asking import Asking
from fleet.metrics.prometheus.objects import Wording
from fleet.metrics.prometheus.text import select
from fleet.metrics.prometheus.ways import names_of
from fleet.model.errors import MetricsUnavailable
from fleet.model.unreadable import UNREADABLE
from fleet.model.usage import Kind, Measure

_SECONDS = 600
"""How far back series count as being there."""

_SHOWN = 10


class _Build(Struct, frozen=True):
    version: str = ""
    application: str = ""


class _BuildInfo(Struct):
    data: _Build = _Build()


class _Values(Struct):
    data: list[str] = []


async def describe(asking: Asking, wording: Wording) -> str:
    """What it is, how old its newest samples are, and what nobody measures. Raises MetricsUnavailable."""
    name = await _name_server(asking)
    memory = names_of([wording.ways(Kind.POD)[Measure.MEMORY_BYTES]])
    (newest,) = await asking.newest([f"max(timestamp({select(memory, ())}))"])
    if not newest.rows:
        return f"{name}, but no pod was measured in the last minutes: it has no series {' and no '.join(memory)}"
    age = max(0, round(time.time() - newest.rows[0].values[0]))
    ways = {kind: wording.ways(kind) for kind in Kind}
    names = names_of([each for of_kind in ways.values() for each in of_kind.values()])
    there = set(await _label_values(asking, "__name__", names))
    lacking = [
        f"of {kind.value}s {', '.join(missing)}"
        for kind, of_kind in ways.items()
        if (missing := [m.value for m, some in of_kind.items() if not any(there.issuperset(way.names) for way in some)])
    ]
    said = f"; nobody measures {' and '.join(lacking)}" if lacking else ""
    return f"{name}, pods measured {age} s ago{said}"


async def describe_coverage(asking: Asking, wording: Wording, clusters: Collection[str]) -> str:
    """Which of the clusters have no series, and which series are of no cluster; empty where all fits."""
    options = asking.options
    if options.only_cluster:
        known = options.only_cluster in clusters
        return "" if known else f"OPENMCP_PROMETHEUS_ONLY_CLUSTER is {options.only_cluster!r}, which is no cluster here"
    memory = names_of([wording.ways(Kind.POD)[Measure.MEMORY_BYTES]])
    values = set(await _label_values(asking, options.cluster_label, memory))
    wanted = {wording.value_of(cluster): cluster for cluster in clusters}
    silent = sorted(cluster for value, cluster in wanted.items() if value not in values)
    strange = sorted(values - wanted.keys())
    said = [f"no series of {_list(silent)} by the label {options.cluster_label}"] if silent else []
    if strange:
        said.append(f"series with {options.cluster_label}={_list(map(repr, strange))}, which is no cluster here")
    return " and ".join(said)


def _list(names: Iterable[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "")


async def _label_values(asking: Asking, label: str, names: Sequence[str]) -> list[str]:
    now = int(time.time())
    params = urlencode({"match[]": select(names, ()), "start": now - _SECONDS, "end": now})
    answer = await asking.get(f"/api/v1/label/{label}/values?{params}")
    try:
        return msgspec.json.decode(answer.body, type=_Values).data
    except UNREADABLE as error:
        raise MetricsUnavailable("Prometheus does not say which values a label has") from error


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
