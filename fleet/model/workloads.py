"""Workloads: what runs pods, each as its controller's object or, where that is not read, its pods say.

Units as in `fleet.model.objects`.
"""

import enum
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from fleet.model.objects import NO_RESOURCES, Moment, ObjectKey, Owner, Pairs, Pod, Resources
from fleet.model.selectors import LabelSelector
from fleet.model.sums import sum_resources

MOST_RESTARTS = 2**31 - 1
"""Of all pods of a workload together, as the API has it of one container."""


class RolloutState(enum.Enum):
    """Where a workload is between what is asked of it and what there is."""

    COMPLETE = "COMPLETE"
    PROGRESSING = "PROGRESSING"
    STALLED = "STALLED"
    PAUSED = "PAUSED"
    FAILED = "FAILED"


class WorkloadKey(NamedTuple):
    """Names one workload of the federation; `kind` is as in `qualify`."""

    cluster: str
    namespace: str
    name: str
    kind: str

    @property
    def entry(self) -> str:
        return build_entry(self.name, self.kind)


class Workload(Struct, frozen=True, gc=False, kw_only=True):
    """A workload as the cache keeps it. Amounts that its kind does not have, or that nobody says, are None.

    `resource_version` is empty where it is made of its pods alone. `requests`, `limits`, `restarts` and `pod_count` are
    those of its pods: requests and limits of pods that are not finished, a limit None where any of these has none.
    `selector` is kept of Deployments, whose pods are found through ReplicaSets that are not read.
    """

    cluster: str
    namespace: str
    name: str
    kind: str
    api_version: str
    entry: str
    uid: str
    resource_version: str
    created_at: Moment | None = None
    labels: Pairs = ()
    owner: Owner | None = None
    images: tuple[str, ...] = ()
    desired: int | None = None
    ready: int | None = None
    updated: int | None = None
    available: int | None = None
    succeeded: int | None = None
    active: int | None = None
    schedule: str | None = None
    last_scheduled_at: Moment | None = None
    rollout: RolloutState | None = None
    rollout_message: str | None = None
    rollout_since: Moment | None = None
    selector: LabelSelector | None = None
    pod_count: int = 0
    restarts: int = 0
    requests: Resources = NO_RESOURCES
    limits: Resources = NO_RESOURCES

    @property
    def key(self) -> WorkloadKey:
        return WorkloadKey(self.cluster, self.namespace, self.name, qualify(self.kind, self.api_version))

    @property
    def unavailable(self) -> int | None:
        """How many of those desired are not available."""
        return None if self.desired is None or self.available is None else max(0, self.desired - self.available)


def qualify(kind: str, api_version: str) -> str:
    """A kind with its group, as kubectl writes it: `Deployment.apps`; kinds of core have none."""
    group, slash, _ = api_version.partition("/")
    return f"{kind}.{group}" if slash else kind


def own_resource(workload: "Workload | ObjectKey") -> str | None:
    """The resource that holds the objects of a workload's kind, where these are followed."""
    if isinstance(workload, WorkloadKey):
        return _RESOURCES.get(workload.kind)
    return _RESOURCES.get(qualify(workload.kind, workload.api_version)) if isinstance(workload, Workload) else None


_RESOURCES = {
    "Deployment.apps": "deployments.apps",
    "StatefulSet.apps": "statefulsets.apps",
    "DaemonSet.apps": "daemonsets.apps",
    "Job.batch": "jobs.batch",
    "CronJob.batch": "cronjobs.batch",
}
WORKLOAD_RESOURCES = tuple(_RESOURCES.values())


def build_entry(name: str, kind: str) -> str:
    """What a workload is called within its namespace, where two kinds may have one name. Sorts as the names do."""
    return f"{name} {kind}"


def template_owner(pod: Pod) -> str | None:
    """The name of the Deployment that a pod's ReplicaSet is of, if it is of one.

    A Deployment names its ReplicaSets by the hash of their template, which is a label of their pods. Source:
    `pkg/controller/deployment/sync.go`, `getNewReplicaSet`.
    """
    owner = pod.owner
    if owner is None or owner.kind != "ReplicaSet" or not owner.api_version.startswith("apps/"):
        return None
    hashed = next((value for key, value in pod.labels if key == "pod-template-hash"), "")
    name = owner.name.removesuffix(f"-{hashed}")
    return name if hashed and name != owner.name else None


def sum_limits(pods: Iterable[Pod]) -> Resources:
    """What pods may use together; no bound where one of them has none."""
    limits = [pod.limits for pod in pods]
    if not limits:
        return NO_RESOURCES
    different = set(limits)
    unbounded = {name: None for name in _BOUNDED if any(getattr(each, name) is None for each in different)}
    return replace(sum_resources(limits), pods=None, **unbounded)


_BOUNDED = ("cpu_cores", "memory_bytes", "ephemeral_storage_bytes")
