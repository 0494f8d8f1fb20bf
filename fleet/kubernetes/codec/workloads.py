"""Workloads: bytes to models. Source: Kubernetes API, apps/v1 and batch/v1."""

from collections.abc import Callable, Mapping
from sys import intern

import msgspec

from fleet.kubernetes.codec.convert import DecodeCache, as_owner, as_pairs, interned, parse_time, seconds
from fleet.kubernetes.codec.rollout import find_rollout
from fleet.kubernetes.codec.workload_wire import WireWorkload
from fleet.model.label_selector import Operator, Requirement
from fleet.model.selectors import LabelSelector
from fleet.model.workloads import Workload, build_entry, qualify

_DECODER = msgspec.json.Decoder(WireWorkload)


class _Expression(msgspec.Struct, frozen=True):
    key: str
    operator: str
    values: list[str] | None = None


class _Selector(msgspec.Struct, rename="camel", frozen=True):
    match_labels: dict[str, str] | None = None
    match_expressions: list[_Expression] | None = None


_SELECTOR_DECODER = msgspec.json.Decoder(_Selector)
_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.DOES_NOT_EXIST,
}


def build_workload(raw: bytes, cluster: str, kind: str, api_version: str) -> Workload:
    """The record. Raises msgspec.DecodeError, ValueError."""
    wire = _DECODER.decode(raw)
    metadata, spec, status = wire.metadata, wire.spec, wire.status
    state, message, since = find_rollout(kind, wire)
    counts = _COUNTS[kind](wire)
    template = spec.template if spec.job_template is None else spec.job_template.spec.template
    return Workload(
        cluster=intern(cluster),
        namespace=intern(metadata.namespace),
        name=metadata.name,
        kind=intern(kind),
        api_version=intern(api_version),
        entry=build_entry(metadata.name, qualify(kind, api_version)),
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        created_at=seconds(metadata.creation_timestamp),
        labels=as_pairs(metadata.labels),
        owner=as_owner(metadata.owner_references),
        images=tuple(dict.fromkeys(intern(each.image) for each in template.spec.all_containers() if each.image)),
        desired=counts.get("desired"),
        ready=counts.get("ready"),
        updated=counts.get("updated"),
        available=counts.get("available"),
        succeeded=counts.get("succeeded"),
        active=counts.get("active"),
        schedule=interned(spec.schedule),
        last_scheduled_at=parse_time(status.last_schedule_time),
        rollout=state,
        rollout_message=message,
        rollout_since=since,
        selector=_SELECTORS.decode(spec.selector) if kind == "Deployment" and spec.selector else None,
    )


def _read_selector(raw: bytes) -> LabelSelector:
    """A LabelSelector of an object; one without terms selects everything. Raises msgspec.DecodeError, ValueError."""
    wire = _SELECTOR_DECODER.decode(raw)
    others = []
    for each in wire.match_expressions or ():
        if each.operator not in _OPERATORS:
            raise ValueError(f"a selector has no operator {each.operator[:40]!r}")
        others.append(Requirement(each.key, _OPERATORS[each.operator], frozenset(each.values or ())))
    return LabelSelector(raw.decode(), as_pairs(wire.match_labels), tuple(others))


_SELECTORS: DecodeCache[LabelSelector] = DecodeCache(_read_selector)


def _count_replicas(wire: WireWorkload) -> dict[str, int | None]:
    status = wire.status
    return {
        "desired": 1 if wire.spec.replicas is None else wire.spec.replicas,
        "ready": status.ready_replicas,
        "updated": status.updated_replicas,
        "available": status.available_replicas,  # of StatefulSets always there, but before Kubernetes 1.22
    }


def _count_deployment(wire: WireWorkload) -> dict[str, int | None]:
    return _count_replicas(wire) | {"available": wire.status.available_replicas or 0}


def _count_scheduled(wire: WireWorkload) -> dict[str, int | None]:
    status = wire.status
    return {
        "desired": status.desired_number_scheduled,
        "ready": status.number_ready,
        "updated": status.updated_number_scheduled,
        "available": status.number_available,
    }


def _count_job(wire: WireWorkload) -> dict[str, int | None]:
    spec, status = wire.spec, wire.status
    return {
        "desired": spec.parallelism if spec.completions is None else spec.completions,
        "ready": status.ready,
        "succeeded": status.succeeded,
        "active": status.active if isinstance(status.active, int) else 0,
    }


def _count_jobs(wire: WireWorkload) -> dict[str, int | None]:
    return {"active": len(wire.status.active) if isinstance(wire.status.active, list) else 0}


_COUNTS: Mapping[str, Callable[[WireWorkload], dict[str, int | None]]] = {
    "Deployment": _count_deployment,
    "StatefulSet": _count_replicas,
    "DaemonSet": _count_scheduled,
    "Job": _count_job,
    "CronJob": _count_jobs,
}
