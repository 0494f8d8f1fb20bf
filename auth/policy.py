"""What a principal may do to a cluster's API, by `roles`.

| | view | edit | admin |
|---|---|---|---|
| get, list, watch | all but the below | all but the below | all |
| Secrets (OpenMCP's and federated ones too) | no | yes, but not in guarded namespaces | yes |
| logs | no | yes | yes |
| exec, attach, port-forward, proxy | no | yes, but not in guarded namespaces | yes |
| writes | no | yes, but not in guarded namespaces and not of what gives rights | yes |
| OpenMCPClusters (they hold an administrator's kubeconfig), Syncs, proxy to a node | no | no | yes |
| writes of Migrations, Snapshots, SnapshotRestores | no | no | yes |

As in Kubernetes' own role `edit`, who may create pods in a namespace holds whatever its service accounts hold. The
guarded namespaces are therefore those whose service accounts and Secrets are the control of a cluster or of the fleet.
"""

from msgspec import Struct

from auth.principal import Principal
from fleet.model.errors import Forbidden
from fleet.model.request_info import RequestInfo
from fleet.model.visibility import Role

GUARDED_NAMESPACES = frozenset({"kube-system", "kube-federation-system", "openmcp"})

_READS = frozenset({"get", "list", "watch"})
_PLAIN_SUBRESOURCES = frozenset({"status", "scale"})
_SECRETS = frozenset(
    {
        ("", "secrets"),
        ("openmcp.k8s.io", "openmcpsecrets"),
        ("openmcp.k8s.io", "openmcppullsecrets"),
        ("types.kubefed.io", "federatedsecrets"),
    }
)
# A sync carries whole objects between clusters, Secrets included.
_CREDENTIALS = frozenset({("openmcp.k8s.io", "openmcpclusters"), ("openmcp.k8s.io", "syncs")})
# The platform carries these out with all rights, in whichever namespaces they name.
_ORDERS = frozenset(("openmcp.k8s.io", kind) for kind in ("migrations", "snapshots", "snapshotrestores"))
# Writing to these gives rights, sees Secrets pass by, or sends the server's credential to another address.
_RIGHTS_GROUPS = frozenset(
    {
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "certificates.k8s.io",
        "core.kubefed.io",
        "rbac.authorization.k8s.io",
    }
)
_RIGHTS_SUBRESOURCES = frozenset({("", "nodes", "proxy")})


class _Need(Struct, frozen=True):
    """The least role that will do, and why."""

    role: Role
    reason: str


def authorize_request(principal: Principal, cluster: str, info: RequestInfo) -> None:
    """Lets an allowed request pass. Raises Forbidden, which says why and what role or namespace would do.

    Requests that are not about resources (discovery, version, OpenAPI) may be read by everybody who reaches the
    cluster; a route must offer no others.
    """
    if not principal.scope.sees_cluster(cluster):
        raise Forbidden(f"user {_quote(principal.name)} does not reach cluster {_quote(cluster)}")
    if principal.scope.role < Role.ADMIN:
        need = _need(info)
        if principal.scope.role < need.role:
            raise Forbidden(
                f"user {_quote(principal.name)} with role {_name(principal.scope.role)} may not {_describe(info)} in "
                f"cluster {_quote(cluster)}: {need.reason}, role {_name(need.role)} would do"
            )
    if info.is_resource:
        _authorize_namespace(principal, cluster, info)


def _authorize_namespace(principal: Principal, cluster: str, info: RequestInfo) -> None:
    scope = principal.scope
    if scope.sees_all_namespaces(cluster):
        return
    reach = f"user {_quote(principal.name)} is limited to the namespaces {', '.join(scope.namespaces) or '(none)'}"
    if info.namespace is None:
        raise Forbidden(f"{reach}: may not {_describe(info)} across a whole cluster, name one of these namespaces")
    if not scope.sees_namespace(cluster, info.namespace):
        raise Forbidden(f"{reach}: may not {_describe(info)} in cluster {_quote(cluster)}")
    if info.resource == "namespaces" and info.verb not in _READS:
        raise Forbidden(f"{reach}: may not {_describe(info)}, which needs a user who is not limited to namespaces")


def _need(info: RequestInfo) -> _Need:
    kind = (info.api_group, info.resource)
    read = info.verb in _READS
    if not info.is_resource:
        if info.verb in ("get", "head"):
            return _Need(Role.VIEW, "")
        return _Need(Role.ADMIN, "only resources are written to")
    if kind in _CREDENTIALS:
        return _Need(Role.ADMIN, "these objects hold the credentials of member clusters")
    if (*kind, info.subresource) in _RIGHTS_SUBRESOURCES:
        return _Need(Role.ADMIN, "the proxy to a node runs commands in all of its containers")
    if not read and kind in _ORDERS:
        return _Need(Role.ADMIN, "the platform carries this out in any namespace, with all rights")
    if not read and (info.api_group in _RIGHTS_GROUPS):
        return _Need(Role.ADMIN, "writing to this gives rights over the whole cluster")
    plain = info.subresource is None or info.subresource in _PLAIN_SUBRESOURCES
    if read and plain and kind not in _SECRETS:
        return _Need(Role.VIEW, "")
    return _beyond_reading(info, read=read, secret=kind in _SECRETS)


def _beyond_reading(info: RequestInfo, *, read: bool, secret: bool) -> _Need:
    if info.namespace in GUARDED_NAMESPACES and info.subresource != "log":
        return _Need(Role.ADMIN, f"namespace {info.namespace} holds the control of the cluster")
    if secret and info.namespace is None:
        return _Need(Role.ADMIN, "across all namespaces this includes the credentials of the cluster itself")
    if secret and read:
        return _Need(Role.EDIT, "role view reads no Secrets")
    if info.subresource is not None and read:
        return _Need(Role.EDIT, f"role view reads no {_clip(info.subresource)}")
    return _Need(Role.EDIT, "role view only reads")


def _describe(info: RequestInfo) -> str:
    if not info.is_resource:
        return f"{_clip(info.verb)} this path"
    group = f".{info.api_group}" if info.api_group else ""
    subresource = f"/{info.subresource}" if info.subresource else ""
    named = f" {_quote(info.name)}" if info.name else ""
    inside = f" of namespace {_quote(info.namespace)}" if info.namespace and info.resource != "namespaces" else ""
    return f"{_clip(info.verb)} {_clip(info.resource + group + subresource)}{named}{inside}"


def _name(role: Role) -> str:
    return role.name.lower()


def _quote(text: str) -> str:
    return repr(_clip(text))


def _clip(text: str) -> str:
    # Parts of the caller's path end up in answers and logs: bounded here, free of control characters by RequestInfo.
    return text if len(text) <= 100 else f"{text[:100]}..."
