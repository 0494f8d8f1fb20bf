"""What members' rules allow, by kind, verb, namespace and name."""

import pytest

from fleet.model.kinds import NODES, PODS, WORKLOADS
from fleet.model.objects import NodeKey, PodKey
from fleet.model.rights import ClusterRights, Granted, Rule, Rules, Subject, Verb
from fleet.model.visibility import Role, Scope
from tests.fakes.records import build_workload_record


def rules(verbs: str, resources: str, groups: str = "", names: str = "") -> Rules:
    of = frozenset(groups.split() or ("",))
    return Rules([Rule(frozenset(verbs.split()), of, frozenset(resources.split()), frozenset(names.split()))])


@pytest.mark.parametrize(
    ("held", "verb", "resource", "name", "allowed"),
    [
        (rules("list", "pods"), "list", "pods", "", True),
        (rules("list", "pods"), "watch", "pods", "", False),
        (rules("list", "pods"), "get", "pods", "a", False),
        (rules("list", "pods"), "list", "pods.metrics.k8s.io", "", False),
        (rules("*", "*", "*"), "list", "deployments.apps", "", True),
        (rules("get", "deployments", "apps"), "get", "deployments.apps", "web", True),
        (rules("get", "pods"), "get", "pods/log", "a", False),
        (rules("get", "*/log"), "get", "pods/log", "a", True),
        (rules("get", "*/log"), "get", "pods", "a", False),
        (rules("get list", "pods", names="a"), "get", "pods", "a", True),
        (rules("get list", "pods", names="a"), "get", "pods", "b", False),
        (rules("get list", "pods", names="a"), "list", "pods", "", False),
    ],
)
def test_rules_are_read_as_rbac_reads_them(held: Rules, verb: str, resource: str, name: str, allowed: bool) -> None:
    assert held.allows(verb, resource, name) is allowed


def scope_of(rights: ClusterRights) -> Scope:
    return Scope(Role.ADMIN, granted=Granted(Subject("ann"), {"c1": rights}))


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
def test_each_verb_takes_its_own_right(verb: Verb) -> None:
    scope = scope_of(ClusterRights(namespaces={"shop": rules(verb, "pods")}))
    pod = PodKey("c1", "shop", "a")
    allowed = {other: PODS.is_within(scope, pod, other) for other in ("get", "list", "watch")}
    assert allowed == {other: other == verb for other in ("get", "list", "watch")}
    assert not PODS.is_within(scope, PodKey("c1", "ops", "a"), verb)
    assert not scope.sees_all_namespaces("c1", "pods", verb)


def test_nodes_take_a_right_in_the_whole_cluster() -> None:
    inside = scope_of(ClusterRights(namespaces={"shop": rules("*", "*", "*")}))
    named = scope_of(ClusterRights(rules("get", "nodes", names="n1")))
    assert not NODES.is_within(inside, NodeKey("c1", "n1"), "get")
    assert [NODES.is_within(named, NodeKey("c1", name), "get") for name in ("n1", "n2")] == [True, False]


def test_namespaces_are_seen_by_who_lists_all_or_gets_the_one() -> None:
    scope = scope_of(
        ClusterRights(namespaces={"a": rules("get", "namespaces"), "b": rules("list watch", "namespaces")})
    )
    assert [scope.sees_namespace("c1", name, "namespaces") for name in "abc"] == [True, False, False]
    assert scope_of(ClusterRights(rules("list", "namespaces"))).sees_namespace("c1", "c", "namespaces")
    named = ClusterRights(rules("get", "namespaces", names="a"))
    assert [scope_of(named).sees_namespace("c1", name, "namespaces") for name in "ab"] == [True, False]
    assert named.allows_somewhere("list", "namespaces")


def test_a_workload_takes_the_right_to_its_object_and_to_its_pods() -> None:
    web = build_workload_record("c1", "shop", "web")
    for held, seen in (("pods", False), ("deployments", False), ("both", True)):
        parts = [rule for rule in (("pods", ""), ("deployments", "apps")) if held in (rule[0], "both")]
        granted = Rules(
            Rule(frozenset({"get", "list"}), frozenset({group}), frozenset({name})) for name, group in parts
        )
        scope = scope_of(ClusterRights(granted))
        assert [WORKLOADS.is_within(scope, one, verb) for one in (web, web.key) for verb in ("get", "list")] == [
            seen
        ] * 4


def test_what_was_not_asked_is_not_allowed_and_says_so() -> None:
    scope = Scope(Role.ADMIN, granted=Granted(Subject("ann"), problems={"c2": "it does not answer"}))
    granted = scope.granted
    assert granted is not None
    assert not scope.sees_namespace("c1", "shop", "pods")
    assert [granted.explain_refusal(name, "list", "pods") for name in ("c1", "c2")] == [
        "what c1 lets you see is not known: it was not asked yet",
        "what c2 lets you see is not known: it does not answer",
    ]


def test_a_cluster_that_allows_nothing_is_not_there() -> None:
    everybody = rules("create", "selfsubjectaccessreviews", "authorization.k8s.io")
    scope = scope_of(ClusterRights(everybody))
    assert not scope.sees_cluster("c1")
    assert scope_of(ClusterRights(everybody, {"shop": rules("get", "configmaps")})).sees_cluster("c1")
