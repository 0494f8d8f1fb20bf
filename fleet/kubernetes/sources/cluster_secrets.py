"""What a Secret says of a cluster: in the forms of Cluster API and Argo CD, or as a kubeconfig that somebody put there.

Sources: Cluster API, "Kubeconfig management" (`<cluster>-kubeconfig`, key `value`); Argo CD, "Declarative Setup",
Clusters (keys `name`, `server` and `config`). Who writes Secrets does not run this server: nothing that is named in one
is opened here, and programs are run only where that is allowed.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from fleet.kubernetes.auth.encoding import decode_base64
from fleet.kubernetes.auth.kubeconfig import Access, Kubeconfig, KubeconfigError, Section, load_access
from fleet.kubernetes.auth.kubeconfig_entries import read_entry
from fleet.kubernetes.codec.codec import Codec
from fleet.kubernetes.codec.depth import read_deep
from fleet.kubernetes.codec.wire import Named
from fleet.kubernetes.sources.untrusted import FILE, FILES, PROGRAMS, read_untrusted, refuse
from fleet.model.objects import Pairs
from fleet.model.unreadable import UNREADABLE

CLUSTER_API_LABEL = "cluster.x-k8s.io/cluster-name"
ARGO_LABEL, ARGO_VALUE = "argocd.argoproj.io/secret-type", "cluster"
SELECTORS = (CLUSTER_API_LABEL, f"{ARGO_LABEL}={ARGO_VALUE}")
"""Which Secrets are read where nobody says it: labels of two tools are no one selector."""

_IN_CLUSTER = "https://kubernetes.default.svc"
# What Kubernetes gives its own names; those of EKS are ARNs.
_LONGEST_NAME = 253
_EXEC_API = "client.authentication.k8s.io/v1beta1"
# Where a field of a kubeconfig stands in Argo CD's config.
_ARGO_FIELDS = {
    "client-certificate-data": "config.tlsClientConfig.certData",
    "client-key-data": "config.tlsClientConfig.keyData",
    "client-certificate and client-key": "config.tlsClientConfig.certData and keyData",
    "certificate-authority-data": "config.tlsClientConfig.caData",
    "a certificate authority": "caData",
    "insecure-skip-tls-verify": "config.tlsClientConfig.insecure",
    "proxy-url": "config.proxyUrl",
    "token or tokenFile": "config.bearerToken",
    "exec.": "config.execProviderConfig.",
}


class ClusterSecret(Struct, frozen=True):
    """What is kept of one; `name` is its namespace and name.

    `cluster` is empty where it is another part of a cluster (its CA, say). `way` leads to the cluster, or says what is
    wrong; None is the cluster that the Secret is in. `created` is an RFC 3339 time in UTC.
    """

    name: str
    cluster: str
    labels: Pairs = ()
    way: Access | str | None = None
    created: str = ""


class _Labelled(Named, frozen=True):
    labels: Mapping[str, str] | None = None
    creation_timestamp: str | None = None


class _WireSecret(Struct):
    metadata: _Labelled
    data: Mapping[str, str] | None = None


class _ArgoTls(Struct, rename="camel"):
    insecure: bool = False
    server_name: str | None = None
    ca_data: str | None = None
    cert_data: str | None = None
    key_data: str | None = None


class _ArgoExec(Struct, rename="camel"):
    command: str | None = None
    args: list[str] | None = None
    env: dict[str, str] | None = None
    api_version: str | None = None
    install_hint: str | None = None


class _ArgoAws(Struct, rename="camel"):
    cluster_name: str
    role_arn: str | None = msgspec.field(default=None, name="roleARN")
    profile: str | None = None


class _ArgoConfig(Struct, rename="camel"):
    """ClusterConfig of Argo CD's API."""

    username: str | None = None
    password: str | None = None
    bearer_token: str | None = None
    tls_client_config: _ArgoTls = msgspec.field(default_factory=_ArgoTls)
    exec_provider_config: _ArgoExec | None = None
    aws_auth_config: _ArgoAws | None = None
    proxy_url: str | None = None


_SECRET = msgspec.json.Decoder(_WireSecret)


def cluster_secrets(namespace: str | None, selector: str, *, programs: bool, own: bool) -> Codec[ClusterSecret]:
    """Those that a label selector chooses, of one namespace or of all.

    They may name programs, or lead to their own cluster by this server's rights, where that is said.
    """
    within = "" if namespace is None else f"/namespaces/{quote(namespace, safe='')}"

    def build(raw: bytes, _cluster: str) -> ClusterSecret:
        return _build_secret(read_deep(_SECRET.decode, raw), programs=programs, own=own)

    return Codec("Secret", f"/api/v1{within}/secrets", build, query={"labelSelector": selector})


