"""What a Kubernetes request is about, read from its method, path and query alone.

Source: apiserver `pkg/endpoints/request/requestinfo.go`, so that what is authorized here is what a member carries out.
A path that could be read in two ways is refused before it is read at all.
"""

import re
from functools import lru_cache
from urllib.parse import parse_qsl, unquote_to_bytes

from msgspec import Struct

from fleet.model.errors import InvalidQuery

MAX_PATH = 8_192

_MAX_REMEMBERED = 512

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_BULK_VERBS = frozenset({"list", "watch", "deletecollection"})
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})
# Their objects are named by what can be one segment of a path: no "/" or "%", not "." or "..". Source: apimachinery
# `pkg/api/validation/path`, which `pkg/apis/rbac/validation` and OpenShift's own ask.
_SEGMENT_NAMES = frozenset({"rbac.authorization.k8s.io", "authorization.openshift.io", "user.openshift.io"})
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DOUBTFUL = "%?#\\"


class RequestInfo(Struct, frozen=True):
    """A request as the API server's authorizer sees it.

    `verb` is get, list, watch, create, update, patch, delete or deletecollection; of another method, and where
    `is_resource` is False (discovery, `/version` and the like), it is the method in lower case. `api_group` is empty
    for the core group. `namespace` is None for cluster-wide requests; a request about a namespace itself has it as
    namespace and as name. `name` is None where none is named. A list or watch that a field selector narrows to one
    name has that name.
    """

    verb: str
    is_resource: bool = False
    api_group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str | None = None
    namespace: str | None = None
    name: str | None = None

    @property
    def summary(self) -> str:
        """What it is, without of what: `list pods`, `get pods/log`, `patch deployments.apps`."""
        if not self.is_resource:
            return self.verb
        group, part = self.api_group and f".{self.api_group}", self.subresource
        return f"{self.verb} {self.resource}{group}{f'/{part}' if part else ''}"


def parse_request(method: str, path: str, query: str) -> RequestInfo:
    """Reads a request. `path` is as it was sent, percent-encoded; `query` is without `?`.

    Raises InvalidQuery for a path that is not in normal form: one that does not begin with `/`; empty, `.` and `..`
    segments in any encoding (one `/` at the end is accepted); encoded slashes, control characters, broken escapes,
    backslashes; and `%`, `?` or `#` in the segments that say what is asked for. The names of roles and of OpenShift's
    users and groups may hold backslashes, `?` and `#`, as they may in Kubernetes.
    """
    if len(path) + len(query) > _MAX_REMEMBERED:
        return _parse(method, path, query)
    return _parse_remembered(method, path, query)


@lru_cache(maxsize=1_024)
def build_route(info: RequestInfo) -> str:
    """The path with words in the place of names: `/api/v1/namespaces/{namespace}/pods/{name}/log`; empty for others."""
    if not info.is_resource or not info.resource:
        return ""
    route = f"/apis/{info.api_group}/{info.version}" if info.api_group else f"/api/{info.version}"
    if info.namespace is not None and info.resource != "namespaces":
        route += "/namespaces/{namespace}"
    route += f"/{info.resource}"
    if info.name is not None and info.verb not in _BULK_VERBS:  # a list has one by its selector
        route += "/{name}"
    return f"{route}/{info.subresource}" if info.subresource else route


def survives_urls(name: str) -> bool:
    """Whether clients that clean paths, as client-go does, send a cluster's name as it is."""
    return {"", ".", ".."}.isdisjoint(name.split("/"))


