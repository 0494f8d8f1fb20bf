"""About how much memory the objects of all members take, from a few of them."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct

from fleet.members.member import Member
from server.figures.figure import Figure, Samples

SAMPLED = 32
"""Objects of a kind that are looked at: a millisecond for all kinds."""

_ENTRY_BYTES = 400
"""What dictionaries and indexes take for an object beside it."""


def estimate_bytes(objects: Iterable[object], count: int) -> float:
    """What `count` objects take, of which these are some. What they share is counted once among them."""
    seen: set[int] = set()
    looked = list(objects)
    return count * (sum(_weigh(each, seen) for each in looked) / len(looked) + _ENTRY_BYTES) if looked else 0.0


def _weigh(value: Any, seen: set[int]) -> int:
    if value is None or id(value) in seen:
        return 0
    seen.add(id(value))
    inner: Iterable[Any] = ()
    if isinstance(value, Struct):
        inner = (getattr(value, name) for name in value.__struct_fields__)
    elif isinstance(value, tuple | list | frozenset):
        inner = value
    elif isinstance(value, dict):
        inner = (*value.keys(), *value.values())
    return sys.getsizeof(value) + sum(_weigh(each, seen) for each in inner)


def _sample(stores: Sequence[Any]) -> Iterator[object]:
    """Some of each store."""
    each = max(1, SAMPLED // max(1, len(stores)))
    return islice((record for store in stores for record in islice(store.records.values(), each)), SAMPLED)


def _read_bytes(members: Sequence[Member]) -> Samples:
    kinds = members[0].stores.as_filled if members else ()
    for kind in kinds:
        stores = [store for member in members if len(store := member.stores.as_filled[kind])]
        yield (kind,), estimate_bytes(_sample(stores), sum(map(len, stores)))


FIGURES: tuple[Figure[Sequence[Member]], ...] = (
    Figure(
        "openmcp_cache_bytes",
        "gauge",
        "About what the objects of all clusters take in memory, by kind.",
        _read_bytes,
        ("kind",),
    ),
)