def _build_secret(wire: _WireSecret, *, programs: bool, own: bool) -> ClusterSecret:
    named, labels, data = wire.metadata, wire.metadata.labels or {}, wire.data or {}
    name, pairs = f"{named.namespace}/{named.name}", tuple(sorted(labels.items()))
    created = named.creation_timestamp or ""
    cluster = labels.get(CLUSTER_API_LABEL, named.name)
    is_argo = labels.get(ARGO_LABEL) == ARGO_VALUE
    if CLUSTER_API_LABEL in labels and not is_argo and named.name != f"{cluster}-kubeconfig":
        return ClusterSecret(name, "")
    try:
        if is_argo:
            cluster = _read_name(data) or named.name
            way = _read_argo(data, programs=programs, own=own)
        else:
            keys = ("value",) if CLUSTER_API_LABEL in labels else ("kubeconfig", "value")
            way = _read_kubeconfig(_read(data, *keys), programs=programs)
    except ValueError as error:
        return ClusterSecret(name, cluster, pairs, f"Secret {name}: {error}", created)
    return ClusterSecret(name, cluster, pairs, way, created)


def _read(data: Mapping[str, str], *keys: str) -> bytes:
    """What the first of the keys holds that is there. Raises ValueError."""
    key = next((key for key in keys if data.get(key)), None)
    if key is None:
        raise ValueError(f"it has no key {' and no key '.join(map(repr, keys))}, or nothing in it")
    try:
        return decode_base64(data[key])
    except ValueError as error:
        raise ValueError(f"key {key!r} {error}") from error


def _read_text(data: Mapping[str, str], key: str) -> str:
    try:
        return _read(data, key).decode().strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"key {key!r} is not text") from error


def _read_name(data: Mapping[str, str]) -> str:
    """What Argo CD's key `name` holds; empty without. Raises ValueError where nobody could read or write it."""
    name = _read_text(data, "name") if data.get("name") else ""
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(f"key 'name' must have at most {_LONGEST_NAME} characters, all of them printable")
    return name


def _read_kubeconfig(content: bytes, *, programs: bool) -> Access:
    try:
        config = read_untrusted(content)
    except KubeconfigError as error:
        raise ValueError(f"its kubeconfig {error}") from error
    refuse(config, FILES if programs else {**PROGRAMS, **FILES})
    context = config.current_context
    if context is None:
        if len(config.contexts) != 1:
            raise ValueError(f"its kubeconfig has no current-context and {len(config.contexts)} contexts: name one")
        context = next(iter(config.contexts))
    return load_access(config, context)


def _read_argo(data: Mapping[str, str], *, programs: bool, own: bool) -> Access | None:
    server = _read_text(data, "server")
    try:
        config = msgspec.json.decode(_read(data, "config")) if data.get("config") else {}
    except UNREADABLE as error:
        raise ValueError("key 'config' is not JSON") from error
    if not isinstance(config, dict):
        raise ValueError("key 'config' is not a JSON object")  # noqa: TRY004 - a wrong text
    try:
        argo = read_entry(config, _ArgoConfig)
    except ValueError as error:
        raise ValueError(f"config.{error}") from error
    if server == _IN_CLUSTER and not (argo.bearer_token or argo.username):
        if not own:
            raise ValueError("it leads to the host by this server's rights: that takes a namespace that is named")
        return None
    user = _build_user(argo)
    if "exec" in user and not programs:
        field = "execProviderConfig" if argo.exec_provider_config else "awsAuthConfig"
        raise ValueError(f"config.{field} is refused, it {PROGRAMS['exec']}")
    tls = argo.tls_client_config
    place = {
        "server": server,
        "tls-server-name": tls.server_name,
        "insecure-skip-tls-verify": tls.insecure,
        "certificate-authority-data": tls.ca_data,
        "proxy-url": argo.proxy_url,
    }
    clusters, users, contexts = (
        {"config": Section(body, FILE.parent)} for body in (place, user, {"cluster": "config", "user": "config"})
    )
    try:
        return load_access(Kubeconfig(contexts, clusters, users, None), "config")
    except KubeconfigError as error:
        said = str(error).removeprefix("context config (cluster config, user config): ")
        for field, argo_field in _ARGO_FIELDS.items():
            said = said.replace(field, argo_field)
        raise ValueError(said) from error


def _build_user(argo: _ArgoConfig) -> dict[str, Any]:
    user: dict[str, Any] = {
        "token": argo.bearer_token,
        "username": argo.username,
        "password": argo.password,
        "client-certificate-data": argo.tls_client_config.cert_data,
        "client-key-data": argo.tls_client_config.key_data,
    }
    plugin, aws = argo.exec_provider_config, argo.aws_auth_config
    if plugin is not None:
        user["exec"] = {
            "command": plugin.command,
            "args": plugin.args,
            "env": [{"name": name, "value": value} for name, value in (plugin.env or {}).items()],
            "apiVersion": plugin.api_version or _EXEC_API,
            "installHint": plugin.install_hint,
        }
    elif aws is not None:
        more = [("--role-arn", aws.role_arn), ("--profile", aws.profile)]
        flags = [word for flag, value in more if value for word in (flag, value)]
        arguments = ["eks", "get-token", "--cluster-name", aws.cluster_name, *flags, "--output", "json"]
        user["exec"] = {"command": "aws", "args": arguments, "apiVersion": _EXEC_API}
    return user
