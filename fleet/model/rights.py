"""What each member lets a user do, in Kubernetes' own rules, as it said when it was asked.

Source: kubernetes/plugin/pkg/auth/authorizer/rbac/rbac.go, RuleAllows, and pkg/apis/rbac/v1/evaluation_helpers.go. A
resource is named as kubectl names it: `pods`, `pods/log`, `deployments.apps`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from msgspec import Struct

Verb = Literal["get", "list", "watch"]

_OWN_GROUPS = frozenset({"authentication.k8s.io", "authorization.k8s.io"})
"""What anybody may ask about himself in any cluster."""


class Subject(Struct, frozen=True):
    """Whom members take a caller for."""

    user: str
    groups: tuple[str, ...] = ()


class Rule(Struct, frozen=True):
    """`*` is all of them. `names` are the only objects that it is about, none where it is about all."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str] = frozenset()

    def allows(self, verb: str, group: str, resource: str) -> bool:
        """Of the objects that it is about."""
        return (
            ("*" in self.verbs or verb in self.verbs)
            and ("*" in self.groups or group in self.groups)
            and self._has(resource)
        )

    def _has(self, resource: str) -> bool:
        if "*" in self.resources or resource in self.resources:
            return True
        _, slash, subresource = resource.partition("/")
        return bool(slash) and f"*/{subresource}" in self.resources


class Rules:
    """All that hold somewhere. Equal where they say the same."""

    __slots__ = ("_all", "_known")

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._all = frozenset(rules)
        self._known: dict[tuple[str, str], bool] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rules) and self._all == other._all

    def __hash__(self) -> int:
        return hash(self._all)

    @property
    def says_something(self) -> bool:
        """Whether there is more in it than what anybody may ask about himself."""
        return any(not rule.groups <= _OWN_GROUPS for rule in self._all)

    def allows(self, verb: str, resource: str, name: str = "") -> bool:
        """Of all objects where none is named."""
        question = (verb, resource)
        known = self._known.get(question)
        if known is None:  # kinds are bounded by what members serve
            known = self._known[question] = any(not rule.names for rule in self._find(verb, resource))
        return known or bool(name and any(name in rule.names for rule in self._find(verb, resource)))

    def allows_some(self, verb: str, resource: str) -> bool:
        """Of all objects, or of any by its name."""
        return any(True for _ in self._find(verb, resource))

    def _find(self, verb: str, resource: str) -> Iterator[Rule]:
        kind, _, group = resource.partition(".")
        return (rule for rule in self._all if rule.allows(verb, group, kind))


NO_RULES = Rules()


class ClusterRights(Struct, frozen=True):
    """What one member lets a user do. `namespaces` are those in which that is more than it is `everywhere`."""

    everywhere: Rules = NO_RULES
    namespaces: Mapping[str, Rules] = {}

    @property
    def says_something(self) -> bool:
        return any(rules.says_something for rules in (self.everywhere, *self.namespaces.values()))

    def allows(self, verb: Verb, resource: str, namespace: str | None, name: str = "") -> bool:
        """In a namespace, or in all of them at once for None."""
        rules = self.everywhere if namespace is None else self.namespaces.get(namespace, self.everywhere)
        if resource == "workloads":
            # Sums over their pods, and their objects, for which each kind takes a right of its own.
            return rules.allows("list" if verb == "get" else verb, "pods")
        if resource == "namespaces" and namespace is not None:
            # They are listed for who may list all, and each is got by rules of its own.
            return self.everywhere.allows(verb, resource) or rules.allows("get", resource, namespace)
        return rules.allows(verb, resource, name)

    def allows_somewhere(self, verb: Verb, resource: str) -> bool:
        if resource == "namespaces" and any(
            rules.allows_some("get", resource) for rules in (self.everywhere, *self.namespaces.values())
        ):
            return True
        return self.allows(verb, resource, None) or any(
            self.allows(verb, resource, namespace) for namespace in self.namespaces
        )


class Granted(Struct, frozen=True, eq=False):
    """What members let a subject do at one moment; what is not in `clusters` was not asked, or `problems` says why not.

    Equal to itself alone: who holds another one holds other rights, or those of somebody else.
    """

    subject: Subject
    clusters: Mapping[str, ClusterRights] = {}
    problems: Mapping[str, str] = {}

    def reaches(self, cluster: str) -> bool:
        """Whether the subject has any right there; so it is taken to be where that can't be asked."""
        rights = self.clusters.get(cluster)
        return rights is None or rights.says_something

    def allows(self, cluster: str, verb: Verb, resource: str, namespace: str | None, name: str = "") -> bool:
        """As `ClusterRights.allows`; nothing of a cluster that can't be asked."""
        rights = self.clusters.get(cluster)
        return rights is not None and rights.allows(verb, resource, namespace, name)

    def explain_refusal(self, cluster: str, verb: Verb, resource: str) -> str | None:
        """Why nothing of a kind is allowed there; None where something is."""
        rights = self.clusters.get(cluster)
        if rights is None:
            problem = self.problems.get(cluster, "it was not asked yet")
            return f"what {cluster} lets you see is not known: {problem}"
        if rights.allows_somewhere(verb, resource):
            return None
        return f"{cluster} does not let user {self.subject.user[:100]!r} {verb} {resource}"
