"""Requests are understood as the API server's authorizer understands them, and doubtful paths are refused."""

import pytest

from fleet.model.errors import InvalidQuery
from fleet.model.request_info import RequestInfo, build_route, parse_request


def _core(verb: str, resource: str = "pods", **rest: str) -> RequestInfo:
    return RequestInfo(verb=verb, is_resource=True, version="v1", resource=resource, **rest)


# As a client writes them, and as both this server and the API server read them.
ODD_NAMES = {
    "odd%20name:a%20b%23c%3Fd": "odd name:a b#c?d",
    "%20ends%20": " ends ",
    "a%5Cb": "a\\b",
    "a%3Fwatch=1&x": "a?watch=1&x",
    "CORP%5cJane;v=1": "CORP\\Jane;v=1",
    "%EC%9A%B4%EC%98%81": "\uc6b4\uc601",
    "...": "...",
    "status": "status",
}


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("GET /api", RequestInfo("get")),
        ("GET /api/v1/", RequestInfo("get")),
        ("GET /apis/apps/v1", RequestInfo("get")),
        ("POST /version", RequestInfo("post")),
        ("GET /api/v1/pods", _core("list")),
        ("GET /api/v1/pods/", _core("list")),
        ("GET /api/v1/pods?watch", _core("watch")),
        ("GET /api/v1/pods?watch=1&limit=5", _core("watch")),
        ("GET /api/v1/pods?watch=FALSE&watch=1", _core("list")),
        ("GET /api/v1/watch/pods", _core("watch")),
        ("GET /api/v1/watch/namespaces/shop/pods/web", _core("watch", namespace="shop", name="web")),
        ("GET /api/v1/pods?fieldSelector=metadata.name%3Dweb", _core("list", name="web")),
        ("GET /api/v1/pods?fieldSelector=metadata.name!=web", _core("list")),
        ("HEAD /api/v1/namespaces/shop/pods/web", _core("get", namespace="shop", name="web")),
        ("GET /api/v1/namespaces/shop/pods/w%65b", _core("get", namespace="shop", name="web")),
        ("POST /api/v1/namespaces/shop/pods", _core("create", namespace="shop")),
        ("PUT /api/v1/namespaces/shop/pods/web", _core("update", namespace="shop", name="web")),
        ("PATCH /api/v1/nodes/n1", _core("patch", "nodes", name="n1")),
        ("DELETE /api/v1/namespaces/shop/pods/web", _core("delete", namespace="shop", name="web")),
        ("DELETE /api/v1/namespaces/shop/pods", _core("deletecollection", namespace="shop")),
        ("OPTIONS /api/v1/pods", _core("options")),
        ("GET /api/v1/namespaces", _core("list", "namespaces")),
        ("GET /api/v1/namespaces/shop", _core("get", "namespaces", namespace="shop", name="shop")),
        (
            "PUT /api/v1/namespaces/shop/finalize",
            _core("update", "namespaces", namespace="shop", name="shop", subresource="finalize"),
        ),
        *(
            (
                f"POST /api/v1/namespaces/shop/pods/web/{part}",
                _core("create", namespace="shop", name="web", subresource=part),
            )
            for part in ("log", "exec", "attach", "portforward", "proxy", "eviction", "status", "binding")
        ),
        (
            "GET /api/v1/namespaces/shop/services/web/proxy/search%3Fq/a%25b",
            _core("get", "services", namespace="shop", name="web", subresource="proxy"),
        ),
        (
            "PATCH /apis/apps/v1/namespaces/shop/deployments/web/scale",
            RequestInfo("patch", True, "apps", "v1", "deployments", "scale", "shop", "web"),
        ),
        (
            "GET /apis/core.kubefed.io/v1beta1/kubefedclusters/",
            RequestInfo("list", True, "core.kubefed.io", "v1beta1", "kubefedclusters"),
        ),
        *(
            (
                f"{method} /apis/{group}/v1/{before}{name}",
                RequestInfo(verb, True, group, "v1", kind, None, inside, read),
            )
            for group, method, verb, before, kind, inside in (
                ("rbac.authorization.k8s.io", "DELETE", "delete", "clusterroles/", "clusterroles", None),
                ("rbac.authorization.k8s.io", "PATCH", "patch", "namespaces/shop/roles/", "roles", "shop"),
                ("rbac.authorization.k8s.io", "GET", "watch", "watch/clusterroles/", "clusterroles", None),
                ("authorization.openshift.io", "PUT", "update", "namespaces/a/rolebindings/", "rolebindings", "a"),
                ("user.openshift.io", "GET", "get", "users/", "users", None),
            )
            for name, read in ODD_NAMES.items()
        ),
        (
            "GET /apis/rbac.authorization.k8s.io/v1/roles?watch=1&fieldSelector=metadata.name%3Da%20b:%3F%23",
            RequestInfo("watch", True, "rbac.authorization.k8s.io", "v1", "roles", name="a b:?#"),
        ),
    ],
)
def test_requests_are_understood(request_line: str, expected: RequestInfo) -> None:
    method, target = request_line.split(" ")
    path, _, query = target.partition("?")
    assert parse_request(method, path, query) == expected


