"""Kubeconfigs that somebody hands in to have a cluster registered: read with suspicion, tried, written anew.

What is stored is not what was handed in but a kubeconfig with the fields that were checked and no others, so that no
other reader can find something else in it. Whatever would make its reader run a program, open a file, or send its
credential elsewhere is refused.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleet.kubernetes.auth.endpoint import parse_endpoint
from fleet.kubernetes.auth.kubeconfig import Kubeconfig, KubeconfigError, build_kubeconfig, load_access
from fleet.kubernetes.connection import HttpConnection
from fleet.kubernetes.sources.access import CredentialError, TlsMaterialError, load_reachable
from fleet.model.errors import ClusterError, ClusterUnauthorized, InvalidQuery
from fleet.ports import MAX_KUBECONFIG_BYTES, Call, SubmittedCluster

_MAX_ANSWER_BYTES = 1024 * 1024
_FILE = Path("kubeconfig")
_DEEPEST = 20
_CLUSTER_FIELDS = ("server", "certificate-authority-data", "tls-server-name")
_USER_FIELDS = ("token", "client-certificate-data", "client-key-data", "username", "password")
_REFUSED: Mapping[str, str] = {
    "exec": "would make its reader run a program: put a token or a client certificate in its place",
    "auth-provider": "would make its reader run a provider's code: put a token or a client certificate in its place",
    "tokenFile": "names a file on the disk of whoever reads it: put the token in its place",
    "client-certificate": "names a file on the disk of whoever reads it: use client-certificate-data",
    "client-key": "names a file on the disk of whoever reads it: use client-key-data",
    "certificate-authority": "names a file on the disk of whoever reads it: use certificate-authority-data",
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
    _refuse_dangerous(config)
    if not config.clusters:
        raise InvalidQuery("the kubeconfig has no clusters")
    name = next(iter(config.clusters))
    rebuilt = json.dumps(_rebuild(config, name)).encode()
    try:
        access = load_access(build_kubeconfig({_FILE: rebuilt}), name)
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
        access = load_access(build_kubeconfig({_FILE: cluster.kubeconfig}), cluster.name)
        reachable = await load_reachable(name, access, timeout)
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
    if len(content) > MAX_KUBECONFIG_BYTES:
        raise InvalidQuery(f"the kubeconfig has more than {MAX_KUBECONFIG_BYTES} bytes: hand in one cluster alone")
    if _nests_deeply(content):
        raise InvalidQuery("the kubeconfig is nested deeper than any kubeconfig is")
    config = build_kubeconfig({_FILE: content})
    problems = [problem.partition(": ")[2] for problem in (*config.problems, *config.nameless)]
    for sections in (config.clusters, config.users, config.contexts):
        problems += [section.problem for section in sections.values() if section.problem]
    if problems:
        raise InvalidQuery(f"the kubeconfig can't be read: {problems[0]}")
    return config


def _nests_deeply(content: bytes) -> bool:
    # Before the parser sees it: what is between brackets, or indented, is read by recursion.
    opened = deepest = 0
    for byte in content:
        if byte in b"[{":
            opened += 1
            deepest = max(deepest, opened)
        elif byte in b"]}":
            opened -= 1
    indented = max((len(line) - len(line.lstrip(b" -?:")) for line in content.splitlines()), default=0)
    return deepest > _DEEPEST or indented > 10 * _DEEPEST


def _refuse_dangerous(config: Kubeconfig) -> None:
    """Looks at all users and clusters, the unused ones too. Raises InvalidQuery."""
    for kind, sections in (("clusters", config.clusters), ("users", config.users)):
        for name, section in sections.items():
            for field, reason in _REFUSED.items():
                if section.body.get(field):
                    raise InvalidQuery(f"{kind} entry {name[:100]!r}: {field} is refused, it {reason}")


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
