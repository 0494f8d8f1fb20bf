"""What was measured of a member in one round, as it goes to the other replicas: columns, each name written once.

A body is a byte that says its form, then MessagePack. The member is named by the subject. Measures that a reader does
not know are left out by it, and those that a writer did not know are None.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from fleet.model.objects import NodeKey, PodKey
from fleet.model.unreadable import UNREADABLE
from fleet.model.usage import Measure, Point

T = TypeVar("T")

FORM = 1
MOST_BYTES = 900_000
"""Of one body: a server of NATS takes a message of 1 MiB, where it is not told otherwise."""

Pods = Sequence[tuple[PodKey, Point]]
Nodes = Sequence[tuple[NodeKey, Point]]

_MEASURES = tuple(measure.value for measure in Measure)
_values_of = attrgetter(*_MEASURES)


class _Columns(Struct, array_like=True):
    """`namespace` counts in the table `namespaces`, `node` in `places`, and `time_ns` from `since_ns`."""

    since_ns: int
    namespaces: list[str]
    places: list[str | None]
    namespace: list[int]
    name: list[str]
    node: list[int]
    time_ns: list[int]
    measured: dict[str, list[float | int | None]]


class _Body(Struct, array_like=True):
    pods: _Columns
    nodes: _Columns


_decoder = msgspec.msgpack.Decoder(_Body)


def encode_usage(pods: Pods, nodes: Nodes, most_bytes: int = MOST_BYTES) -> list[bytes]:
    """The bodies that hold these points, in halves of halves until each has `most_bytes` at most."""
    columns = _Body(
        _columns_of([(key.namespace, key.name) for key, _ in pods], [point for _, point in pods]),
        _columns_of([("", key.name) for key, _ in nodes], [point for _, point in nodes]),
    )
    body = bytes((FORM,)) + msgspec.msgpack.encode(columns)
    if len(body) <= most_bytes or len(pods) + len(nodes) <= 1:
        return [body]
    half, middle = -(len(pods) // -2), len(nodes) // 2
    return encode_usage(pods[:half], nodes[:middle], most_bytes) + encode_usage(pods[half:], nodes[middle:], most_bytes)


def decode_usage(body: bytes, cluster: str) -> tuple[Pods, Nodes]:
    """The points of pods and of nodes. Raises ValueError, for a form that only newer versions write as well."""
    if body[:1] != bytes((FORM,)):
        raise ValueError(f"usage of form {body[:1].hex() or 'none'} can't be read, only form {FORM:02}: upgrade")
    try:
        read = _decoder.decode(memoryview(body)[1:])
        pods = [PodKey(cluster, namespace, name) for namespace, name in _names_of(read.pods)]
        nodes = [NodeKey(cluster, name) for _, name in _names_of(read.nodes)]
        return (
            list(zip(pods, _points_of(read.pods), strict=True)),
            list(zip(nodes, _points_of(read.nodes), strict=True)),
        )
    except (*UNREADABLE, LookupError, TypeError) as error:
        raise ValueError(f"usage is not what its form promises: {error}") from error


def _columns_of(names: Sequence[tuple[str, str]], points: Sequence[Point]) -> _Columns:
    since = min((point.time_ns for point in points), default=0)
    namespaces, namespace = _numbered(namespace for namespace, _ in names)
    places, node = _numbered(point.node for point in points)
    columns = zip(_MEASURES, zip(*map(_values_of, points), strict=True), strict=bool(points))
    return _Columns(
        since,
        namespaces,
        places,
        namespace,
        [name for _, name in names],
        node,
        [point.time_ns - since for point in points],
        {measure: list(values) for measure, values in columns if any(value is not None for value in values)},
    )


def _numbered(values: Iterable[T]) -> tuple[list[T], list[int]]:
    """The different values, and of each its number among them."""
    numbers: dict[T, int] = {}
    numbered = [numbers.setdefault(value, len(numbers)) for value in values]
    return list(numbers), numbered


def _names_of(read: _Columns) -> Iterable[tuple[str, str]]:
    return zip(map(read.namespaces.__getitem__, read.namespace), read.name, strict=True)


def _points_of(read: _Columns) -> list[Point]:
    times = [read.since_ns + offset for offset in read.time_ns]
    absent = [None] * len(times)
    measured: list[list[Any]] = [read.measured.get(measure, absent) for measure in _MEASURES]
    nodes = map(read.places.__getitem__, read.node)
    return [Point(*row) for row in zip(times, *measured, nodes, strict=True)]
