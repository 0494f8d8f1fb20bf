"""Workloads, from bytes to models. How their rollouts are worded is held against kubectl in `test_real_workloads`."""

import json
from typing import Any

import pytest

from fleet.kubernetes.codec.codec import WORKLOADS
from fleet.kubernetes.codec.convert import parse_time
from fleet.model.objects import Owner
from fleet.model.workloads import RolloutState, Workload
from tests.fakes.kubernetes import build_workload

COMPLETE, PROGRESSING, STALLED, PAUSED, FAILED = RolloutState
EARLY, LATE = "2026-09-21T10:00:00Z", "2026-09-21T11:00:00Z"
DONE = {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}
SET = {"observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
DAEMONS = {
    "observedGeneration": 1,
    "desiredNumberScheduled": 2,
    "updatedNumberScheduled": 2,
    "numberReady": 2,
    "numberAvailable": 2,
}


def condition(kind: str, status: str, reason: str = "", **more: str) -> dict[str, Any]:
    times = {"lastTransitionTime": EARLY, "lastUpdateTime": LATE}
    return {"conditions": [{"type": kind, "status": status, "reason": reason, **times, **more}]}


AVAILABLE = condition("Progressing", "True", "NewReplicaSetAvailable")


def decode(item: dict[str, Any]) -> Workload:
    codec = WORKLOADS[item["kind"], item["apiVersion"]]
    listed = {"kind": f"{item['kind']}List", "metadata": {"resourceVersion": "5"}, "items": [item]}
    page = codec.decode_list(json.dumps(listed).encode(), "c1")
    assert not page.malformed, page.malformed
    return page.records[0]


ROLLOUTS: list[tuple[str, dict[str, Any], dict[str, Any], RolloutState, str, str | None]] = [
    ("Deployment", {"replicas": 3}, DONE | AVAILABLE, COMPLETE, "successfully rolled out", LATE),
    ("Deployment", {"replicas": 3}, DONE | {"observedGeneration": 0}, PROGRESSING, "spec update to be observed", None),
    (
        "Deployment",
        {"replicas": 3},
        DONE | {"updatedReplicas": 1} | condition("Progressing", "True", "ReplicaSetUpdated"),
        PROGRESSING,
        "1 out of 3 new replicas have been updated",
        LATE,
    ),
    ("Deployment", {"replicas": 3}, DONE | {"replicas": 5}, PROGRESSING, "2 old replicas are pending", None),
    (  # it was complete, and lost a pod
        "Deployment",
        {"replicas": 3},
        DONE
        | {"availableReplicas": 2}
        | {"conditions": [*AVAILABLE["conditions"], *condition("Available", "False")["conditions"]]},
        PROGRESSING,
        "2 of 3 updated replicas are available",
        EARLY,
    ),
    ("Deployment", {"replicas": 3}, DONE | {"availableReplicas": 2} | AVAILABLE, PROGRESSING, "2 of 3 updated", None),
    (
        "Deployment",
        {"replicas": 3},
        DONE | {"updatedReplicas": 1} | condition("Progressing", "False", "ProgressDeadlineExceeded"),
        STALLED,
        "exceeded its progress deadline",
        EARLY,
    ),
    (
        "Deployment",
        {"paused": True},
        DONE | condition("Progressing", "Unknown", "DeploymentPaused"),
        PAUSED,
        "is paused",
        LATE,
    ),
    ("Deployment", {"replicas": 0}, {"observedGeneration": 1}, COMPLETE, "successfully rolled out", None),
    ("StatefulSet", {"replicas": 2}, SET, COMPLETE, "rolling update complete 2 pods at revision", None),
    ("StatefulSet", {"replicas": 2}, SET | {"readyReplicas": 1}, PROGRESSING, "Waiting for 1 pods to be ready", None),
    ("StatefulSet", {"replicas": 2}, {}, PROGRESSING, "spec update to be observed", None),
    (
        "StatefulSet",
        {"replicas": 2},
        SET | {"currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1},
        PROGRESSING,
        "waiting for statefulset rolling update to complete 1 pods at revision b",
        None,
    ),
    (
        "StatefulSet",
        {"replicas": 2, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
        SET | {"updatedReplicas": 0},
        PROGRESSING,
        "0 out of 1 new pods have been updated",
        None,
    ),
    (
        "StatefulSet",
        {"replicas": 2, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}},
        SET | {"updatedReplicas": 1},
        COMPLETE,
        "partitioned roll out complete: 1 new pods",
        None,
    ),
    (
        "StatefulSet",
        {"replicas": 2, "updateStrategy": {"type": "OnDelete"}},
        SET | {"updateRevision": "b"},
        COMPLETE,
        "2 pods are ready",
        None,
    ),
    ("DaemonSet", {}, DAEMONS, COMPLETE, 'daemon set "web" successfully rolled out', None),
    ("DaemonSet", {}, DAEMONS | {"updatedNumberScheduled": 1}, PROGRESSING, "1 out of 2 new pods", None),
    ("DaemonSet", {}, DAEMONS | {"numberAvailable": 1}, PROGRESSING, "1 of 2 updated pods are available", None),
    ("DaemonSet", {}, DAEMONS | {"observedGeneration": 0}, PROGRESSING, "spec update to be observed", None),
    ("Job", {"completions": 1}, condition("Complete", "True"), COMPLETE, "is complete", EARLY),
    (
        "Job",
        {"completions": 1},
        condition("Failed", "True", "BackoffLimitExceeded", message="Job has reached the specified backoff limit"),
        FAILED,
        "Job has reached the specified backoff limit",
        EARLY,
    ),
    ("Job", {"suspend": True}, condition("Suspended", "True"), PAUSED, "is suspended", EARLY),
    ("Job", {"completions": 1}, {"active": 1, "startTime": LATE}, PROGRESSING, "runs", LATE),
    ("CronJob", {"schedule": "0 3 * * *", "suspend": True}, {}, PAUSED, "is suspended", None),
    (
        "CronJob",
        {"schedule": "0 3 * * *"},
        {"active": [{"name": "web-1"}], "lastScheduleTime": LATE},
        PROGRESSING,
        "1 jobs",
        LATE,
    ),
    ("CronJob", {"schedule": "0 3 * * *"}, {"lastScheduleTime": LATE}, COMPLETE, "no job", None),
]


@pytest.mark.parametrize(("kind", "spec", "status", "state", "message", "since"), ROLLOUTS)
def test_rollouts(
    kind: str, spec: dict[str, Any], status: dict[str, Any], state: RolloutState, message: str, since: str | None
) -> None:
    found = decode(build_workload(kind, "shop", "web", spec, status))
    assert (found.rollout, found.rollout_since) == (state, parse_time(since))
    assert message in (found.rollout_message or "")


def test_a_deployment() -> None:
    template = {"spec": {"initContainers": [{"image": "i:1"}], "containers": [{"image": "c:1"}, {"image": "i:1"}]}}
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a"]}]}
    spec = {"replicas": 4, "template": template, "selector": selector}
    found = decode(build_workload("Deployment", "shop", "web", spec, DONE | {"updatedReplicas": 2}))
    assert (found.namespace, found.name, found.kind, found.api_version) == ("shop", "web", "Deployment", "apps/v1")
    assert (found.desired, found.ready, found.updated, found.available, found.unavailable) == (4, 3, 2, 3, 1)
    assert found.images == ("c:1", "i:1")
    assert found.labels == (("app", "web"),)
    assert found.created_at == parse_time("2024-05-01T10:00:00Z")
    assert found.selector is not None
    assert found.selector.matches((("app", "web"), ("tier", "a")))
    assert not found.selector.matches((("app", "web"), ("tier", "b")))


def test_what_an_old_stateful_set_does_not_say_is_not_known() -> None:
    status = {"observedGeneration": 1, "readyReplicas": 2}
    old = decode(build_workload("StatefulSet", "shop", "db", {"replicas": 2}, status))
    none_yet = decode(build_workload("Deployment", "shop", "web", {"replicas": 2}, {"observedGeneration": 1}))
    assert (old.available, old.unavailable) == (None, None)
    assert (none_yet.available, none_yet.unavailable) == (0, 2)


def test_a_job_of_a_cron_job() -> None:
    item = build_workload("Job", "shop", "nightly-1", {"parallelism": 2}, {"active": 2, "ready": 1, "succeeded": 3})
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "u", "controller": True}
    item["metadata"]["ownerReferences"] = [owner]
    found = decode(item)
    assert (found.desired, found.ready, found.active, found.succeeded, found.unavailable) == (2, 1, 2, 3, None)
    assert found.owner == Owner("batch/v1", "CronJob", "nightly", "u")


def test_a_cron_job() -> None:
    template = {"spec": {"template": {"spec": {"containers": [{"image": "report:1"}]}}}}
    spec = {"schedule": "0 3 * * *", "jobTemplate": template}
    status = {"active": [{"name": "a"}, {"name": "b"}], "lastScheduleTime": LATE}
    found = decode(build_workload("CronJob", "shop", "nightly", spec, status))
    assert (found.schedule, found.active, found.images) == ("0 3 * * *", 2, ("report:1",))
    assert (found.desired, found.ready, found.last_scheduled_at) == (None, None, parse_time(LATE))


def test_one_with_a_selector_that_is_none_takes_no_other_away() -> None:
    codec = WORKLOADS["Deployment", "apps/v1"]
    broken = {"metadata": {"name": "b"}, "spec": {"selector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}}
    listed = {
        "kind": "DeploymentList",
        "metadata": {"resourceVersion": "5"},
        "items": [broken, {"metadata": {"name": "a"}}],
    }
    page = codec.decode_list(json.dumps(listed).encode(), "c1")
    assert [record.name for record in page.records] == ["a"]
    assert page.malformed == ("Deployment b can't be read: a selector has no operator 'Like'",)
