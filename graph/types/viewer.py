"""The caller as the graph shows them: name, groups, role and reach."""

from collections.abc import Iterable
from typing import Self

import strawberry

from auth.principal import Principal
from fleet.model.visibility import Scope
from graph.enums import Role
from graph.scalars import DateTime


@strawberry.type(description="Who asks, and what they may see and do.")
class Viewer:
    """A view of `auth.principal.Principal`."""

    name: str = strawberry.field(description="Their name.")
    groups: list[str] = strawberry.field(description="Their groups.")
    role: Role = strawberry.field(description="What they may do.")
    clusters: list[str] = strawberry.field(
        description="Patterns of the clusters they reach, names where labels decide; `*` is all."
    )
    namespaces: list[str] = strawberry.field(description="Patterns of the namespaces they reach; `*` is all.")
    expires_at: DateTime | None = strawberry.field(description="When their credential stops to count; null: never.")

    @classmethod
    def from_model(cls, principal: Principal) -> Self:
        scopes = [part.scope for part in principal.parts]
        return cls(
            name=principal.name,
            groups=list(principal.groups),
            role=max(scope.role for scope in scopes),
            clusters=list(dict.fromkeys(name for scope in scopes for name in _list_clusters(scope))),
            namespaces=list(dict.fromkeys(name for scope in scopes for name in scope.namespaces)),
            expires_at=None if principal.expires_at is None else DateTime(principal.expires_at),
        )


def _list_clusters(scope: Scope) -> Iterable[str]:
    if scope.labelled is None:
        return scope.clusters
    return sorted(filter(scope.sees_cluster, scope.labelled))
