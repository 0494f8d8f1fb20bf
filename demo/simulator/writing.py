"""Create, replace, patch and delete."""

import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import yaml

from demo.simulator.kinds import NAMESPACES, Kind
from demo.simulator.naming import SUFFIX_LETTERS
from demo.simulator.patches import apply_patch
from demo.simulator.reading import object_bytes
from demo.simulator.selection import Selection
from demo.simulator.status import (
    ApiError,
    build_bad_request,
    build_conflict,
    build_exists,
    build_invalid,
    build_not_found,
    build_unsupported_media,
)
from demo.simulator.store import Entry, Place, Store, build_entry

PATCH_TYPES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_BODY_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_KEPT_BY_SERVER = ("uid", "creationTimestamp", "name", "namespace")


def parse_body(body: bytes, content_type: str) -> Any:
    """A body as JSON or YAML; no type counts as JSON. Raises ApiError 400 and 415."""
    media = content_type.partition(";")[0].strip().lower()
    try:
        if media in ("application/yaml", "application/x-yaml", "application/apply-patch+yaml"):
            return yaml.safe_load(body)
        if media in ("", "application/json") or media in PATCH_TYPES:
            return orjson.loads(body)
    except (yaml.YAMLError, orjson.JSONDecodeError) as error:
        raise build_bad_request(f"couldn't get version/kind; json parse error: {error}") from error
    raise build_unsupported_media(_BODY_TYPES)


def create_object(store: Store, kind: Kind, namespace: str, sent: Any, *, dry_run: bool) -> bytes:
    """Stores a new object and answers it. Raises ApiError 400, 404 (namespace), 409, 422."""
    _check_type(kind, sent)
    metadata = dict(sent.get("metadata") or {})
    prefix = metadata.get("generateName", "")
    if not metadata.get("name") and prefix:
        metadata["name"] = prefix + "".join(secrets.choice(SUFFIX_LETTERS) for _ in range(5))
    name = metadata.get("name") or ""
    if not name:
        raise build_invalid(kind, "", "metadata.name", "Required value: name or generateName is required")
    if kind.namespaced:
        _check_namespace(store, kind, namespace, metadata)
        metadata["namespace"] = namespace
    if store.get(kind, (namespace, name)) is not None:
        raise build_exists(kind, name)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    members = {**sent, "metadata": metadata}
    if kind is NAMESPACES:
        members = {**members, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    return _store(store, kind, members, dry_run=dry_run)


def replace_object(store: Store, kind: Kind, place: Place, sent: Any, *, dry_run: bool) -> bytes:
    """Replaces an object that is there. Raises ApiError 400, 404, 409."""
    _check_type(kind, sent)
    current = _find(store, kind, place)
    metadata = sent.get("metadata") or {}
    if metadata.get("name") != place[1]:
        raise build_bad_request(
            f"the name of the object ({metadata.get('name', '')}) does not match the name on the URL ({place[1]})"
        )
    return _update(store, kind, current, sent, dry_run=dry_run)


def patch_object(store: Store, kind: Kind, place: Place, sent: Any, content_type: str, *, dry_run: bool) -> bytes:
    """Patches an object that is there. Raises ApiError 400, 404, 409, 415, 422."""
    media = content_type.partition(";")[0].strip().lower()
    if media not in PATCH_TYPES or (kind.custom and "strategic" in media):
        raise build_unsupported_media(PATCH_TYPES, of_patch=True)
    current = _find(store, kind, place)
    return _update(store, kind, current, apply_patch(media, current.load(), sent), dry_run=dry_run)


def delete_object(store: Store, kind: Kind, place: Place, *, dry_run: bool) -> bytes:
    """Deletes at once and answers a Status of success. Raises ApiError 404."""
    entry = _find(store, kind, place)
    if not dry_run:
        store.remove(kind, place)
    uid = entry.load()["metadata"].get("uid", "")
    group = {"group": kind.group} if kind.group else {}
    details = {"name": place[1], **group, "kind": kind.plural, "uid": uid}
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    return orjson.dumps(status)


def delete_collection(store: Store, kind: Kind, selection: Selection, *, dry_run: bool) -> bytes:
    gone = [entry for entry in store.entries(kind).values() if selection.matches(entry)]
    if not dry_run:
        for entry in gone:
            store.remove(kind, entry.place)
    items = b",".join(entry.members() for entry in gone)
    head = orjson.dumps({"kind": f"{kind.kind}List", "apiVersion": kind.api_version})[:-1]
    return b'%b,"metadata":{"resourceVersion":"%d"},"items":[%b]}' % (head, store.version, items)


def is_dry_run(query: Mapping[str, str]) -> bool:
    """Whether nothing may be stored. Raises ApiError 400 for a value the API does not know."""
    value = query.get("dryRun", "")
    if value not in ("", "All"):
        raise ApiError(422, "Invalid", f'dryRun: Unsupported value: "{value}": supported values: "All"')
    return value == "All"


def _check_type(kind: Kind, sent: Any) -> None:
    if not isinstance(sent, dict):
        raise build_bad_request("couldn't get version/kind; json parse error: an object is wanted")
    for member, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        given = sent.get(member)
        if given is None:
            raise build_bad_request(f"Object '{member.capitalize()}' is missing")
        if given != wanted:
            raise build_bad_request(f"the object provided is unrecognized (must be of type {kind.kind}): {given}")


def _check_namespace(store: Store, kind: Kind, namespace: str, metadata: dict[str, Any]) -> None:
    if metadata.get("namespace") not in (None, "", namespace):
        raise build_bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if store.get(NAMESPACES, ("", namespace)) is None:
        raise build_not_found(NAMESPACES, namespace)


def _find(store: Store, kind: Kind, place: Place) -> Entry:
    entry = store.get(kind, place)
    if entry is None:
        raise build_not_found(kind, place[1])
    return entry


def _update(store: Store, kind: Kind, current: Entry, members: dict[str, Any], *, dry_run: bool) -> bytes:
    metadata = dict(members.get("metadata") or {})
    asked = metadata.get("resourceVersion", "")
    if asked and asked != str(current.version):
        raise build_conflict(kind, current.name)
    kept = current.load()["metadata"]
    metadata |= {key: kept[key] for key in _KEPT_BY_SERVER if key in kept}
    updated = {**members, "metadata": metadata}
    entry = build_entry(kind, updated)
    if entry.source.render(current.version) == build_entry(kind, current.load()).source.render(current.version):
        return object_bytes(kind, current)  # an update that changes nothing is no write
    return _store(store, kind, updated, dry_run=dry_run)


def _store(store: Store, kind: Kind, members: dict[str, Any], *, dry_run: bool) -> bytes:
    entry = build_entry(kind, members)
    return object_bytes(kind, entry if dry_run else store.put(kind, entry))
