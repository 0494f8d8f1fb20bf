"""What a principal may do to a cluster's API, by `roles`.

| | view | edit | admin |
|---|---|---|---|
| get, list, watch | all but the below | all but the below | all |
| Secrets (OpenMCP's and federated ones too) | no | yes, but not in guarded namespaces | yes |
| logs | no | yes | yes |
| exec, attach, port-forward, proxy to pods and services | no | yes, but not in guarded namespaces | yes |
| writes of what Kubernetes' own `edit` writes, and a user's `writes` | no | yes, but not in guarded namespaces | yes |
| other writes and subresources | no | no | yes |
| OpenMCPClusters (they hold an administrator's kubeconfig), Syncs | no | no | yes |
| writes of the platform's own kinds, which act in all clusters | no | by `writes`, who reaches all | who reaches all |

As in Kubernetes' own role `edit`, who may create pods in a namespace holds whatever its service accounts hold. The
guarded namespaces are therefore those whose service accounts and Secrets are the control of a cluster or of the fleet.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from auth.principal import Principal
from fleet.model.errors import ClusterNotFound, Forbidden
from fleet.model.request_info import RequestInfo
from fleet.model.visibility import Role

GUARDED_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "kube-federation-system", "openmcp"})

_READS = frozenset({"get", "list", "watch"})
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
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
_ORDERS = frozenset(("openmcp.k8s.io", kind) for kind in ("migrations", "snapshots", "snapshotrestores", "syncs"))
# What is written to these, the platform and KubeFed carry into any cluster, as its administrator.
_FLEET_GROUPS = ("openmcp.k8s.io", "kubefed.io")
EDITED: Mapping[str, frozenset[str]] = {
    group: frozenset(kinds.split())
    for group, kinds in {
        "": "configmaps events persistentvolumeclaims pods pods/attach pods/exec pods/portforward pods/proxy"
        " replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy",
        "apps": "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale"
        " statefulsets statefulsets/scale",
        "autoscaling": "horizontalpodautoscalers",
        "batch": "cronjobs jobs",
        "coordination.k8s.io": "leases",
        "events.k8s.io": "events",
        "extensions": "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies"
        " replicasets replicasets/scale replicationcontrollers/scale",
        "networking.k8s.io": "ingresses networkpolicies",
        "policy": "poddisruptionbudgets",
        "resource.k8s.io": "resourceclaims resourceclaimtemplates",
    }.items()
}
"""What Kubernetes' aggregated ClusterRole `edit` writes, by group; all of it is namespaced."""

SUBRESOURCES = (
    "pods/attach",
    "pods/eviction",
    "pods/exec",
    "pods/log",
    "pods/portforward",
    "pods/proxy",
    "services/proxy",
)
"""Of the core group, those that a role beyond view may have."""

_CREATED = frozenset({"pods/eviction", "serviceaccounts/token"})
_CONNECTED = frozenset({"pods/attach", "pods/exec", "pods/log", "pods/portforward", "pods/proxy", "services/proxy"})


class _Need(Struct, frozen=True):
    """The least role that will do, and why."""

    role: Role
    reason: str


def authorize_request(principal: Principal, cluster: str, info: RequestInfo) -> None:
    """Lets an allowed request pass, as one entry of the caller's allows it.

    Raises Forbidden, which says why and what role or namespace would do.
    Raises ClusterNotFound for a cluster out of reach, as for one that is not there.

    Requests that are not about resources (discovery, version, OpenAPI) may be read by everybody who reaches the
    cluster; a route must offer no others.
    """
    refusals: list[Forbidden | ClusterNotFound] = []
    for part in principal.parts:
        try:
            return _authorize(part, cluster, info)
        except (Forbidden, ClusterNotFound) as error:
            refusals.append(error)
    raise next((error for error in refusals if isinstance(error, Forbidden)), refusals[0])


def _authorize(principal: Principal, cluster: str, info: RequestInfo) -> None:
    if not principal.scope.sees_cluster(cluster):
        raise ClusterNotFound(cluster)
    if principal.scope.role < Role.ADMIN:
        need = _need(principal, info)
        if principal.scope.role < need.role:
            raise Forbidden(
                f"user {_quote(principal.name)} with role {_name(principal.scope.role)} may not {_describe(info)} in "
                f"cluster {_quote(cluster)}: {need.reason}, role {_name(need.role)} would do"
            )
    if info.is_resource:
        _authorize_namespace(principal, cluster, info)
        _authorize_fleet(principal, info)


