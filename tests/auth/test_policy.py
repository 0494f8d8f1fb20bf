"""Who may do what, as a table of real requests."""

import pytest

from auth.policy import authorize_request
from auth.principal import Principal
from fleet.model.errors import Forbidden
from fleet.model.request_info import parse_request
from fleet.model.visibility import Role, Scope

VIEW, EDIT, ADMIN = Role.VIEW, Role.EDIT, Role.ADMIN
TEAM = "/api/v1/namespaces/team"
KUBEFED = "/api/v1/namespaces/kube-federation-system"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
OPENMCP = "/apis/openmcp.k8s.io/v1alpha1/namespaces/openmcp"


def may(scope: Scope, method: str, path: str, query: str = "", cluster: str = "cluster1") -> bool:
    try:
        authorize_request(Principal("alice", scope), cluster, parse_request(method, path, query))
    except Forbidden:
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
        ("PATCH", "/api/v1/nodes/n", EDIT),
        ("POST", "/api/v1/namespaces", EDIT),
        ("DELETE", TEAM, EDIT),
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
        (Scope(Role.EDIT, ("x",)), "GET", "/api", "does not reach cluster 'cluster1'"),
    ],
)
def test_a_refusal_says_why_and_what_would_do(scope: Scope, method: str, path: str, message: str) -> None:
    with pytest.raises(Forbidden) as raised:
        authorize_request(Principal("alice", scope), "cluster1", parse_request(method, path, ""))

    assert message in str(raised.value)
    assert "alice" in str(raised.value)
