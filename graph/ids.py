"""Opaque identities of the graph's objects: URL-safe base64 of the type and the key."""

import base64
import binascii
from collections.abc import Callable, Iterable
from operator import attrgetter

import msgspec
import orjson

from fleet.model.errors import InvalidQuery
from fleet.model.kube_objects import ResourceKey
from fleet.model.objects import Node, NodeKey, Pod, PodKey
from fleet.model.workloads import WorkloadKey

_MAX_ID = 2_000
_ENCODER = msgspec.json.Encoder()
_POD_PLACE: Callable[[Pod], tuple[str, str, str]] = attrgetter("cluster", "namespace", "name")
_NODE_PLACE: Callable[[Node], tuple[str, str]] = attrgetter("cluster", "name")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def encode_pod_id(key: PodKey) -> str:
    """The id of a pod; the same for all its life, and for a successor of the same name."""
    return _encode("Pod", key)


def encode_node_id(key: NodeKey) -> str:
    return _encode("Node", key)


def encode_workload_id(key: WorkloadKey) -> str:
    return _encode("Workload", key)


def encode_pod_ids(pods: Iterable[Pod]) -> list[str]:
    """`encode_pod_id` of each: lists have thousands."""
    return _encode_all("Pod", map(_POD_PLACE, pods))


def encode_node_ids(nodes: Iterable[Node]) -> list[str]:
    """`encode_node_id` of each."""
    return _encode_all("Node", map(_NODE_PLACE, nodes))


def encode_resource_id(key: ResourceKey) -> str:
    return _encode("Resource", key)


def decode_id(text: str) -> PodKey | NodeKey | WorkloadKey | ResourceKey:
    """What an id names. Raises InvalidQuery."""
    try:
        padded = text + "=" * (-len(text) % 4)
        parts = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True)) if len(text) <= _MAX_ID else None
    except (binascii.Error, ValueError):
        parts = None
    match parts:
        case ["Pod", str(cluster), str(namespace), str(name)]:
            return PodKey(cluster, namespace, name)
        case ["Node", str(cluster), str(name)]:
            return NodeKey(cluster, name)
        case ["Workload", str(cluster), str(namespace), str(name), str(kind)]:
            return WorkloadKey(cluster, namespace, name, kind)
        case ["Resource", str(cluster), str(api_version), str(kind), str(namespace), str(name)]:
            return ResourceKey(cluster, api_version, kind, namespace, name)
    raise InvalidQuery("that is no id of this graph: take one from a field `id`")


def _encode_all(kind: str, keys: Iterable[tuple[str, ...]]) -> list[str]:
    lines = _ENCODER.encode_lines([(kind, *key) for key in keys]).split(b"\n")
    lines.pop()
    written = b"\n".join([binascii.b2a_base64(line, newline=False) for line in lines])
    return written.translate(_URL_SAFE, b"=").decode().split("\n") if lines else []


def _encode(kind: str, key: PodKey | NodeKey | WorkloadKey | ResourceKey) -> str:
    return binascii.b2a_base64(_ENCODER.encode((kind, *key)), newline=False).translate(_URL_SAFE, b"=").decode()
