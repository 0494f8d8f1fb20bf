"""Findings put into groups of one cause and reason, each with the objects that have been so longest."""

import heapq
import time
from collections.abc import Mapping
from functools import cache, partial
from operator import attrgetter

from fleet.aio.recorder import note_cached
from fleet.aio.turns import Pace, Turns
from fleet.members.member import Member
from fleet.model.kinds import WORKLOADS
from fleet.model.objects import Cluster, Node, Pod
from fleet.model.problems import Cause, Finding, Problem, ProblemExample, Severity
from fleet.model.visibility import Scope
from fleet.model.workloads import Workload
from fleet.reads.problem_rules import MEANINGS, MOUNT_EVENTS, judge_cluster, judge_node, judge_pod, judge_workload

MAX_EXAMPLES = 20
"""Objects of a group that are kept to be shown, and `DEFAULT_EXAMPLES` where nothing is said."""

DEFAULT_EXAMPLES = 3

_PLACE = attrgetter("cluster", "namespace", "name")
_LATEST = float("inf")
_SEVERITIES, _CAUSES = list(Severity), list(Cause)


class _Group:
    def __init__(self) -> None:
        self.count = 0
        self.clusters: set[str] = set()
        self.namespaces: set[str] = set()
        self.examples: list[ProblemExample] = []

    def add(self, example: ProblemExample) -> None:
        self.count += 1
        self.clusters.add(example.cluster)
        if example.namespace:
            self.namespaces.add(example.namespace)
        self.examples.append(example)
        if len(self.examples) > 10 * MAX_EXAMPLES:
            self.keep_first()

    def keep_first(self) -> None:
        self.examples = heapq.nsmallest(MAX_EXAMPLES, self.examples, key=_since)


def _since(example: ProblemExample) -> tuple[float, str, str, str]:
    return (_LATEST if example.since is None else example.since, *_PLACE(example))


class ProblemFinder:
    """All that is wrong with members in a scope. `turns` are taken after each piece of some milliseconds."""

    def __init__(self, scope: Scope, turns: Turns) -> None:
        self._scope = scope
        self._pace = Pace(turns)
        self._now = time.time()
        self._groups: dict[tuple[Cause, str], _Group] = {}

    def add_cluster(self, cluster: Cluster) -> None:
        self._add(judge_cluster(cluster, self._now), "Cluster", cluster.name, "", cluster.name, None)

    async def add_member(self, member: Member) -> None:
        """What a member has in memory. Only pods that are not well are looked at."""
        scope, cluster = self._scope, member.name
        everywhere = scope.sees_all_namespaces(cluster, "pods")
        await self._pace.walk(member.stores.marked_workloads.settling())
        nodes = member.nodes.all() if scope.sees_all_namespaces(cluster, "nodes") else ()
        for node in nodes:
            for finding in judge_node(node):
                self._add(finding, "Node", cluster, "", node.name, node)
        await self._pace.wait()
        for workload in member.workloads.all():
            found = judge_workload(workload)
            if found is not None and WORKLOADS.is_within(scope, workload, "list"):
                self._add(found, workload.kind, cluster, workload.namespace, workload.name, workload)
        failures = cache(partial(_find_mount_failures, member))

        def find_failure(pod: Pod) -> str | None:
            return failures().get(pod.uid)

        shown = len(nodes)
        for pod in member.pods.bucket("unwell", "unwell"):
            if everywhere or scope.sees_namespace(cluster, pod.namespace, "pods"):
                shown += 1
                events = scope.granted is None or scope.sees_namespace(cluster, pod.namespace, "events")
                found = judge_pod(pod, self._now, find_failure if events else lambda _: None)
                self._add(found, "Pod", cluster, pod.namespace, pod.name, pod)
            await self._pace.wait()
        note_cached(cluster, shown)

    def finish(self) -> list[Problem]:
        """The gravest first, then those of most objects."""
        problems = [_build_problem(*key, group) for key, group in self._groups.items()]
        return sorted(problems, key=order_of)

    def _add(
        self,
        finding: Finding | None,
        kind: str,
        cluster: str,
        namespace: str,
        name: str,
        model: Pod | Node | Workload | None,
    ) -> None:
        if finding is not None:
            group = self._groups.setdefault((finding.cause, finding.reason), _Group())
            group.add(ProblemExample(kind, cluster, namespace, name, finding.message, finding.since, model))


def order_of(problem: Problem) -> tuple[int, int, int, str]:
    """Where a problem stands among others."""
    severity, cause = _SEVERITIES.index(problem.severity), _CAUSES.index(problem.cause)
    return severity, -problem.count, cause, problem.reason


def _build_problem(cause: Cause, reason: str, group: _Group) -> Problem:
    group.keep_first()
    meaning = MEANINGS[cause]
    return Problem(
        cause=cause,
        severity=meaning.severity,
        title=meaning.title,
        reason=reason,
        count=group.count,
        clusters=tuple(sorted(group.clusters)),
        namespaces=tuple(sorted(group.namespaces)),
        since=group.examples[0].since,
        examples=tuple(group.examples),
    )


def _find_mount_failures(member: Member) -> Mapping[str, str]:
    """What the newest event says that tells of it, by the pod's UID; none where events are not kept."""
    failures: dict[str, str] = {}
    for event in member.stores.events.newest():
        if event.reason in MOUNT_EVENTS:
            failures.setdefault(event.regarding.uid, event.message)
    return failures
