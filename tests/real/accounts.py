"""The service accounts of the shipped manifests on a real fleet, and what the API servers' audit logs say of them."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from checks.manifests import render_chart
from checks.member_manifests import MEMBER
from realfleet.client import KubeClient, KubeError
from realfleet.cluster import Cluster
from realfleet.crds import CLUSTER_PROFILE, CRDS_PATH, METRICS, install_crds
from realfleet.fleet import Fleet
from realfleet.kubeconfig import Access, build_kubeconfig, write_private
from realfleet.membership import build_kubefed_cluster, build_secret, place_of
from server.rights import OFFERED, Right
from tests import credentials

ACCOUNT = "system:serviceaccount:openmcp:openmcp-apiserver"
KUBEFED, SECRETS, PROFILES = "default", "kube-public", "kube-node-lease"
"""Namespaces of the host, which are there: without controllers none can be taken away again."""

RIGHTS_KINDS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
_PROFILE_GROUP = "multicluster.x-k8s.io/v1alpha1"
_CREDENTIAL = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}


class Use(NamedTuple):
    """A verb on a resource of a group (`pods/log`); in a namespace where the right is of that one alone."""

    group: str
    resource: str
    verb: str
    namespace: str | None = None


def uses_of(rights: Iterable[Right]) -> set[Use]:
    return {Use(right.group, right.resource, verb, right.namespace) for right in rights for verb in right.verbs}


@dataclass
class Trail:
    """What the account did in one cluster since this was made."""

    cluster: Cluster
    _from: int = field(init=False)

    def __post_init__(self) -> None:
        self._from = self.cluster.api.audit_log.stat().st_size

    def read(self) -> Iterator[dict[str, Any]]:
        with self.cluster.api.audit_log.open("rb") as log:
            log.seek(self._from)
            for line in log:
                event = json.loads(line) if line.endswith(b"\n") else {}
                if event.get("user", {}).get("username") == ACCOUNT:
                    yield event

    def used(self) -> set[Use]:
        """Rights of the account's own bindings that counted; not those that every account has."""
        found: set[Use] = set()
        for event in self.read():
            acted = event.get("impersonatedUser", {})
            found |= {Use("", "users", "impersonate")} if acted else set()
            found |= (
                {Use("", "groups", "impersonate")} if {*acted.get("groups", ())} - {"system:authenticated"} else set()
            )
            reason = event.get("annotations", {}).get("authorization.k8s.io/reason", "")
            if not acted and 'Binding "openmcp-apiserver' in reason:
                found.add(_use_of(event, within=" RoleBinding " in reason))
        return found

    def refused(self) -> set[Use]:
        """What the account was not allowed, by its own name or to be another."""
        return {_use_of(event) for event in self.read() if "impersonatedUser" not in event and not _is_allowed(event)}


def _is_allowed(event: dict[str, Any]) -> bool:
    """By the authorizer: admission refuses with the same status."""
    refused = event.get("responseStatus", {}).get("code") == 403
    return bool(
        event.get("annotations", {}).get("authorization.k8s.io/decision", "" if refused else "allow") == "allow"
    )


def _use_of(event: dict[str, Any], *, within: bool = False) -> Use:
    named = event.get("objectRef")
    if named is None:
        return Use("", event["requestURI"], event["verb"])
    resource = "/".join(filter(None, (named["resource"], named.get("subresource"))))
    return Use(named.get("apiGroup", ""), resource, event["verb"], named["namespace"] if within else None)


