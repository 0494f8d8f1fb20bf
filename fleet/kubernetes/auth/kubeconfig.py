"""Reads and merges kubeconfig files, and finds what each context means.

Source: Kubernetes, "Organizing Cluster Access Using kubeconfig Files"; merging as kubectl does it: files that are not
there are skipped, the first file that names a thing wins, and paths are relative to the file they stand in. Not by
kubernetes_asyncio: its loader writes keys to temporary files, its exec provider takes no client certificate and
remembers no token.
"""

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from fleet.aio.files import read_bytes
from fleet.kubernetes.auth.encoding import decode_base64
from fleet.kubernetes.auth.endpoint import parse_endpoint, parse_proxy
from fleet.kubernetes.auth.exec_plugin import ExecPlugin, build_exec_plugin
from fleet.kubernetes.auth.kubeconfig_entries import (
    ClusterEntry,
    ContextEntry,
    FileEntry,
    UserEntry,
    check_cluster,
    check_user,
    read_entry,
)
from fleet.kubernetes.auth.kubeconfig_yaml import load_first_document
from fleet.kubernetes.auth.tls import EVERYTHING, TlsMaterial

T = TypeVar("T")

_EXEC_EXTENSION = "client.authentication.k8s.io/exec"
_MAX_FILE_BYTES = 16 * 1024 * 1024


class KubeconfigError(ValueError):
    """A kubeconfig, or one context of it, is wrong; the message says what to mend and holds no secret."""


@dataclass(frozen=True)
class Section:
    """A named entry (a cluster, user or context) and the folder its relative paths start from.

    `problem` says why nothing of it can be used.
    """

    body: Mapping[str, Any] = field(repr=False)
    folder: Path
    problem: str | None = None


@dataclass(frozen=True)
class Kubeconfig:
    """Merged files. `problems` says which files can't be read, `nameless` which entries nobody can name."""

    contexts: Mapping[str, Section]
    clusters: Mapping[str, Section]
    users: Mapping[str, Section]
    current_context: str | None
    problems: tuple[str, ...] = ()
    nameless: tuple[str, ...] = ()


@dataclass(frozen=True)
class Access:
    """All that one context says, with the contents of the files it names.

    At most one way to sign in is set; a token beside a token file is for as long as the file can't be read.
    """

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
    nameless: list[str] = []
    for path, content in contents.items():
        try:
            document = _parse(content)
            sections_of = {kind: _sections(document, kind, path.parent) for kind in kinds}
        except KubeconfigError as error:
            problems.append(f"kubeconfig {path} can't be read: {error}")
            continue
        for kind, sections in sections_of.items():
            kinds[kind] = {**sections, **kinds[kind]}
            nameless += [f"kubeconfig {path}: {problem}" for problem in _find_nameless(document, kind)]
        current = current or read_entry(document, FileEntry).current_context or None
    return Kubeconfig(kinds["contexts"], kinds["clusters"], kinds["users"], current, tuple(problems), tuple(nameless))


def load_access(config: Kubeconfig, context: str) -> Access:
    """What a context means; reads the files it names. Raises KubeconfigError."""
    if context not in config.contexts:
        known = ", ".join(list(config.contexts)[:20]) or "none"
        raise KubeconfigError(f"the kubeconfig has no context {context!r}; contexts: {known}")
    try:
        named = _read(config.contexts[context], ContextEntry)
    except ValueError as error:
        raise KubeconfigError(f"context {context}: {error}") from error
    if not named.cluster or named.cluster not in config.clusters:
        raise KubeconfigError(f"context {context}: cluster {named.cluster!r} is not under clusters: add or rename it")
    if named.user and named.user not in config.users:
        raise KubeconfigError(f"context {context}: user {named.user!r} is not under users: add or rename it")
    user = config.users[named.user] if named.user else Section({}, Path())
    try:
        return build_access(config.clusters[named.cluster], user)
    except ValueError as error:
        raise KubeconfigError(f"context {context} (cluster {named.cluster}, user {named.user}): {error}") from error


def _read(section: Section, type: type[T]) -> T:  # noqa: A002 - msgspec's own word
    if section.problem is not None:
        raise ValueError(section.problem)
    return read_entry(section.body, type)


def build_access(cluster: Section, user: Section) -> Access:
    """What entries under clusters and users mean together; reads the files they name. Raises ValueError."""
    place, proof = _read(cluster, ClusterEntry), _read(user, UserEntry)
    check_cluster(place)
    check_user(proof)
    endpoint = _named("server", lambda: parse_endpoint(place.server or ""))
    proxy = place.proxy_url
    tls = TlsMaterial()
    if endpoint.startswith("https://"):
        tls = _load_tls(place, cluster.folder, proof, user.folder)
    return Access(
        endpoint=endpoint,
        tls=tls,
        server_name=place.tls_server_name or None,
        proxy=_named("proxy-url", lambda: parse_proxy(proxy)) if proxy else None,
        **_sign_in(proof, user.folder, _cluster_info(place, tls)),
    )


