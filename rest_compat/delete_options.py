"""Bodies of DELETE: what is meant for the API server, and what only `omcpctl` sends."""

import msgspec
import yaml

from fleet.model.unreadable import UNREADABLE, load_yaml

MAX_YAML_OPTIONS = 64 * 1024

_BINARY_OPTIONS = frozenset({"application/vnd.kubernetes.protobuf", "application/cbor"})


def is_delete_options(content_type: str, body: bytes) -> bool:
    """Whether a DELETE's body is meant for the API server.

    `omcpctl delete -f` sends the manifest of what is to be deleted, which an API server would refuse as DeleteOptions.
    """
    if content_type in _BINARY_OPTIONS:
        return True
    try:
        options = msgspec.json.decode(body)
    except UNREADABLE:
        options = _load_yaml(body)
    return isinstance(options, dict) and options.get("kind", "DeleteOptions") == "DeleteOptions"


def _load_yaml(body: bytes) -> object:
    # Options in YAML are a few lines; a manifest can be long, and YAML is slow to read.
    if len(body) > MAX_YAML_OPTIONS:
        return None
    try:
        return load_yaml(body)
    except yaml.YAMLError:
        return None
