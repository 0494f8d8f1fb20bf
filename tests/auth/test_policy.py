"""Who may do what, as a table of real requests."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from auth.policy import authorize_request
from auth.principal import Principal
from fleet.model.errors import ClusterNotFound, Forbidden
from fleet.model.request_info import RequestInfo, parse_request
from fleet.model.visibility import Role, Scope
from realfleet.client import KubeClient
from realfleet.fleet import Fleet

VIEW, EDIT, ADMIN = Role.VIEW, Role.EDIT, Role.ADMIN
TEAM = "/api/v1/namespaces/team"
KUBEFED = "/api/v1/namespaces/kube-federation-system"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
OPENMCP = "/apis/openmcp.k8s.io/v1alpha1/namespaces/openmcp"


def may(
    scope: Scope, method: str, path: str, query: str = "", cluster: str = "cluster1", writes: tuple[str, ...] = ()
) -> bool:
    return may_do(Principal("alice", scope, writes=writes), cluster, parse_request(method, path, query))


def may_do(principal: Principal, cluster: str, info: RequestInfo) -> bool:
    try:
        authorize_request(principal, cluster, info)
    except (ClusterNotFound, Forbidden):
        return False
    return True


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/api/v1/pods", VIEW),
        ("GET", "/api/v1/pods/", VIEW),
        ("HEAD", f"{TEAM}/pods", VIEW),
        ("GET", "/api/v1/nodes", VIEW),
        ("GET", "/api/v1/watch/pods", VIEW),
        ("GET", f"{TEAM}/configmaps/c", VIEW),
        ("GET", "/apis/apps/v1/namespaces/team/deployments/d/scale", VIEW),
        ("GET", f"{TEAM}/pods/p/status", VIEW),
        ("GET", "/apis/core.kubefed.io/v1beta1/kubefedclusters", VIEW),
        ("GET", f"{RBAC}/clusterroles", VIEW),
        ("GET", "/api", VIEW),
        ("GET", "/apis/apps/v1", VIEW),
        ("HEAD", "/version", VIEW),
        ("GET", f"{TEAM}/secrets", EDIT),
        ("GET", f"{TEAM}/secrets/s", EDIT),
        ("GET", "/api/v1/watch/namespaces/team/secrets", EDIT),
        ("GET", "/apis/openmcp.k8s.io/v1alpha1/namespaces/team/openmcpsecrets", EDIT),
        ("GET", "/apis/openmcp.k8s.io/v1alpha1/namespaces/team/openmcppullsecrets/s", EDIT),
        ("GET", f"{TEAM}/pods/p/log", EDIT),
        ("GET", "/api/v1/namespaces/kube-system/pods/p/log", EDIT),
        ("GET", f"{TEAM}/pods/p/exec", EDIT),
        ("POST", f"{TEAM}/pods/p/exec", EDIT),
        ("GET", f"{TEAM}/pods/p/attach", EDIT),
        ("GET", f"{TEAM}/pods/p/portforward", EDIT),
        ("GET", f"{TEAM}/pods/p/proxy/metrics", EDIT),
        ("GET", f"{TEAM}/services/s/proxy", EDIT),
        ("POST", f"{TEAM}/pods", EDIT),
        ("PUT", f"{TEAM}/pods/p", EDIT),
        ("PATCH", "/apis/apps/v1/namespaces/team/deployments/d", EDIT),
        ("DELETE", f"{TEAM}/pods", EDIT),
        ("DELETE", f"{TEAM}/pods/p", EDIT),
        ("POST", f"{TEAM}/secrets", EDIT),
        ("POST", f"{TEAM}/pods/p/eviction", EDIT),
        ("POST", f"{TEAM}/serviceaccounts/default/token", EDIT),
        ("PATCH", "/api/v1/nodes/n", ADMIN),
        ("DELETE", "/api/v1/nodes", ADMIN),
        ("PATCH", "/api/v1/nodes/n/status", ADMIN),
        ("POST", "/api/v1/namespaces", ADMIN),
        ("PATCH", TEAM, ADMIN),
        ("DELETE", TEAM, ADMIN),
        ("PUT", f"{TEAM}/finalize", ADMIN),
        ("DELETE", "/api/v1/pods", ADMIN),
        ("POST", "/api/v1/persistentvolumes", ADMIN),
        ("PUT", f"{TEAM}/pods/p/status", ADMIN),
        ("PATCH", f"{TEAM}/pods/p/ephemeralcontainers", ADMIN),
        ("POST", f"{TEAM}/pods/p/binding", ADMIN),
        ("POST", f"{TEAM}/resourcequotas", ADMIN),
        ("POST", "/api/v1/namespaces/kube-node-lease/configmaps", ADMIN),
        ("DELETE", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", ADMIN),
        ("POST", "/apis/storage.k8s.io/v1/storageclasses", ADMIN),
        ("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", ADMIN),
        ("POST", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", ADMIN),
        ("POST", "/apis/kyverno.io/v1/clusterpolicies", ADMIN),
        ("POST", "/apis/types.kubefed.io/v1beta1/federatedclusterroles", ADMIN),
        ("PATCH", "/apis/types.kubefed.io/v1beta1/federatedclusterrolebindings/b", ADMIN),
        ("POST", "/apis/types.kubefed.io/v1beta1/namespaces/team/federatedrolebindings", ADMIN),
        ("DELETE", "/apis/types.kubefed.io/v1beta1/namespaces/team/federatedrolebindings", ADMIN),
        ("POST", "/apis/openmcp.k8s.io/v1alpha1/namespaces/team/openmcpdeployments", ADMIN),
        ("GET", "/apis/subresources.kubevirt.io/v1/namespaces/team/virtualmachineinstances/v/console", ADMIN),
        ("OPTIONS", f"{TEAM}/pods/p/proxy", ADMIN),
        ("GET", "/api/v1/secrets", ADMIN),
        ("GET", f"{KUBEFED}/secrets/cluster1-abcde", ADMIN),
        ("GET", f"{KUBEFED}/pods/p/exec", ADMIN),
        ("POST", f"{KUBEFED}/pods", ADMIN),
        ("POST", f"{KUBEFED}/serviceaccounts/default/token", ADMIN),
        ("DELETE", "/api/v1/namespaces/kube-system", ADMIN),
        ("GET", f"{OPENMCP}/openmcpclusters", ADMIN),
        ("GET", "/apis/types.kubefed.io/v1beta1/namespaces/team/federatedsecrets/s", EDIT),
        ("GET", "/apis/types.kubefed.io/v1beta1/federatedsecrets", ADMIN),
        ("GET", "/apis/openmcp.k8s.io/v1alpha1/namespaces/team/syncs", ADMIN),
        ("POST", "/apis/openmcp.k8s.io/v1alpha1/namespaces/team/syncs", ADMIN),
        ("GET", "/apis/openmcp.k8s.io/v1alpha1/namespaces/team/migrations", VIEW),
        ("POST", "/apis/openmcp.k8s.io/v1alpha1/namespaces/team/migrations", ADMIN),
        ("POST", "/apis/openmcp.k8s.io/v1alpha1/namespaces/team/snapshotrestores", ADMIN),
        ("GET", f"{OPENMCP}/openmcpclusters/cluster1/status", ADMIN),
        ("GET", "/apis/openmcp.k8s.io/v1alpha1/openmcpclusters", ADMIN),
        ("PATCH", f"{OPENMCP}/openmcppolicys/p", ADMIN),
        ("GET", "/api/v1/nodes/n/proxy/pods", ADMIN),
        ("POST", f"{RBAC}/clusterrolebindings", ADMIN),
        ("POST", f"{RBAC}/namespaces/team/rolebindings", ADMIN),
        ("POST", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", ADMIN),
        ("PUT", "/apis/certificates.k8s.io/v1/certificatesigningrequests/c/approval", ADMIN),
        ("PATCH", "/apis/core.kubefed.io/v1beta1/namespaces/team/kubefedclusters/c", ADMIN),
        ("POST", "/version", ADMIN),
    ],
)
def test_the_least_role_that_may(method: str, path: str, least: Role) -> None:
    assert [role for role in Role if may(Scope(role), method, path)] == [role for role in Role if role >= least]


@pytest.mark.parametrize(
    ("method", "path", "query", "allowed"),
    [
        ("GET", f"{TEAM}/pods", "", True),
        ("GET", f"{TEAM}/pods", "watch=true", True),
        ("POST", f"{TEAM}/pods", "", True),
        ("GET", f"{TEAM}/secrets", "", True),
        ("GET", TEAM, "", True),
        ("GET", "/api", "", True),
        ("GET", "/apis/apps/v1", "", True),
        ("DELETE", TEAM, "", False),
        ("PUT", f"{TEAM}/finalize", "", False),
        ("GET", "/api/v1/pods", "", False),
        ("GET", "/api/v1/pods", "fieldSelector=metadata.namespace=team", False),
        ("GET", "/api/v1/pods", "fieldSelector=metadata.name=team", False),
        ("GET", "/api/v1/watch/pods", "", False),
        ("GET", "/api/v1/nodes", "", False),
        ("GET", "/api/v1/namespaces", "", False),
        ("POST", "/api/v1/namespaces", "", False),
        ("GET", "/api/v1/namespaces/other/pods", "", False),
        ("GET", "/api/v1/namespaces/Team/pods", "", False),
    ],
)
def test_a_user_of_one_namespace_stays_in_it(method: str, path: str, query: str, allowed: bool) -> None:
    assert may(Scope(Role.EDIT, ("*",), ("team",)), method, path, query) is allowed


WRITES = ("create", "update", "patch", "delete", "deletecollection")
VIEWER = Principal("alice", Scope(VIEW))
AGGREGATED = {f"rbac.authorization.k8s.io/aggregate-to-{role}" for role in ("view", "edit")}


@pytest.mark.real
@pytest.mark.parametrize("cluster", ["openmcp", "cluster1"])
def test_edit_does_what_the_servers_own_role_edit_does_and_nothing_else(real_fleet: Fleet, cluster: str) -> None:
    """Of every kind and subresource that is served; reads of plain kinds are view's."""
    client = real_fleet.cluster(cluster).client
    granted = {
        (group, resource, verb)
        for role in client.get("/apis/rbac.authorization.k8s.io/v1/clusterroles")["items"]
        if AGGREGATED & role["metadata"].get("labels", {}).keys()
        for rule in role["rules"] or ()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    served = {(info.api_group, _name(info)): info for info in _list_served(client)}
    named = {(group, name): _in_team(group, name) for group, name, _ in granted}
    ours, theirs = set[tuple[str, str, str]](), set[tuple[str, str, str]]()
    for (group, name), info in (named | served).items():
        for verb in (*WRITES, *(["get"] if info.subresource and not may_do(VIEWER, cluster, info) else [])):
            if may_do(Principal("alice", Scope(EDIT)), cluster, replace(info, verb=verb)):
                ours.add((group, name, verb))
            if (group, name, verb) in granted:
                theirs.add((group, name, verb))

    assert len(served) > 100
    assert ours == theirs


def _name(info: RequestInfo) -> str:
    return f"{info.resource}/{info.subresource}" if info.subresource else info.resource


def _in_team(group: str, name: str) -> RequestInfo:
    resource, _, subresource = name.partition("/")
    return RequestInfo("get", True, group, "v1", resource, subresource or None, "team", "a")


def _list_served(client: KubeClient) -> Iterator[RequestInfo]:
    groups = [("", "v1", "/api/v1")] + [
        (group["name"], version["version"], f"/apis/{version['groupVersion']}")
        for group in client.get("/apis")["groups"]
        for version in group["versions"]
    ]
    for group, version, path in groups:
        for found in client.get(path)["resources"]:
            info = _in_team(group, found["name"])
            yield replace(info, version=version, namespace="team" if found["namespaced"] else None)


@pytest.mark.parametrize(
    ("named", "method", "path"),
    [
        ("widgets.acme.io", "POST", "/apis/acme.io/v1/namespaces/team/widgets"),
        ("*.acme.io", "DELETE", "/apis/acme.io/v1/namespaces/team/widgets/w"),
        ("*.acme.io", "PATCH", "/apis/acme.io/v1/namespaces/team/widgets/w/scale"),
        ("widgets/scale.acme.io", "PUT", "/apis/acme.io/v1/namespaces/team/widgets/w/scale"),
        ("namespaces", "POST", "/api/v1/namespaces"),
        ("pods/ephemeralcontainers", "PATCH", f"{TEAM}/pods/p/ephemeralcontainers"),
        (
            "openmcpdeployments.openmcp.k8s.io",
            "POST",
            "/apis/openmcp.k8s.io/v1alpha1/namespaces/team/openmcpdeployments",
        ),
    ],
)
def test_a_user_with_role_edit_writes_what_is_named_for_them(named: str, method: str, path: str) -> None:
    assert may(Scope(EDIT), method, path, writes=(named,))
    assert not may(Scope(EDIT), method, path, writes=("gadgets.acme.io", "*.other.io", "widgets/status.acme.io"))
    assert not may(Scope(VIEW), method, path, writes=(named,))
    assert not may(Scope(EDIT), method, path.replace("/team/", "/kube-system/"), writes=(named,)) or "team" not in path


@pytest.mark.parametrize(
    ("clusters", "namespaces", "kind", "allowed"),
    [
        (("*",), ("team",), "openmcpdeployments", True),
        (("openmcp",), ("team",), "openmcpdeployments", False),
        (("openmcp", "c*"), ("*",), "migrations", False),
        (("*",), ("team",), "migrations", False),
        (("*",), ("team",), "syncs", False),
        (("*",), ("*",), "migrations", True),
    ],
)
def test_what_the_platform_carries_elsewhere_takes_who_reaches_it(
    clusters: tuple[str, ...], namespaces: tuple[str, ...], kind: str, allowed: bool
) -> None:
    path = f"/apis/openmcp.k8s.io/v1alpha1/namespaces/team/{kind}"
    assert may(Scope(ADMIN, clusters, namespaces), "POST", path, cluster="openmcp") is allowed
    assert may(Scope(ADMIN, clusters, namespaces), "GET", path, cluster="openmcp")


def test_an_administrator_of_one_namespace_stays_in_it_too() -> None:
    scope = Scope(Role.ADMIN, ("*",), ("team",))

    assert may(scope, "POST", f"{RBAC}/namespaces/team/rolebindings")
    assert not may(scope, "GET", f"{KUBEFED}/secrets/s")
    assert not may(scope, "GET", f"{OPENMCP}/openmcpclusters")


def test_a_cluster_out_of_reach_is_out_of_reach_for_everything() -> None:
    scope = Scope(Role.ADMIN, ("cluster1", "eu-*"))

    assert may(scope, "GET", "/api", cluster="eu-1")
    assert not may(scope, "GET", "/api", cluster="cluster2")
    assert not may(scope, "GET", "/api/v1/pods", cluster="openmcp")


@pytest.mark.parametrize(
    ("scope", "method", "path", "message"),
    [
        (Scope(Role.VIEW), "GET", f"{TEAM}/secrets/s", "role view reads no Secrets, role edit would do"),
        (Scope(Role.VIEW), "POST", f"{TEAM}/pods", "may not create pods of namespace 'team' in cluster 'cluster1'"),
        (Scope(Role.EDIT), "GET", "/api/v1/secrets", "role admin would do"),
        (Scope(Role.EDIT, ("*",), ("a", "b")), "GET", "/api/v1/pods", "limited to the namespaces a, b"),
    ],
)
def test_a_refusal_says_why_and_what_would_do(scope: Scope, method: str, path: str, message: str) -> None:
    with pytest.raises(Forbidden) as raised:
        authorize_request(Principal("alice", scope), "cluster1", parse_request(method, path, ""))

    assert message in str(raised.value)
    assert "alice" in str(raised.value)