@dataclass(frozen=True)
class Accounts:
    """The fleet with an account in each cluster. Made by `open_accounts`."""

    fleet: Fleet
    folder: Path
    tokens: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        return (self.fleet.host, *self.fleet.members)

    def access(self, cluster: Cluster) -> Access:
        return Access(cluster.name, cluster.url, cluster.ca_pem, self.tokens[cluster.name])

    def client(self, cluster: Cluster) -> KubeClient:
        return KubeClient(cluster.url, cluster.ca_file, self.tokens[cluster.name])

    def follow(self) -> dict[str, Trail]:
        return {cluster.name: Trail(cluster) for cluster in self.clusters}

    def environment(self) -> dict[str, str]:
        """A server by these accounts alone: `cluster1` by KubeFed, `cluster2` by a ClusterProfile, both by Secrets."""
        _one, two = self.fleet.members[:2]
        kubeconfig = write_private(self.folder / "host.yaml", build_kubeconfig([self.access(self.fleet.host)]))
        token = write_private(
            self.folder / "credential.json", json.dumps({**_CREDENTIAL, "status": {"token": self.tokens[two.name]}})
        )
        plugin = {
            "apiVersion": _CREDENTIAL["apiVersion"],
            "command": "cat",
            "args": [str(token)],
            "interactiveMode": "Never",
        }
        providers = {"providers": [{"name": "file", "execConfig": plugin}]}
        return {
            "OPENMCP_CLUSTER_SOURCE": "kubefed,clusterprofile,secrets",
            "OPENMCP_KUBECONFIG": str(kubeconfig),
            "OPENMCP_HOST_CONTEXT": self.fleet.host.name,
            "OPENMCP_KUBEFED_NAMESPACE": KUBEFED,
            "OPENMCP_SECRETS_NAMESPACE": SECRETS,
            "OPENMCP_PROFILE_NAMESPACE": PROFILES,
            "OPENMCP_PROFILE_PROVIDERS_FILE": str(write_private(self.folder / "providers.json", json.dumps(providers))),
            "OPENMCP_SIGNING_KEY": self.fleet.signing_key,
            "OPENMCP_USER_NAME": "openmcp",
            "OPENMCP_USER_PASSWORD": "keti",
            "OPENMCP_METRIC_STORE": "embedded",
            "OPENMCP_EMBEDDED_FILE": str(self.folder / "usage.sqlite"),
            "OPENMCP_COLLECT_INTERVAL": "1s",
        }

    @contextmanager
    def granted(self, cluster: Cluster, manifests: str, rights: Sequence[Right]) -> Iterator[None]:
        """With the account's rights by these manifests, once the cluster's authorizer knows of all of them."""
        cluster.kubectl("apply", "--server-side", "-f", "-", stdin=manifests)
        try:
            client, uses = self.client(cluster), uses_of(rights)
            cluster.servers.wait_until(lambda: uses <= _load_allowed(client, uses), f"{cluster.name} grants all", 60.0)
            yield
        finally:
            cluster.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=manifests)

    def render_host(self, settings: Mapping[str, str], offered: Iterable[str]) -> str:
        """The rights of the host's account, as the chart has them."""
        values = {"settings": dict(settings), "rbac": dict.fromkeys(OFFERED, False) | dict.fromkeys(offered, True)}
        file = self.folder / "values.json"
        file.write_text(json.dumps(values))
        objects = render_chart("host", "-f", str(file))
        return yaml.safe_dump_all(each for each in objects if each["kind"] in RIGHTS_KINDS)


