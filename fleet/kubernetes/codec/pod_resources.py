"""What a pod asks of its node: effective requests and limits.

Source: `PodRequests` and `PodLimits` in k8s.io/component-helpers/resource, and KEP-753 for sidecars. Init container i
needs its own amount beside the sidecars started before it. Statuses count as in `kubectl describe node`: those of
containers, not the pod's own.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from sys import intern
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from fleet.kubernetes.codec.convert import KNOWN_RESOURCES, as_resources
from fleet.kubernetes.codec.pod_status import conditions_of, is_resize_infeasible, is_sidecar
from fleet.kubernetes.codec.pod_wire import ListedContainer, ListedInitStatus, ListedSpec, ListedStatus, WirePod
from fleet.kubernetes.codec.wire import ContainerStatus, PodSpec, QuantityMap, Requirements, WireContainer
from fleet.model.objects import NO_RESOURCES, MissingAmount, Resources
from fleet.model.quantities import NANO, parse_nanos, round_nanos

_Amount = int | None
"""In billionths: sums are exact, and rounded once."""

_Read = Callable[[QuantityMap | None], _Amount]
_Pick = Callable[[Requirements | None], QuantityMap | None]


class PodAmounts(NamedTuple):
    """A pod's effective requests and limits, and what they do not say of all that keeps running."""

    requests: Resources
    limits: Resources
    missing: frozenset[MissingAmount]


_Known = tuple[PodAmounts, PodAmounts | None]
"""A pod's amounts, and those while its resize is infeasible, where they are others."""

_ListedStatus = ListedStatus | ListedInitStatus


def listed_amounts(pod: WirePod) -> PodAmounts:
    """Both, of a pod whose amounts are bytes still: read once for equal ones. Raises ValueError, DecodeError."""
    spec, status = pod.spec, pod.status
    containers = spec.containers or ()
    if len(containers) == 1 and not (spec.init_containers or spec.overhead or spec.resources):
        asked: Hashable = bytes(containers[0].resources)
    else:
        asked = (
            tuple([bytes(container.resources) for container in containers]),
            tuple([(entry.restart_policy, bytes(entry.resources)) for entry in spec.init_containers or ()]),
            bytes(spec.overhead),
            bytes(spec.resources),
        )
    statuses: list[_ListedStatus] = [entry for entry in status.container_statuses or () if entry.resources]
    if spec.init_containers:
        statuses += [entry for entry in status.init_container_statuses or () if entry.resources]
    if statuses and _are_settled(containers, statuses):
        statuses = []
    if statuses:
        asked = (
            asked,
            tuple([entry.name for entry in (*containers, *(spec.init_containers or ()))]),
            tuple([(entry.name, bytes(entry.resources), bytes(entry.allocated_resources)) for entry in statuses]),
        )
    known = _KNOWN.get(asked)
    amounts, infeasible = _read_amounts(spec, statuses, asked) if known is None else known
    return amounts if infeasible is None or not is_resize_infeasible(conditions_of(pod)) else infeasible


def _are_settled(containers: Sequence[ListedContainer], statuses: Sequence[_ListedStatus]) -> bool:
    """Whether the containers have and were promised what they ask for, as their bytes show: so it is in most pods."""
    for container, entry in zip(containers, statuses, strict=False):
        allocated = entry.allocated_resources
        if entry.resources != container.resources or entry.name != container.name:
            return False
        if allocated and not bytes(container.resources).endswith(b'"requests":%b}' % allocated):
            return False
    return len(containers) == len(statuses)


def _read_amounts(spec: ListedSpec, statuses: Sequence[_ListedStatus], asked: Hashable) -> _Known:
    read = _read_spec(spec)
    actual = {entry.name: _read_status(entry) for entry in statuses}
    each = [_resized(read, actual, infeasible=infeasible) for infeasible in (False, True)]
    amounts, where_infeasible = map(_build_amounts, each)
    parts = (
        spec.overhead,
        spec.resources,
        *(entry.resources for entry in (*(spec.containers or ()), *(spec.init_containers or ()), *statuses)),
        *(entry.allocated_resources for entry in statuses),
    )
    found = amounts, None if where_infeasible == amounts else where_infeasible
    if sum(len(bytes(part)) for part in parts) <= _LONGEST_KNOWN:  # more is nothing that workloads ask for
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[asked] = found
    return found


def _build_amounts(spec: PodSpec) -> PodAmounts:
    limits, sure = pod_limits(spec), _sure_amounts(spec, _requests_of)
    said = {
        MissingAmount.CPU_REQUEST: sure.cpu_cores,
        MissingAmount.MEMORY_REQUEST: sure.memory_bytes,
        MissingAmount.CPU_LIMIT: limits.cpu_cores,
        MissingAmount.MEMORY_LIMIT: limits.memory_bytes,
    }
    return PodAmounts(pod_requests(spec), limits, frozenset(which for which, amount in said.items() if amount is None))


def _read_spec(spec: ListedSpec) -> PodSpec:
    return PodSpec(
        containers=[
            WireContainer(entry.name, resources=_read_pair(entry.resources)) for entry in spec.containers or ()
        ],
        init_containers=[
            WireContainer(entry.name, restart_policy=entry.restart_policy, resources=_read_pair(entry.resources))
            for entry in spec.init_containers or ()
        ],
        overhead=_read_map(spec.overhead),
        resources=_read_pair(spec.resources),
    )


def _read_status(status: _ListedStatus) -> ContainerStatus:
    return ContainerStatus(
        status.name, resources=_read_pair(status.resources), allocated_resources=_read_map(status.allocated_resources)
    )


