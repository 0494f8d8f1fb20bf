"""Reads and merges kubeconfig files, and finds what each context means.

Source: Kubernetes, "Organizing Cluster Access Using kubeconfig Files"; merging as kubectl does it: files that are not
there are skipped, the first file that names a thing wins, and paths are relative to the file they stand in. Not by
kubernetes_asyncio: its loader writes keys to temporary files, its exec provider takes no client certificate and
remembers no token.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fleet.kubernetes.auth.endpoint import parse_endpoint, parse_proxy
from fleet.kubernetes.auth.exec_plugin import ExecPlugin, build_exec_plugin
from fleet.kubernetes.auth.tls import EVERYTHING, TlsMaterial

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_FILE_BYTES = 16 * 1024 * 1024


class KubeconfigError(ValueError):
    """A kubeconfig, or one context of it, is wrong; the message says what to mend and holds no secret."""


@dataclass(frozen=True)
class Section:
    """A named entry (a cluster, user or context) and the folder its relative paths start from."""

    body: Mapping[str, Any] = field(repr=False)
    folder: Path


@dataclass(frozen=True)
class Kubeconfig:
    """Merged files. `problems` says which files can't be read."""

    contexts: Mapping[str, Section]
    clusters: Mapping[str, Section]
    users: Mapping[str, Section]
    current_context: str | None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Access:
    """All that one context says, with the contents of the files it names. At most one way to sign in is set."""

    endpoint: str
    tls: TlsMaterial
    server_name: str | None = None
    proxy: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    plugin: ExecPlugin | None = None
    basic: tuple[str, str] | None = field(default=None, repr=False)
    provider: Mapping[str, Any] | None = field(default=None, repr=False)


def load_files(paths: tuple[Path, ...]) -> dict[Path, bytes | str]:
    """The files that are there; a text in the place of bytes says why one can't be read."""
    contents: dict[Path, bytes | str] = {}
    for path in paths:
        try:
            contents[path] = _read_file(path)
        except FileNotFoundError:
            continue
        except (OSError, KubeconfigError) as error:
            contents[path] = getattr(error, "strerror", None) or str(error)
    return contents


def build_kubeconfig(contents: Mapping[Path, bytes | str]) -> Kubeconfig:
    """Merges files. One that is no kubeconfig is left out and named in `problems`."""
    kinds: dict[str, dict[str, Section]] = {"contexts": {}, "clusters": {}, "users": {}}
    current: str | None = None
    problems: list[str] = []
    for path, content in contents.items():
        try:
            document = _parse(content)
            sections_of = {kind: _sections(document, kind, path.parent) for kind in kinds}
        except KubeconfigError as error:
            problems.append(f"kubeconfig {path} can't be read: {error}")
            continue
        for kind, sections in sections_of.items():
            kinds[kind] = {**sections, **kinds[kind]}
        stated = document.get("current-context")
        current = current or (stated if isinstance(stated, str) and stated else None)
    return Kubeconfig(kinds["contexts"], kinds["clusters"], kinds["users"], current, tuple(problems))


def load_access(config: Kubeconfig, context: str) -> Access:
    """What a context means; reads the files it names. Raises KubeconfigError."""
    if context not in config.contexts:
        known = ", ".join(list(config.contexts)[:20]) or "none"
        raise KubeconfigError(f"the kubeconfig has no context {context!r}; contexts: {known}")
    body = config.contexts[context].body
    cluster_name, user_name = body.get("cluster"), body.get("user")
    if not isinstance(cluster_name, str) or cluster_name not in config.clusters:
        raise KubeconfigError(f"context {context}: cluster {cluster_name!r} is not under clusters: add or rename it")
    user = Section({}, Path())
    if user_name:
        if user_name not in config.users:
            raise KubeconfigError(f"context {context}: user {user_name!r} is not under users: add or rename it")
        user = config.users[user_name]
    try:
        return _build_access(config.clusters[cluster_name], user)
    except ValueError as error:
        raise KubeconfigError(f"context {context} (cluster {cluster_name}, user {user_name}): {error}") from error


