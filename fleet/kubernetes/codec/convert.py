"""Small conversions from wire values to model values that every kind needs."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import UTC, datetime
from sys import intern
from typing import Generic, TypeVar

from msgspec import Raw

from fleet.kubernetes.codec.wire import OwnerReference, QuantityMap, WireCondition
from fleet.model.objects import NO_RESOURCES, Condition, Owner, Pairs, Resources
from fleet.model.quantities import parse_bytes, parse_cores, parse_count

V = TypeVar("V", bound=Hashable)
W = TypeVar("W")

_MOST_SHARED = 65_536
_MOST_BYTES = 4 * 1024 * 1024


class InternTable(Generic[V]):
    """One copy of values that many objects have, such as all labels of a workload's pods.

    Cleared at `_MOST_SHARED` values: then sharing begins anew, and nothing else is lost.
    """

    def __init__(self) -> None:
        self._values: dict[V, V] = {}

    def intern(self, value: V) -> V:
        """The value, or the equal one that is in the table."""
        values = self._values
        if len(values) >= _MOST_SHARED:
            values.clear()
        return values.setdefault(value, value)


class DecodeCache(Generic[W]):
    """Values of bytes that recur, such as the labels of a workload's pods: decoded once.

    `read` is given what is not cached, and what it raises is not cached. Cleared where the keys exceed `_MOST_BYTES`.
    """

    def __init__(self, read: Callable[[bytes], W]) -> None:
        self._read = read
        self._bytes = 0
        self._values: dict[bytes, W] = {}

    def decode(self, raw: Raw | bytes) -> W:
        """What is read from these bytes; an equal object may be the same one."""
        text = bytes(raw)
        try:
            return self._values[text]
        except KeyError:
            return self._add(text)

    def _add(self, text: bytes) -> W:
        value = self._read(text)
        self._bytes += len(text)
        if self._bytes > _MOST_BYTES:
            self._values.clear()
            self._bytes = len(text)
        self._values[text] = value
        return value


PAIRS: InternTable[Pairs] = InternTable()
OWNERS: InternTable[Owner] = InternTable()
IMAGES: InternTable[tuple[str, ...]] = InternTable()


def seconds(time: datetime | None) -> float | None:
    """Unix seconds; None stays None."""
    return None if time is None else time.timestamp()


def parse_time(text: str | None) -> float | None:
    """Unix seconds of RFC 3339; None for what is no such time, or in UTC of a year that a datetime doesn't hold."""
    try:
        time = datetime.fromisoformat(text) if text else None
        return time.astimezone(UTC).timestamp() if time is not None and time.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def interned(text: str | None) -> str | None:
    """One shared copy of a string that repeats; None and "" become None."""
    return intern(text) if text else None


def as_pairs(labels: Mapping[str, str] | None) -> Pairs:
    """Labels sorted by key, one copy of equal ones: labels of one workload's pods are the same."""
    if not labels:
        return ()
    return shared_pairs(sorted(labels.items()))


def shared_pairs(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """The one copy of sorted labels."""
    return PAIRS.intern(tuple([(intern(key), intern(value)) for key, value in pairs]))


KNOWN_RESOURCES = frozenset({"cpu", "memory", "ephemeral-storage", "pods"})
"""Those that `Resources` has fields for."""


def as_resources(amounts: QuantityMap | None) -> Resources:
    """A resource list. Raises ValueError for what is no quantity."""
    if not amounts:
        return NO_RESOURCES
    cpu = amounts.get("cpu")
    memory = amounts.get("memory")
    storage = amounts.get("ephemeral-storage")
    pods = amounts.get("pods")
    return Resources(
        cpu_cores=None if cpu is None else parse_cores(str(cpu)),
        memory_bytes=None if memory is None else parse_bytes(str(memory)),
        ephemeral_storage_bytes=None if storage is None else parse_bytes(str(storage)),
        pods=None if pods is None else parse_count(str(pods)),
        extended=tuple(
            [(intern(name), parse_count(str(amounts[name]))) for name in sorted(amounts.keys() - KNOWN_RESOURCES)]
        ),
    )


def as_owner(references: list[OwnerReference] | None) -> Owner | None:
    """The controlling owner, else the first one."""
    if not references:
        return None
    chosen = next((reference for reference in references if reference.controller), references[0])
    return shared_owner(Owner(chosen.api_version, chosen.kind, chosen.name, chosen.uid))


def shared_owner(owner: Owner) -> Owner:
    return OWNERS.intern(Owner(intern(owner.api_version), intern(owner.kind), owner.name, owner.uid))


def as_conditions(conditions: list[WireCondition] | None) -> tuple[Condition, ...]:
    """`status.conditions` in the object's order."""
    return tuple(
        Condition(
            intern(condition.type),
            intern(condition.status),
            interned(condition.reason),
            interned(condition.message),
            parse_time(condition.last_transition_time),
        )
        for condition in conditions or ()
    )