def _read_pair(raw: msgspec.Raw) -> Requirements | None:
    return _REQUIREMENTS.decode(raw) if raw else None


def _read_map(raw: msgspec.Raw) -> QuantityMap | None:
    return _QUANTITIES.decode(raw) if raw else None


def _resized(spec: PodSpec, statuses: Mapping[str, ContainerStatus], *, infeasible: bool) -> PodSpec:
    def resize(containers: Sequence[WireContainer] | None, *, init: bool) -> list[WireContainer]:
        return [
            resize_container(entry, statuses.get(entry.name), init=init, infeasible=infeasible)
            for entry in containers or ()
        ]

    return replace(
        spec, containers=resize(spec.containers, init=False), init_containers=resize(spec.init_containers, init=True)
    )


def resize_container(
    container: WireContainer, status: ContainerStatus | None, *, init: bool, infeasible: bool
) -> WireContainer:
    """The container, asking for the larger of what it asks for, was promised (`allocatedResources`) and has.

    What it asks for does not count where the node will never give it. An init container that ends is not resized.
    """
    if status is None or status.resources is None or (init and not is_sidecar(container)):
        return container
    asked, actual = (None if infeasible else container.resources) or Requirements(), status.resources
    larger = Requirements(
        requests=_larger(asked.requests, actual.requests, status.allocated_resources),
        limits=_larger(asked.limits, actual.limits),
    )
    return replace(container, resources=larger)


def _larger(*amounts: QuantityMap | None) -> QuantityMap:
    found: QuantityMap = {}
    for each in filter(None, amounts):
        for name, given in each.items():
            if name not in found or parse_nanos(str(given)) > parse_nanos(str(found[name])):
                found[name] = given
    return found


_MOST_KNOWN = 16_384
_LONGEST_KNOWN = 8_192
_KNOWN: dict[Hashable, _Known] = {}
_REQUIREMENTS = msgspec.json.Decoder(Requirements | None)
_QUANTITIES = msgspec.json.Decoder(QuantityMap | None)


def pod_requests(spec: PodSpec) -> Resources:
    """The amounts the scheduler reserves: None where no container asks for any. Raises ValueError."""

    def finish(amount: _Amount, read: _Read) -> _Amount:
        per_pod = read(_requests_of(spec.resources))
        return _sum(amount if per_pod is None else per_pod, read(spec.overhead))

    return _combine(spec, _requests_of, finish, strict=False)


def pod_limits(spec: PodSpec) -> Resources:
    """The amounts the pod can't exceed: None where a container that keeps running has no limit. Raises ValueError."""
    return _sure_amounts(spec, _limits_of)


def _sure_amounts(spec: PodSpec, pick: _Pick) -> Resources:
    """Amounts that are None where a container that keeps running has none of its own, and the pod has none."""

    def finish(amount: _Amount, read: _Read) -> _Amount:
        per_pod = read(pick(spec.resources))
        limit = amount if per_pod is None else per_pod
        # An unlimited pod stays unlimited whatever the overhead.
        return _sum(limit, read(spec.overhead)) if limit else limit

    return _combine(spec, pick, finish, strict=True)


def _combine(
    spec: PodSpec,
    pick: _Pick,
    finish: Callable[[_Amount, _Read], _Amount],
    *,
    strict: bool,
) -> Resources:
    main = [pick(container.resources) for container in spec.containers or ()]
    init = [(is_sidecar(container), pick(container.resources)) for container in spec.init_containers or ()]

    def effective(name: str, *, strict: bool) -> _Amount:
        def read(asked: QuantityMap | None) -> _Amount:
            given = asked.get(name) if asked else None
            return None if given is None else parse_nanos(str(given))

        amount = _effective([read(entry) for entry in main], [(side, read(entry)) for side, entry in init], strict)
        return finish(amount, read)

    cpu, memory, storage = [effective(name, strict=strict) for name in ("cpu", "memory", "ephemeral-storage")]
    maps = filter(None, (*main, *(entry for _, entry in init), pick(spec.resources), spec.overhead))
    # A container has none of what it does not ask for.
    others = sorted({name for each in maps for name in each} - KNOWN_RESOURCES)
    extended = [(intern(name), round_nanos(effective(name, strict=False) or 0)) for name in others]
    resources = Resources(
        cpu_cores=None if cpu is None else cpu / NANO,
        memory_bytes=None if memory is None else round_nanos(memory),
        ephemeral_storage_bytes=None if storage is None else round_nanos(storage),
        extended=tuple(extended),
    )
    return NO_RESOURCES if resources == NO_RESOURCES else resources


def _effective(main: list[_Amount], init: list[tuple[bool, _Amount]], strict: bool) -> _Amount:
    running = main + [amount for sidecar, amount in init if sidecar]
    if strict and any(amount is None for amount in running):
        return None
    total = _sum(*running)
    started: _Amount = None
    for sidecar, amount in init:
        needed = _sum(started, amount)
        if sidecar:
            started = needed
        if needed is not None and (total is None or needed > total):
            total = needed
    return total


def _sum(*amounts: _Amount) -> _Amount:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def _requests_of(resources: Requirements | None) -> QuantityMap | None:
    return None if resources is None else resources.requests


def _limits_of(resources: Requirements | None) -> QuantityMap | None:
    return None if resources is None else resources.limits


def container_resources(container: WireContainer) -> tuple[Resources, Resources]:
    """A single container's requests and limits. Raises ValueError."""
    return as_resources(_requests_of(container.resources)), as_resources(_limits_of(container.resources))