@pytest.mark.parametrize(
    "path",
    [
        *("", "api/v1/pods", "//api/v1/pods", "/api//v1/pods", "/api/v1/pods//", "/api/./v1", "/api/v1/../pods"),
        *("/api/v1/%2e%2e/pods", "/api/v1/%2E/pods", "/api/v1/.%2e/pods", "/api/v1/pods/a%2fb", "/api/v1/pods/a%2Fb"),
        *("/api/v1/pods/a%5cb", "/api/v1/pods/a\\b", "/api/v1/pods/a%00", "/api/v1/pods/a%0a", "/api/v1/pods/%7f"),
        *("/api/v1/pods/a%3fwatch=1", "/api/v1/pods/a%23b", "/api/v1/pods/%252e%252e", "/api/v1/pods/%zz"),
        *("/api/v1/pods/%", "/api/v1/pods/%ff", "/api/v1/namespaces/proxy/pods/a%3f", "/api%2fv1/pods"),
        *("/api/v1/watch", "/api/v1/proxy/nodes/n1", "/version%3f", "/api/v1/pods/\u00e9", "/" + "a" * 9000),
        "/api/v1/namespaces/shop/services/web/proxy/%2e%2e/secrets",
        "/api/v1/namespaces/shop/services/web/proxy/a%5cb",
        *(
            f"/apis/rbac.authorization.k8s.io/{rest}"
            for rest in (
                *("v1/clusterroles/a%25b", "v1/clusterroles/a%2fb", "v1/clusterroles/..", "v1/clusterroles/%2E"),
                *("v1/clusterroles/a%00", "v1/clusterroles/a%0ab", "v1/clusterroles/a%ff", "v1/clusterroles/a/%3f"),
                *("v1/clusterroles%3fx/a", "v1%23/clusterroles/a", "v1/namespaces/a%3f/roles/b", "v1/namespaces/a%23"),
            )
        ),
        "/apis/rbac.authorization.k8s.io%3f/v1/clusterroles/a%3fb",
        "/apis/apps/v1/namespaces/shop/deployments/a%3fb",
    ],
)
def test_a_path_that_can_be_read_in_two_ways_is_refused(path: str) -> None:
    with pytest.raises(InvalidQuery):
        parse_request("GET", path, "")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_only_reads_watch(method: str) -> None:
    with pytest.raises(InvalidQuery, match="only GET does"):
        parse_request(method, "/api/v1/watch/pods", "")


@pytest.mark.parametrize(
    ("method", "path", "query", "route"),
    [
        ("GET", "/api/v1/pods", "", "/api/v1/pods"),
        ("GET", "/api/v1/pods", "fieldSelector=metadata.name%3Dweb", "/api/v1/pods"),
        ("GET", "/api/v1/namespaces/shop/pods", "watch=true", "/api/v1/namespaces/{namespace}/pods"),
        ("POST", "/api/v1/namespaces/shop/pods/web/exec", "", "/api/v1/namespaces/{namespace}/pods/{name}/exec"),
        ("GET", "/api/v1/namespaces/shop", "", "/api/v1/namespaces/{name}"),
        ("PUT", "/api/v1/namespaces/shop/finalize", "", "/api/v1/namespaces/{name}/finalize"),
        ("DELETE", "/apis/apps/v1/namespaces/shop/deployments", "", "/apis/apps/v1/namespaces/{namespace}/deployments"),
        ("GET", "/apis/apps/v1", "", ""),
        ("GET", "/version", "", ""),
    ],
)
def test_a_route_names_no_object(method: str, path: str, query: str, route: str) -> None:
    assert build_route(parse_request(method, path, query)) == route