def _authorize_namespace(principal: Principal, cluster: str, info: RequestInfo) -> None:
    scope = principal.scope
    if scope.names_all_namespaces(cluster):
        return
    reach = f"user {_quote(principal.name)} is limited to the namespaces {', '.join(scope.namespaces) or '(none)'}"
    if info.namespace is None:
        raise Forbidden(f"{reach}: may not {_describe(info)} across a whole cluster, name one of these namespaces")
    if not scope.names_namespace(cluster, info.namespace):
        raise Forbidden(f"{reach}: may not {_describe(info)} in cluster {_quote(cluster)}")
    if info.resource == "namespaces" and info.verb not in _READS:
        raise Forbidden(f"{reach}: may not {_describe(info)}, which needs a user who is not limited to namespaces")


def _authorize_fleet(principal: Principal, info: RequestInfo) -> None:
    """What acts beyond the cluster or the namespace it is written in takes a reach to all. Raises Forbidden."""
    if info.verb in _READS or not info.api_group.endswith((*_FLEET_GROUPS, "*")):
        return
    scope = principal.scope
    by_labels = (f"with the labels {scope.cluster_labels}",) if scope.cluster_labels else ()
    limits = [("clusters", scope.reaches_all_clusters, scope.clusters + by_labels)]
    if (info.api_group, info.resource) in _ORDERS:
        limits.append(("namespaces", scope.reaches_all_namespaces, scope.namespaces))
    for what, unlimited, patterns in limits:
        if not unlimited:
            raise Forbidden(
                f"user {_quote(principal.name)} is limited to the {what} {', '.join(patterns) or '(none)'}: may not "
                f"{_describe(info)}, which is carried out in any of them, a user who is not limited to {what} may"
            )


def _need(principal: Principal, info: RequestInfo) -> _Need:
    kind = (info.api_group, info.resource)
    if not info.is_resource:
        if info.verb in ("get", "head"):
            return _Need(Role.VIEW, "")
        return _Need(Role.ADMIN, "only resources are written to")
    if kind in _CREDENTIALS:
        return _Need(Role.ADMIN, "these objects hold the credentials of member clusters")
    if info.verb in _READS and (info.subresource is None or info.subresource in _PLAIN_SUBRESOURCES):
        return _need_for_secrets(info) if kind in _SECRETS else _Need(Role.VIEW, "")
    if not _is_edited(info) and not _is_named(principal.writes, info):
        return _Need(Role.ADMIN, "role edit does to it no more than Kubernetes' own role edit and the user's `writes`")
    if info.namespace in GUARDED_NAMESPACES and info.subresource != "log":
        return _Need(Role.ADMIN, f"namespace {info.namespace} holds the control of the cluster")
    if info.verb in _READS:
        return _Need(Role.EDIT, f"role view reads no {_clip(info.subresource or '')}")
    return _Need(Role.EDIT, "role view only reads")


def may_read_secrets(principal: Principal, cluster: str, info: RequestInfo) -> bool:
    """Whether the caller may read Secrets wherever this request reads."""
    secrets = replace(info, api_group="", version="v1", resource="secrets", subresource=None)
    try:
        authorize_request(principal, cluster, secrets)
    except (ClusterNotFound, Forbidden):
        return False
    return True


def _need_for_secrets(info: RequestInfo) -> _Need:
    if info.namespace is None:
        return _Need(Role.ADMIN, "across all namespaces this includes the credentials of the cluster itself")
    if info.namespace in GUARDED_NAMESPACES:
        return _Need(Role.ADMIN, f"namespace {info.namespace} holds the control of the cluster")
    return _Need(Role.EDIT, "role view reads no Secrets")


def _is_edited(info: RequestInfo) -> bool:
    """Whether Kubernetes' own role `edit`, bound in a namespace, has it; of reads, those of a subresource."""
    if info.namespace is None:
        return False
    kind = _kind(info)
    if info.verb in _WRITES and kind in EDITED.get(info.api_group, ()):
        return True
    if info.api_group:
        return False
    return (info.verb in _READS and kind in _CONNECTED) or (info.verb == "create" and kind in _CREATED)


def _is_named(writes: tuple[str, ...], info: RequestInfo) -> bool:
    group = f".{info.api_group}" if info.api_group else ""
    known = info.verb in _WRITES or info.verb in _READS
    return known and (f"{_kind(info)}{group}" in writes or (bool(group) and f"*{group}" in writes))


def _kind(info: RequestInfo) -> str:
    return f"{info.resource}/{info.subresource}" if info.subresource else info.resource


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
