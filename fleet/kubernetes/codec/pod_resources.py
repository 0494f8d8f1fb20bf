"""What a pod asks of its node: effective requests and limits.

Source: `PodRequests` and `PodLimits` in k8s.io/component-helpers/resource, and KEP-753 for sidecars. Init container i
needs its own amount beside the sidecars started before it.
"""

from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from fleet.kubernetes.codec.convert import as_resources
from fleet.kubernetes.codec.pod_status import is_sidecar
from fleet.kubernetes.codec.pod_wire import ListedSpec
from fleet.kubernetes.codec.wire import PodSpec, QuantityMap, Requirements, WireContainer
from fleet.model.objects import NO_RESOURCES, Resources

_Amount = float | int | None
_AMOUNTS = ("cpu_cores", "memory_bytes", "ephemeral_storage_bytes")


class PodAmounts(NamedTuple):
    """A pod's effective requests and limits."""

    requests: Resources
    limits: Resources


def listed_amounts(spec: ListedSpec) -> PodAmounts:
    """Both, of a spec whose amounts are bytes still: read once for equal ones. Raises ValueError, DecodeError."""
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
    known = _KNOWN.get(asked)
    return _read_amounts(spec, asked) if known is None else known


def _read_amounts(spec: ListedSpec, asked: Hashable) -> PodAmounts:
    read = _read_spec(spec)
    parts = (
        spec.overhead,
        spec.resources,
        *(entry.resources for entry in (*(spec.containers or ()), *(spec.init_containers or ()))),
    )
    if sum(len(bytes(part)) for part in parts) > _LONGEST_KNOWN:  # nothing that workloads ask for
        return PodAmounts(pod_requests(read), pod_limits(read))
    if len(_KNOWN) >= _MOST_KNOWN:
        _KNOWN.clear()
    amounts = _KNOWN[asked] = PodAmounts(pod_requests(read), pod_limits(read))
    return amounts


def _read_spec(spec: ListedSpec) -> PodSpec:
    return PodSpec(
        containers=[WireContainer("", resources=_read_pair(entry.resources)) for entry in spec.containers or ()],
        init_containers=[
            WireContainer("", restart_policy=entry.restart_policy, resources=_read_pair(entry.resources))
            for entry in spec.init_containers or ()
        ],
        overhead=_OVERHEAD.decode(spec.overhead) if spec.overhead else None,
        resources=_read_pair(spec.resources),
    )


def _read_pair(raw: msgspec.Raw) -> Requirements | None:
    return _REQUIREMENTS.decode(raw) if raw else None


_MOST_KNOWN = 16_384
_LONGEST_KNOWN = 8_192
_KNOWN: dict[Hashable, PodAmounts] = {}
_REQUIREMENTS = msgspec.json.Decoder(Requirements | None)
_OVERHEAD = msgspec.json.Decoder(QuantityMap | None)


def pod_requests(spec: PodSpec) -> Resources:
    """The amounts the scheduler reserves: None where no container asks for any. Raises ValueError."""
    overhead = as_resources(spec.overhead)
    per_pod = _requests_of(spec.resources)

    def finish(amount: _Amount, read: Callable[[Resources], Any]) -> _Amount:
        return _sum(amount if read(per_pod) is None else read(per_pod), read(overhead))

    return _combine(spec, _requests_of, finish, strict=False)


def pod_limits(spec: PodSpec) -> Resources:
    """The amounts the pod can't exceed: None where a container that keeps running has no limit. Raises ValueError."""
    overhead = as_resources(spec.overhead)
    per_pod = _limits_of(spec.resources)

    def finish(amount: _Amount, read: Callable[[Resources], Any]) -> _Amount:
        limit = amount if read(per_pod) is None else read(per_pod)
        # An unlimited pod stays unlimited whatever the overhead.
        return _sum(limit, read(overhead)) if limit else limit

    return _combine(spec, _limits_of, finish, strict=True)


def _combine(
    spec: PodSpec,
    pick: Callable[[Requirements | None], Resources],
    finish: Callable[[_Amount, Callable[[Resources], Any]], _Amount],
    *,
    strict: bool,
) -> Resources:
    main = [pick(container.resources) for container in spec.containers or ()]
    init = [(is_sidecar(container), pick(container.resources)) for container in spec.init_containers or ()]
    amounts: dict[str, Any] = {}
    for name in _AMOUNTS:
        read = attrgetter(name)
        amount = _effective([read(entry) for entry in main], [(side, read(entry)) for side, entry in init], strict)
        amount = finish(amount, read)
        amounts[name] = round(amount, 9) if isinstance(amount, float) else amount
    return Resources(**amounts) if any(amount is not None for amount in amounts.values()) else NO_RESOURCES


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


def _requests_of(resources: Requirements | None) -> Resources:
    return NO_RESOURCES if resources is None else as_resources(resources.requests)


def _limits_of(resources: Requirements | None) -> Resources:
    return NO_RESOURCES if resources is None else as_resources(resources.limits)


def container_resources(container: WireContainer) -> tuple[Resources, Resources]:
    """A single container's requests and limits. Raises ValueError."""
    return _requests_of(container.resources), _limits_of(container.resources)