def _build_access(cluster: Section, user: Section) -> Access:
    endpoint = _named("server", lambda: parse_endpoint(str(cluster.body.get("server") or "")))
    if any(user.body.get(key) for key in ("as", "as-uid", "as-groups", "as-user-extra")):
        raise ValueError("users[].user.as (impersonation) is not supported: give the user its own credential")
    proxy = cluster.body.get("proxy-url")
    server_name = cluster.body.get("tls-server-name")
    return Access(
        endpoint=endpoint,
        tls=_load_tls(cluster, user) if endpoint.startswith("https://") else TlsMaterial(),
        server_name=str(server_name) if server_name else None,
        proxy=_named("proxy-url", lambda: parse_proxy(str(proxy))) if proxy else None,
        **_sign_in(user, cluster),
    )


def _sign_in(user: Section, cluster: Section) -> dict[str, Any]:
    """The one way to sign in that counts, in the order in which kubectl lets them win."""
    body = user.body
    if body.get("tokenFile"):
        return {"token_file": user.folder / str(body["tokenFile"])}
    if body.get("token"):
        return {"token": str(body["token"]).strip()}
    if isinstance(body.get("exec"), dict):
        return {"plugin": build_exec_plugin(body["exec"], user.folder, _cluster_info(cluster))}
    if isinstance(body.get("auth-provider"), dict):
        return {"provider": {"auth-provider": body["auth-provider"]}}
    if body.get("username"):
        return {"basic": (str(body["username"]), str(body.get("password") or ""))}
    return {}


def _load_tls(cluster: Section, user: Section) -> TlsMaterial:
    certificate = _load_material(user, "client-certificate")
    key = _load_material(user, "client-key")
    if (certificate is None) != (key is None):
        raise ValueError("client-certificate and client-key must both be given, or neither")
    if cluster.body.get("insecure-skip-tls-verify"):
        return TlsMaterial(None, certificate, key, frozenset({EVERYTHING}))
    return TlsMaterial(_load_material(cluster, "certificate-authority"), certificate, key)


def _load_material(section: Section, field: str) -> bytes | None:
    """The bytes of `FIELD-data` (base64), else of the file that FIELD names. Raises ValueError."""
    data, path = section.body.get(f"{field}-data"), section.body.get(field)
    if data:
        try:
            return base64.b64decode(data if isinstance(data, bytes) else str(data).encode(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"{field}-data is not base64") from error
    if not path:
        return None
    file = section.folder / str(path)
    try:
        return _read_file(file)
    except OSError as error:
        raise ValueError(f"{field}: the file {file} can't be read: {error.strerror}") from error


def _cluster_info(cluster: Section) -> Mapping[str, Any]:
    """What an exec plugin may be told of its cluster."""
    names = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
    return {name: cluster.body[name] for name in names if cluster.body.get(name)}


def _named(field: str, parse: Callable[[], str]) -> str:
    try:
        return parse()
    except ValueError as error:
        raise ValueError(f"{field} {error}") from error


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise KubeconfigError(f"the file {path} is larger than {_MAX_FILE_BYTES} bytes")
    return content


def _parse(content: bytes | str) -> Mapping[str, Any]:
    if isinstance(content, str):
        raise KubeconfigError(content)
    try:
        document = yaml.load(content, Loader=_LOADER)  # noqa: S506 - a safe loader, the fast one where there is one
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # PyYAML quotes the text around a mistake, which may be a token.
        mark = getattr(error, "problem_mark", None)
        raise KubeconfigError(f"not YAML{f' (line {mark.line + 1})' if mark is not None else ''}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise KubeconfigError("not a mapping of kind Config")
    return document


def _sections(document: Mapping[str, Any], kind: str, folder: Path) -> dict[str, Section]:
    entries = document.get(kind) or []
    if not isinstance(entries, list):
        raise KubeconfigError(f"{kind} must be a list")
    found: dict[str, Section] = {}
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            raise KubeconfigError(f"each entry of {kind} must have a name")
        body = entry.get(kind.removesuffix("s")) or {}
        if not isinstance(body, dict):
            raise KubeconfigError(f"{kind} entry {name}: {kind.removesuffix('s')} must be a mapping")
        found.setdefault(name, Section(body, folder))
    return found
