"""Kubeconfigs that somebody hands in to have a cluster registered: read with suspicion, tried, written anew.

What is stored is not what was handed in but a kubeconfig with the fields that were checked and no others, so that no
other reader can find something else in it. Whatever would make its reader run a program, open a file, or send its
credential elsewhere is refused.
"""

import json
from collections.abc import Mapping
from typing import Any

from fleet.kubernetes.auth.endpoint import parse_endpoint
from fleet.kubernetes.auth.kubeconfig import Kubeconfig, KubeconfigError, build_kubeconfig, load_access
from fleet.kubernetes.connection import HttpConnection
from fleet.kubernetes.sources.access import CredentialError, TlsMaterialError, load_reachable
from fleet.kubernetes.sources.untrusted import FILE, FILES, PROGRAMS, read_untrusted, refuse
from fleet.model.errors import ClusterError, ClusterUnauthorized, InvalidQuery
from fleet.ports import Call, SubmittedCluster

_MAX_ANSWER_BYTES = 1024 * 1024
_CLUSTER_FIELDS = ("server", "certificate-authority-data", "tls-server-name")
_USER_FIELDS = ("token", "client-certificate-data", "client-key-data", "username", "password")
_REFUSED = {
    **PROGRAMS,
    **FILES,
    "proxy-url": "would send the credential through another host",
    "insecure-skip-tls-verify": "would send the credential to whoever answers: use certificate-authority-data",
    "as": "impersonates: give the user rights of its own",
    "as-uid": "impersonates: give the user rights of its own",
    "as-groups": "impersonates: give the user rights of its own",
    "as-user-extra": "impersonates: give the user rights of its own",
}


def read_submitted(content: bytes) -> SubmittedCluster:
    """What a kubeconfig says of its first cluster. Reads no file and runs nothing.

    Raises InvalidQuery, which says what to mend and holds no secret.
    """
    config = _read(content)
    try:
        refuse(config, _REFUSED)
    except KubeconfigError as error:
        raise InvalidQuery(str(error)) from error
    if not config.clusters:
        raise InvalidQuery("the kubeconfig has no clusters")
    name = next(iter(config.clusters))
    rebuilt = json.dumps(_rebuild(config, name)).encode()
    try:
        access = load_access(build_kubeconfig({FILE: rebuilt}), name)
    except KubeconfigError as error:
        raise InvalidQuery(f"the kubeconfig can't be used: {error}") from error
    if not access.endpoint.startswith("https://"):
        raise InvalidQuery(f"clusters entry {name[:100]!r}: server must be an https URL, or its credential is readable")
    return SubmittedCluster(name, access.endpoint, rebuilt)


def read_server(content: bytes) -> str:
    """The URL of a kubeconfig's first cluster, whatever else the kubeconfig holds. Raises InvalidQuery."""
    config = _read(content)
    for section in config.clusters.values():
        try:
            return parse_endpoint(str(section.body.get("server") or ""))
        except ValueError as error:
            raise InvalidQuery(f"server {error}") from error
    raise InvalidQuery("the kubeconfig has no clusters")


async def check_submitted(cluster: SubmittedCluster, name: str, timeout: float) -> None:
    """That the server it names is a Kubernetes API server and takes its credential. `timeout` is in seconds.

    Raises InvalidQuery where the kubeconfig is at fault, other ClusterErrors where the server does not answer.
    """
    try:
        access = load_access(build_kubeconfig({FILE: cluster.kubeconfig}), cluster.name)
        reachable = await load_reachable(f"cluster {name}", access, timeout)
    except (CredentialError, TlsMaterialError) as error:
        raise InvalidQuery(f"the kubeconfig can't be used: {error}") from error
    connection = HttpConnection(name, reachable.target, max_answer_bytes=_MAX_ANSWER_BYTES)
    try:
        answer = await connection.request(Call("GET", "/api/v1/namespaces", query="limit=1", timeout=timeout))
    except ClusterUnauthorized as error:
        raise InvalidQuery(f"{cluster.server} does not know the kubeconfig's credential (401)") from error
    finally:
        await connection.close()
    if answer.status == 403:
        raise InvalidQuery(f"{cluster.server} lets the kubeconfig's credential list no namespaces (403)")
    if answer.status != 200 or _kind_of(answer.body) != "NamespaceList":
        raise ClusterError(name, f"{cluster.server} answered {answer.status}, and not as a Kubernetes API server does")


def _read(content: bytes) -> Kubeconfig:
    try:
        return read_untrusted(content)
    except KubeconfigError as error:
        raise InvalidQuery(f"the kubeconfig {error}") from error


def _rebuild(config: Kubeconfig, name: str) -> dict[str, Any]:
    """A kubeconfig of one cluster and the user that a context, the current one first, gives it."""
    contexts = [config.current_context or "", *config.contexts]
    bodies = [config.contexts[context].body for context in contexts if context in config.contexts]
    user = next((body.get("user") for body in bodies if body.get("cluster") == name), None)
    if not isinstance(user, str) or user not in config.users:
        raise InvalidQuery(f"no context of the kubeconfig gives cluster {name[:100]!r} a user that is under users")
    credential = _copy_fields(config.users[user].body, _USER_FIELDS)
    if not credential.keys() & {"token", "client-certificate-data", "username"}:
        raise InvalidQuery(f"users entry {user[:100]!r} has no token and no client-certificate-data")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": _copy_fields(config.clusters[name].body, _CLUSTER_FIELDS)}],
        "users": [{"name": name, "user": credential}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }


def _copy_fields(body: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, str]:
    copied: dict[str, str] = {}
    for field in fields:
        value = body.get(field)
        if value in (None, ""):
            continue
        if not isinstance(value, str):
            raise InvalidQuery(f"{field} in the kubeconfig must be text")
        copied[field] = value
    return copied


def _kind_of(body: bytes) -> object:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content.get("kind") if isinstance(content, dict) else None
