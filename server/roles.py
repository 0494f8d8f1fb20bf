"""Rights as the objects that grant them: roles and their bindings."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from server.rights import Right

RBAC = "rbac.authorization.k8s.io"

Object = dict[str, Any]


def build_roles(rights: Iterable[Right], name: str, subject: Mapping[str, str]) -> Iterator[Object]:
    """A ClusterRole and its binding for what holds in all of the cluster, a Role and its for each namespace."""
    places: defaultdict[str | None, list[Right]] = defaultdict(list)
    for right in rights:
        places[right.namespace].append(right)
    for namespace, some in places.items():
        kind = "Role" if namespace else "ClusterRole"
        metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
        head = {"apiVersion": f"{RBAC}/v1"}
        yield {**head, "kind": kind, "metadata": {**metadata}, "rules": _build_rules(some)}
        role = {"apiGroup": RBAC, "kind": kind, "name": name}
        yield {**head, "kind": f"{kind}Binding", "metadata": metadata, "roleRef": role, "subjects": [dict(subject)]}


def _build_rules(rights: Iterable[Right]) -> list[Object]:
    """Those that differ in nothing but their resources are one."""
    verbs: defaultdict[tuple[str, str, tuple[str, ...]], set[str]] = defaultdict(set)
    for right in rights:
        verbs[right.group, right.resource, right.names] |= set(right.verbs)
    alike: defaultdict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource, names), allowed in verbs.items():
        alike[group, tuple(sorted(allowed)), names].append(resource)
    return [
        {"apiGroups": [group], "resources": sorted(resources), "verbs": list(allowed)}
        | ({"resourceNames": list(names)} if names else {})
        for (group, allowed, names), resources in alike.items()
    ]
