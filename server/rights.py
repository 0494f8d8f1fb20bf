"""What this server's own credential has to be allowed in the host and in members, and what for.

`python -m server.rights` prints it for docs/reference/rights.md.

`RIGHTS` is the one list: roles in k8s/ are written from it, and `check` holds clusters' answers against it. What each
account may ask everywhere (`system:basic-user`, `system:discovery`, `system:public-info-viewer`: /version, /readyz,
what is served, reviews about oneself) is not among it.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from auth.policy import EDITED
from server.settings.groups import Settings

Where = Literal["host", "member"]

_FOLLOW = ("list", "watch")
_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_APPS, _BATCH, _PLATFORM = "apps", "batch", "openmcp.k8s.io"
_KUBEFED = "core.kubefed.io"
_OF_SUBRESOURCE = {
    **dict.fromkeys(("attach", "exec", "portforward"), ("create", "get")),
    "proxy": ("create", "delete", "get", "patch", "update"),
    "scale": ("get", "patch", "update"),
}
_VIEWED = (
    "configmaps endpoints limitranges persistentvolumeclaims persistentvolumes replicationcontrollers resourcequotas "
    "serviceaccounts services"
)
_VIEWED_GROUPS = {
    "apiextensions.k8s.io": "customresourcedefinitions",
    "apiregistration.k8s.io": "apiservices",
    "autoscaling": "horizontalpodautoscalers",
    "coordination.k8s.io": "leases",
    "discovery.k8s.io": "endpointslices",
    "events.k8s.io": "events",
    "networking.k8s.io": "ingressclasses ingresses networkpolicies",
    "resource.k8s.io": "resourceclaims resourceclaimtemplates",
    "policy": "poddisruptionbudgets",
    "scheduling.k8s.io": "priorityclasses",
    "storage.k8s.io": "csidrivers csinodes storageclasses volumeattachments",
}


class Right(Struct, frozen=True):
    """Verbs on a resource (`pods/log` with its subresource) in all of a cluster, or in `namespace` alone.

    Without `names` it holds for objects of any name. `needs` is what has to be on for it to be wanted, of `NEEDS`; what
    is of `OFFERED` no setting wants.
    """

    where: Where
    group: str
    resource: str
    verbs: tuple[str, ...]
    why: str
    namespace: str | None = None
    names: tuple[str, ...] = ()
    needs: str = "always"


def _rights(
    where: Where, needs: str, group: str, resources: str, verbs: tuple[str, ...], why: str, namespace: str | None = None
) -> list[Right]:
    return [Right(where, group, name, verbs, why, namespace, needs=needs) for name in resources.split()]


def _edited() -> Iterator[Right]:
    """What the role `edit` writes, of what API servers still serve."""
    for group, kinds in EDITED.items():
        for kind in sorted(kinds):
            _, _, subresource = kind.partition("/")
            if group != "extensions" and subresource != "rollback":
                verbs = _OF_SUBRESOURCE.get(subresource, _WRITE)
                yield Right("member", group, kind, verbs, "what the role `edit` writes", needs="edit")


RIGHTS: tuple[Right, ...] = (
    # A host that is a member too, as with kubefed, takes these as well.
    *_rights("member", "always", "", "pods nodes namespaces", _FOLLOW, "the cache: lists, counts, what is live"),
    *_rights("member", "always", "", "events", ("list",), "`events`, of an object or of all"),
    *_rights("member", "events", "", "events", ("watch",), "`events`, and what `problems` tell by them"),
    *_rights("member", "workloads", _APPS, "daemonsets deployments statefulsets", _FOLLOW, "`workloads`, `problems`"),
    *_rights("member", "workloads", _BATCH, "cronjobs jobs", _FOLLOW, "`workloads`, `problems`"),
    *_rights("member", "always", "", "pods nodes namespaces", ("get",), "`resource`, what others name"),
    *_rights("member", "always", _APPS, "daemonsets deployments statefulsets", ("get",), "`resource`, owners"),
    *_rights("member", "always", _BATCH, "cronjobs jobs", ("get",), "`resource`, owners"),
    *_rights("member", "always", _APPS, "replicasets", ("get", "list"), "owners of pods"),
    *_rights("member", "always", "", "pods/log", ("get",), "`logs`, `podLogs`"),
    *_rights("member", "collector", "metrics.k8s.io", "nodes pods", ("list",), "usage, where kubelets are not asked"),
    *_rights("member", "kubelets", "", "nodes/proxy", ("get",), "usage of storage and network too; as good as root"),
    *_rights("member", "impersonation", "", "groups users", ("impersonate",), "each call for a user is the user's"),
    *_rights("host", "token-review", "authentication.k8s.io", "tokenreviews", ("create",), "whose a token is"),
    *_rights("host", "kubefed", _KUBEFED, "kubefedclusters", _FOLLOW, "which members", "kube-federation-system"),
    *_rights("host", "kubefed", "", "secrets", _FOLLOW, "members' tokens", "kube-federation-system"),
    *_rights("host", "kubefed", _PLATFORM, "openmcpclusters", _FOLLOW, "places of members; `/joinable`", "openmcp"),
    *_rights("host", "join", _PLATFORM, "openmcpclusters", ("create",), "`/join`, `/joinCloud`", "openmcp"),
    *_rights("host", "secrets", "", "secrets", _FOLLOW, "kubeconfigs of clusters", "clusters"),
    *_rights("host", "clusterprofile", "multicluster.x-k8s.io", "clusterprofiles", _FOLLOW, "which members"),
    # What is passed on, and asked by `resources`, is done with the server's own rights, or the user's (impersonation).
    *_rights("member", "view", "", _VIEWED, _READ, "`resources`, kubectl"),
    *_rights("member", "view", "", "events", ("get",), "kubectl"),
    *_rights("member", "view", _APPS, "replicasets", ("watch",), "`resourceEvents`, kubectl"),
    *_rights("member", "view", _APPS, "controllerrevisions", _READ, "kubectl rollout history"),
    *chain.from_iterable(
        _rights("member", "view", group, kinds, _READ, "`resources`, kubectl")
        for group, kinds in _VIEWED_GROUPS.items()
    ),
    *_rights("member", "view", "metrics.k8s.io", "nodes pods", ("get", "list"), "kubectl top"),
    *_edited(),
    *_rights("member", "edit", "", "secrets", _READ, "what the role `edit` reads"),
    *_rights("member", "edit", "", "pods/eviction serviceaccounts/token", ("create",), "kubectl drain, create token"),
    *_rights("member", "portal", "", "nodes", ("patch",), "pages of nodes: taints"),
    *_rights("member", "portal", "", "namespaces", ("create",), "pages of projects"),
    *_rights("host", "portal", _KUBEFED, "kubefedclusters", _READ, "pages of clusters"),
    *_rights("host", "portal", _PLATFORM, "*", (*_READ, *_WRITE), "all pages of the platform, joining included"),
)

OFFERED = ("kubelets", "view", "edit", "portal")
"""Given or not: usage has another way, and what is passed on may be as much as one likes to give."""

NEEDS: Mapping[str, Callable[[Settings], bool]] = {
    "always": lambda settings: True,
    "events": lambda settings: settings.clusters.events_kept > 0,
    "workloads": lambda settings: settings.clusters.workloads,
    "collector": lambda settings: bool(settings.metrics.outputs) or settings.metrics.usage_from == "collector",
    "impersonation": lambda settings: settings.auth.authorization == "impersonate",
    "token-review": lambda settings: settings.auth.token_review,
    "kubefed": lambda settings: "kubefed" in settings.clusters.cluster_source,
    "join": lambda settings: settings.clusters.join,
    "secrets": lambda settings: "secrets" in settings.clusters.cluster_source,
    "clusterprofile": lambda settings: "clusterprofile" in settings.clusters.cluster_source,
    **dict.fromkeys(OFFERED, lambda settings: False),
}


def wanted(settings: Settings, where: Where) -> list[Right]:
    """The rights that these settings take, in the namespaces that they name."""
    of_place = (right for right in RIGHTS if right.where == where and NEEDS[right.needs](settings))
    return [replace(right, namespace=name) for right in of_place for name in _namespaces(settings, right)]


def _namespaces(settings: Settings, right: Right) -> tuple[str | None, ...]:
    clusters = settings.clusters
    if right.group == _PLATFORM:
        return (clusters.platform_namespace,)
    match right.needs:
        case "kubefed":
            return (clusters.kubefed_namespace,)
        case "clusterprofile":
            return (clusters.profile_namespace,)
        case "secrets":
            return (None,) if "*" in clusters.secrets_namespace else clusters.secrets_namespace
    return (right.namespace,)


def format_table() -> str:
    """Markdown: a table for the host and for members. What differs in nothing but its resource is a row."""
    return "\n\n".join(f"### {_TITLES[where]}\n\n" + "\n".join([*_HEAD, *_rows(where)]) for where in _TITLES) + "\n"


_TITLES: Mapping[Where, str] = {"member": "In each member", "host": "In the host beside that"}
_HEAD = ("| Group | Resources | Verbs | Where | What for | Takes |", "|---|---|---|---|---|---|")


def _rows(where: Where) -> Iterator[str]:
    alike: dict[Right, list[str]] = {}
    for right in RIGHTS:
        if right.where == where:
            alike.setdefault(replace(right, resource=""), []).append(right.resource)
    for right, resources in alike.items():
        place = f"namespace `{right.namespace}`" if right.namespace else "the whole cluster"
        listed = ", ".join(f"`{name}`" for name in resources)
        group = f"`{right.group}`" if right.group else "core"
        yield f"| {group} | {listed} | {', '.join(right.verbs)} | {place} | {right.why} | {right.needs} |"


if __name__ == "__main__":
    sys.stdout.write(format_table())