def _load_allowed(client: KubeClient, uses: set[Use]) -> set[Use]:
    """Those that the cluster itself says the account is allowed."""
    found: set[Use] = set()
    for namespace in {use.namespace for use in uses}:
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
        spec = {"spec": {"namespace": namespace or "no.such.namespace"}}
        review = client.create("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body | spec)
        for rule in review["status"]["resourceRules"]:
            of_rule = product(rule["apiGroups"], rule["resources"], rule["verbs"])
            found |= {Use(*each, namespace) for each in of_rule}
    return found


@contextmanager
def open_accounts(fleet: Fleet, folder: Path) -> Iterator[Accounts]:
    """k8s/member is applied in each cluster, and the host names members by each source."""
    accounts = Accounts(fleet, folder)
    with ExitStack() as stack:
        for cluster in accounts.clusters:
            stack.enter_context(_account(accounts, cluster))
        one, two = fleet.members[:2]
        stack.enter_context(_named(fleet.host.client, _build_members(accounts, one, two)))
        stack.enter_context(_served(fleet.host, CLUSTER_PROFILE))
        for cluster in accounts.clusters:
            stack.enter_context(_served(cluster, *METRICS))
        path = f"/apis/{_PROFILE_GROUP}/namespaces/{PROFILES}/clusterprofiles"
        fleet.host.client.create(path, _build_profile(two.name))
        fleet.host.client.merge(f"{path}/{two.name}/status", {"status": _build_way(accounts.access(two))})
        yield accounts


@contextmanager
def _account(accounts: Accounts, cluster: Cluster) -> Iterator[None]:
    """The account alone; rights come by `granted`."""
    host = cluster is accounts.fleet.host
    names = ("serviceaccount.yaml",) if host else ("namespace.yaml", "serviceaccount.yaml", "token.yaml")
    files = [word for name in names for word in ("-f", str(MEMBER / name))]
    cluster.kubectl("apply", "--server-side", *files)
    try:
        # The host has no controllers that would fill the Secret in.
        token = (
            "" if not host else cluster.kubectl("create", "token", "openmcp-apiserver", "--namespace=openmcp").strip()
        )
        path = "/api/v1/namespaces/openmcp/secrets/openmcp-apiserver"
        if not host:
            cluster.servers.wait_until(lambda: "data" in cluster.client.get(path), "the token is there", 60.0)
            token = base64.b64decode(cluster.client.get(path)["data"]["token"]).decode()
        credentials.note(token, f"the account's token in {cluster.name}")
        accounts.tokens[cluster.name] = token
        yield
    finally:
        cluster.kubectl("delete", "--ignore-not-found", *files)


@contextmanager
def _served(cluster: Cluster, *crds: dict[str, Any]) -> Iterator[None]:
    try:
        install_crds(cluster.servers, cluster.client, crds)
        yield
    finally:
        for crd in crds:
            cluster.client.delete(f"{CRDS_PATH}/{crd['metadata']['name']}")


@contextmanager
def _named(client: KubeClient, objects: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[None]:
    try:
        for path, manifest in objects:
            client.create(path, manifest)
        yield
    finally:
        for path, manifest in objects:
            try:
                client.delete(f"{path}/{manifest['metadata']['name']}")
            except KubeError as error:
                if error.status != 404:
                    raise


def _build_members(accounts: Accounts, one: Cluster, two: Cluster) -> list[tuple[str, dict[str, Any]]]:
    secret, cluster = build_secret(accounts.access(one)), build_kubefed_cluster(accounts.access(one), place_of(1))
    for manifest in (secret, cluster):
        manifest["metadata"]["namespace"] = KUBEFED
    named = {"name": "two-kubeconfig", "labels": {"cluster.x-k8s.io/cluster-name": "two"}}
    kubeconfig = {"apiVersion": "v1", "kind": "Secret", "metadata": named}
    return [
        (f"/api/v1/namespaces/{KUBEFED}/secrets", secret),
        (f"/apis/core.kubefed.io/v1beta1/namespaces/{KUBEFED}/kubefedclusters", cluster),
        (
            f"/api/v1/namespaces/{SECRETS}/secrets",
            kubeconfig | {"stringData": {"value": build_kubeconfig([accounts.access(two)])}},
        ),
    ]


def _build_profile(name: str) -> dict[str, Any]:
    spec = {"displayName": name, "clusterManager": {"name": "tests"}}
    return {"apiVersion": _PROFILE_GROUP, "kind": "ClusterProfile", "metadata": {"name": name}, "spec": spec}


def _build_way(access: Access) -> dict[str, Any]:
    cluster = {"server": access.url, "certificate-authority-data": base64.b64encode(access.ca_pem).decode()}
    return {"accessProviders": [{"name": "file", "cluster": cluster}]}
