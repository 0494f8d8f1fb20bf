"""Opaque identities of the graph's objects: URL-safe base64 of the type and the key."""

import base64
import binascii

import msgspec
import orjson

from fleet.model.errors import InvalidQuery
from fleet.model.kube_objects import ResourceKey
from fleet.model.objects import NodeKey, PodKey

_MAX_ID = 2_000
_WRITE = msgspec.json.Encoder().encode
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def encode_pod_id(key: PodKey) -> str:
    """The id of a pod; the same for all its life, and for a successor of the same name."""
    return _encode("Pod", key)


def encode_node_id(key: NodeKey) -> str:
    return _encode("Node", key)


def encode_resource_id(key: ResourceKey) -> str:
    return _encode("Resource", key)


def decode_id(text: str) -> PodKey | NodeKey | ResourceKey:
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
        case ["Resource", str(cluster), str(api_version), str(kind), str(namespace), str(name)]:
            return ResourceKey(cluster, api_version, kind, namespace, name)
    raise InvalidQuery("that is no id of this graph: take one from a field `id`")


def _encode(kind: str, key: PodKey | NodeKey | ResourceKey) -> str:
    written = binascii.b2a_base64(_WRITE((kind, *key)), newline=False)  # lists have thousands of them
    return written.translate(_URL_SAFE).rstrip(b"=").decode()