def _parse(method: str, path: str, query: str) -> RequestInfo:
    segments = _split_path(path)
    grouped = segments[:1] == ["apis"]
    if segments[:1] not in (["api"], ["apis"]) or len(segments) < (4 if grouped else 3):
        _refuse(_DOUBTFUL, segments, path)
        return RequestInfo(method.lower())
    group = segments[1] if grouped else ""
    version, *parts = segments[2:] if grouped else segments[1:]
    verb, parts, watched = _split_verb(method, parts, path)
    namespace, parts = _split_namespace(parts)
    resource, name, subresource, *_ = [*parts, None, None]
    _refuse(_DOUBTFUL, [group, version, namespace or "", *parts[:1], *parts[2:3]], path)
    _refuse("%" if group in _SEGMENT_NAMES else _DOUBTFUL, parts[1:2], path)
    # What follows `proxy` is another server's path: Kubernetes hands it on without reading it.
    _refuse("\\" if subresource == "proxy" else _DOUBTFUL, parts[3:], path)
    return RequestInfo(
        verb=verb if name or watched else _bulk_verb(verb, query),
        is_resource=True,
        api_group=group,
        version=version,
        resource=resource or "",
        subresource=subresource,
        namespace=namespace,
        name=name or (_selected_name(query) if verb == "get" else None),
    )


# Clients ask the same again and again; what is remembered is bounded in number and size, and refusals are not.
_parse_remembered = lru_cache(maxsize=1_024)(_parse)


def _split_path(path: str) -> list[str]:
    """The decoded segments of a path in normal form."""
    if len(path) > MAX_PATH:
        raise InvalidQuery(f"the path is longer than {MAX_PATH} characters")
    if not path.startswith("/") or not path.isascii() or _BROKEN_ESCAPE.search(path):
        raise InvalidQuery(f"{path[:200]!r} is not a percent-encoded path that begins with '/'")
    raw = path[1:].removesuffix("/")
    return [_decode(segment, path) for segment in raw.split("/")] if raw else []


def _decode(segment: str, path: str) -> str:
    try:
        decoded = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError as error:
        raise InvalidQuery(f"{path[:200]!r}: the segment {segment[:80]!r} is not UTF-8") from error
    if decoded in ("", ".", ".."):
        raise InvalidQuery(f"{path[:200]!r}: empty, '.' and '..' segments are not accepted, send the path they lead to")
    if "/" in decoded or _CONTROL.search(decoded):
        raise InvalidQuery(f"{path[:200]!r}: slashes and control characters can't be part of a segment")
    return decoded


def _refuse(characters: str, segments: list[str], path: str) -> None:
    for segment in segments:
        if any(character in segment for character in characters):
            raise InvalidQuery(f"{path[:200]!r}: the segment {segment[:80]!r} can't be part of a name")


def _split_verb(method: str, parts: list[str], path: str) -> tuple[str, list[str], bool]:
    """The verb, what follows a verb in the path, and whether the path said `watch`."""
    verb = _VERBS.get(method, method.lower())
    if parts[0] not in ("watch", "proxy"):
        return verb, parts, False
    if parts[0] == "proxy":
        raise InvalidQuery(f"{path[:200]!r}: the prefix 'proxy' is gone from Kubernetes, use the subresource 'proxy'")
    if len(parts) < 2:
        raise InvalidQuery(f"{path[:200]!r}: expected a resource after 'watch'")
    if method not in ("GET", "HEAD"):
        raise InvalidQuery(f"{path[:200]!r}: {method[:20]} does not watch, only GET does")
    return "watch", parts[1:], True


def _split_namespace(parts: list[str]) -> tuple[str | None, list[str]]:
    if parts[0] != "namespaces" or len(parts) < 2:
        return None, parts
    if len(parts) > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
        return parts[1], parts[2:]
    return parts[1], parts


def _bulk_verb(verb: str, query: str) -> str:
    """The verb of a request that names no object."""
    if verb == "delete":
        return "deletecollection"
    if verb != "get":
        return verb
    watch = _first(query, "watch")
    return "list" if watch is None or watch.lower() in ("false", "0") else "watch"


def _selected_name(query: str) -> str | None:
    """The name that the field selector of a list requires, if it requires one."""
    selector = _first(query, "fieldSelector")
    match = re.search(r"(?:^|,)metadata\.name==?([^,=\\%/]+)(?:,|$)", selector) if selector else None
    return match[1] if match and match[1] not in (".", "..") else None


def _first(query: str, key: str) -> str | None:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=1_000)
    except ValueError as error:
        raise InvalidQuery("the query has more than 1000 parameters") from error
    return next((value for name, value in pairs if name == key), None)