def _sign_in(user: UserEntry, folder: Path, cluster: Mapping[str, Any]) -> dict[str, Any]:
    """The one way to sign in that counts, in the order in which kubectl lets them win."""
    token = user.token.strip() if user.token else None
    if user.token_file:
        return {"token_file": folder / user.token_file, "token": token}
    if token:
        return {"token": token}
    if user.username:
        return {"basic": (user.username, user.password or "")}
    if user.exec is not None and not (user.client_certificate or user.client_certificate_data):
        return {"plugin": build_exec_plugin(user.exec, folder, cluster)}
    if user.auth_provider is not None:
        return {"provider": {"auth-provider": msgspec.to_builtins(user.auth_provider)}}
    return {}


def _load_tls(cluster: ClusterEntry, folder: Path, user: UserEntry, user_folder: Path) -> TlsMaterial:
    certificate = _load_material(
        "client-certificate", user.client_certificate_data, user.client_certificate, user_folder
    )
    key = None
    if certificate is not None:  # a key alone proves nothing, to kubectl neither
        key = _load_material("client-key", user.client_key_data, user.client_key, user_folder)
        if key is None:
            raise ValueError("client-certificate and client-key must both be given, or neither")
    if cluster.insecure_skip_tls_verify:
        return TlsMaterial(None, certificate, key, frozenset({EVERYTHING}))
    authority = _load_material(
        "certificate-authority", cluster.certificate_authority_data, cluster.certificate_authority, folder
    )
    return TlsMaterial(authority, certificate, key)


def _load_material(field: str, data: str | None, path: str | None, folder: Path) -> bytes | None:
    """The bytes of `FIELD-data` (base64), else of the file that FIELD names. Raises ValueError."""
    if data:
        try:
            return decode_base64(data) or None
        except ValueError as error:
            raise ValueError(f"{field}-data {error}") from error
    if not path:
        return None
    file = folder / path
    try:
        return _read_file(file)
    except OSError as error:
        raise ValueError(f"{field}: the file {file} can't be read: {error.strerror}") from error


def _cluster_info(cluster: ClusterEntry, tls: TlsMaterial) -> Mapping[str, Any]:
    """What an exec plugin may be told of its cluster."""
    extensions = (found for found in cluster.extensions or () if found is not None)
    info = {
        "server": cluster.server,
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": base64.b64encode(tls.ca or b"").decode(),
        "proxy-url": cluster.proxy_url,
        "disable-compression": cluster.disable_compression,
        "config": next((found.extension for found in extensions if found.name == _EXEC_EXTENSION), None),
    }
    return {name: value for name, value in info.items() if value}


def _named(field: str, parse: Callable[[], str]) -> str:
    try:
        return parse()
    except ValueError as error:
        raise ValueError(f"{field} {error}") from error


def _read_file(path: Path) -> bytes:
    content = read_bytes(path, _MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise KubeconfigError(f"the file {path} is larger than {_MAX_FILE_BYTES} bytes")
    return content


def _parse(content: bytes | str) -> Mapping[str, Any]:
    if isinstance(content, str):
        raise KubeconfigError(content)
    try:
        document = load_first_document(content)
    except yaml.YAMLError as error:
        # PyYAML quotes the text around a mistake, which may be a token.
        mark = getattr(error, "problem_mark", None)
        raise KubeconfigError(f"not YAML{f' (line {mark.line + 1})' if mark is not None else ''}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise KubeconfigError("not a mapping of kind Config")
    for name, known in (("apiVersion", "v1"), ("kind", "Config")):
        if document.get(name) not in (None, "", known):
            raise KubeconfigError(f"{name} must be {known}")
    try:
        read_entry(document, FileEntry)
    except ValueError as error:
        raise KubeconfigError(str(error)) from error
    return document


def _sections(document: Mapping[str, Any], kind: str, folder: Path) -> dict[str, Section]:
    singular = kind.removesuffix("s")
    found: dict[str, Section] = {}
    for entry in _list_entries(document, kind):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            continue
        body = entry.get(singular) or {}
        problem = None if isinstance(body, dict) else f"{kind} entry {name}: {singular} must be a mapping"
        if name in found:
            problem = f"{kind} has more than one entry named {name}, and kubectl takes none of them: rename one"
        found[name] = Section({} if problem else body, folder, problem)
    return found


def _find_nameless(document: Mapping[str, Any], kind: str) -> Iterator[str]:
    """What is no entry, or has no text for a name; kubectl refuses the whole file for some of these."""
    for number, entry in enumerate(_list_entries(document, kind), start=1):
        if not isinstance(entry, dict):
            yield f"{kind} entry {number} must be a mapping and must have a name"
        elif not isinstance(entry.get("name"), str) or not entry["name"]:
            yield f"{kind} entry {number} must have a name, as text"


def _list_entries(document: Mapping[str, Any], kind: str) -> list[Any]:
    entries = document.get(kind)
    if entries is not None and not isinstance(entries, list):
        raise KubeconfigError(f"{kind} must be a list")
    return entries or []
