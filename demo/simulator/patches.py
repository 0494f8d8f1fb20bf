"""Patches: JSON Patch (RFC 6902), JSON Merge Patch (RFC 7386) and, near enough, strategic merge."""

import copy
from typing import Any

from demo.simulator.status import ApiError, build_bad_request

_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
    "conditions": "type",
    "ownerReferences": "uid",
}
"""Lists that strategic merge joins by a key; others are replaced. Source: `patchMergeKey` of the core types."""


def apply_patch(content_type: str, current: dict[str, Any], patch: Any) -> dict[str, Any]:
    """The patched object; `current` stays as it is. Raises ApiError 400, and 422 where a JSON Patch does not apply."""
    if content_type == "application/json-patch+json":
        if not isinstance(patch, list):
            raise build_bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
        return _apply_operations(copy.deepcopy(current), patch)
    if not isinstance(patch, dict):
        raise build_bad_request("json: cannot unmarshal array into Go value of type map[string]interface {}")
    merged = _merge(copy.deepcopy(current), patch, strategic="strategic" in content_type)
    return merged if isinstance(merged, dict) else {}


def _merge(target: Any, patch: Any, *, strategic: bool, field: str = "") -> Any:
    if isinstance(patch, list) and strategic and field in _MERGE_KEYS and isinstance(target, list):
        return _merge_list(target, patch, _MERGE_KEYS[field])
    if not isinstance(patch, dict):
        return patch
    result: dict[str, Any] = target if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif key != "$patch":
            result[key] = _merge(result.get(key), value, strategic=strategic, field=key)
    return result


def _merge_list(target: list[Any], patch: list[Any], key: str) -> list[Any]:
    result = list(target)
    for item in patch:
        found = next((index for index, old in enumerate(result) if old.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            if found is not None:
                del result[found]
        elif found is None:
            result.append(_merge({}, item, strategic=True))
        else:
            result[found] = _merge(result[found], item, strategic=True)
    return result


def _apply_operations(document: dict[str, Any], operations: list[Any]) -> dict[str, Any]:
    for operation in operations:
        try:
            _apply_operation(document, operation)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
            message = f"the server rejected our request due to an error in our request: {error}"
            raise ApiError(422, "Invalid", message, details={}) from error
    return document


def _apply_operation(document: dict[str, Any], operation: dict[str, Any]) -> None:
    path = _split_pointer(operation["path"])
    match operation["op"]:
        case "add":
            _add(document, path, operation["value"])
        case "remove":
            _remove(document, path)
        case "replace":
            _remove(document, path)
            _add(document, path, operation["value"])
        case "move":
            _add(document, path, _remove(document, _split_pointer(operation["from"])))
        case "copy":
            _add(document, path, copy.deepcopy(_find(document, _split_pointer(operation["from"]))))
        case "test":
            if _find(document, path) != operation.get("value"):
                raise ValueError(f"testing value {operation['path']} failed")
        case other:
            raise ValueError(f"Unexpected kind: {other}")


def _split_pointer(pointer: str) -> list[str]:
    if not pointer.startswith("/"):
        raise ValueError(f"{pointer!r} is not a JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def _find(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def _add(document: Any, path: list[str], value: Any) -> None:
    parent = _find(document, path[:-1])
    if isinstance(parent, list):
        index = len(parent) if path[-1] == "-" else int(path[-1])
        if not 0 <= index <= len(parent):
            raise IndexError(f"index {index} is out of bounds")
        parent.insert(index, value)
    else:
        parent[path[-1]] = value


def _remove(document: Any, path: list[str]) -> Any:
    parent = _find(document, path[:-1])
    return parent.pop(int(path[-1])) if isinstance(parent, list) else parent.pop(path[-1])
