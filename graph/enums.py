"""Enums of the graph.

Those that `fleet` has are registered as they are, so that nothing is converted; the graph's own are defined here.
"""

import enum
from collections.abc import Mapping

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

from fleet.model.groups import NodeGroupColumn, NodeGroupField, PodGroupColumn, PodGroupField, ResourceField
from fleet.model.objects import ClusterHealth, ClusterRole, MissingAmount, OnUnavailable, OutcomeState, PodPhase
from fleet.model.problems import Cause as ProblemCause
from fleet.model.problems import Severity as ProblemSeverity
from fleet.model.queries import NodeColumn, PodColumn, WorkloadColumn
from fleet.model.ranking import PercentOf, UsageField
from fleet.model.search import SearchField, SearchKind
from fleet.model.usage import Aggregate
from fleet.model.visibility import Role
from fleet.model.workloads import RolloutState


class PodGroup(enum.Enum):
    """What pods can be counted by."""

    PHASE = "PHASE"
    CLUSTER = "CLUSTER"
    NAMESPACE = "NAMESPACE"
    NODE = "NODE"
    STATUS = "STATUS"


class Direction(enum.Enum):
    """Which end of an order comes first."""

    ASC = "ASC"
    DESC = "DESC"


class EventType(enum.Enum):
    """What happened to an object."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


def _register(
    values: type[enum.Enum], description: str, members: Mapping[str, str], *, name: str | None = None
) -> type[enum.Enum]:
    """Tells Strawberry of an enum, with a description for each of its values."""
    strawberry.enum(values, name=name, description=description)
    definition: StrawberryEnumDefinition = getattr(values, "__strawberry_definition__")  # noqa: B009 - set by Strawberry
    for value in definition.values:
        value.description = members[value.name]
    return values


_register(
    ClusterRole,
    "What a cluster is to the federation.",
    {"HOST": "The cluster the federation is run from.", "MEMBER": "A cluster that joined it."},
)
_register(
    ClusterHealth,
    "A cluster's health as this server sees it, now.",
    {
        "READY": "It answers.",
        "NOT_READY": "It answers, but says that it is not well, or its objects are still being read.",
        "OFFLINE": "It does not answer, or the platform calls it offline.",
        "UNKNOWN": "It has not been asked yet, or can't be asked as it is configured.",
    },
)
_register(
    OutcomeState,
    "How one cluster took part in one answer.",
    {
        "OK": "All it has is in the answer.",
        "STALE": "Its last known state is in the answer; see `ageSeconds`.",
        "UNREACHABLE": "Left out: no connection to it.",
        "TIMEOUT": "Left out: it did not answer in time.",
        "UNAUTHORIZED": "Left out: it refused this server's credential.",
        "FORBIDDEN": "Left out, in whole or in part: you may not see it.",
    },
)
_register(
    OnUnavailable,
    "What an answer does about a cluster that can't be asked.",
    {
        "PARTIAL": "Leaves it out and says so in `clusters`; no error.",
        "STALE": "Answers its last known state, marked and aged in `clusters`.",
        "STRICT": "Makes it an error.",
    },
)
_register(
    PodPhase,
    "Where a pod is in its life: `status.phase`.",
    {
        "PENDING": "Accepted, but not all of its containers run.",
        "RUNNING": "Bound to a node, and at least one container runs or is being started.",
        "SUCCEEDED": "All containers ended well and will not be restarted.",
        "FAILED": "All containers ended, at least one of them badly.",
        "UNKNOWN": "Its node can't be asked.",
    },
)
_register(
    MissingAmount,
    "What a container that keeps running can leave unsaid, where the pod does not say it for all.",
    {
        "CPU_REQUEST": "A request of CPU.",
        "MEMORY_REQUEST": "A request of memory.",
        "CPU_LIMIT": "A limit of CPU.",
        "MEMORY_LIMIT": "A limit of memory.",
    },
)
_register(
    PodGroup,
    "What pods can be counted by.",
    {
        "PHASE": "By phase; the key is a PodPhase.",
        "CLUSTER": "By cluster.",
        "NAMESPACE": "By namespace; the same name in two clusters counts as one.",
        "NODE": "By node name; pods without a node have an empty key.",
        "STATUS": "By what kubectl's STATUS column says.",
    },
)
_register(
    PodGroupField,
    "What pods can be grouped by, beside their labels.",
    {
        "PHASE": "The phase; the value is a PodPhase.",
        "CLUSTER": "The cluster.",
        "NAMESPACE": "The namespace; the same name in two clusters is one, where CLUSTER is not beside it.",
        "NODE": "The name of the node, likewise; null for pods that are bound to none.",
        "STATUS": "What kubectl's STATUS column says.",
        "WORKLOAD": "The topmost controller, as Deployment/web, likewise; a pod without one is its own: Pod/web.",
        "IMAGE": "The image as the pod writes it; a pod of several images counts in the group of each.",
        "QOS_CLASS": "Guaranteed, Burstable or BestEffort.",
        "ZONE": "The zone of the node; null where you may not see it.",
    },
)
_register(
    NodeGroupField,
    "What nodes can be grouped by, beside their labels.",
    {
        "CLUSTER": "The cluster.",
        "ZONE": "The zone.",
        "REGION": "The region.",
        "ROLE": "The role; a node of several roles counts in the group of each.",
        "STATUS": "What kubectl's STATUS column says.",
        "KUBELET_VERSION": "The version of the kubelet.",
        "OS_IMAGE": "The operating system.",
        "ARCHITECTURE": "The architecture, such as amd64.",
    },
)
_COUNTS = {"COUNT": "How many there are in the group.", "READY_COUNT": "How many of them are ready."}
_register(
    PodGroupColumn,
    "Numbers that groups of pods can be ordered by.",
    {**_COUNTS, "RESTARTS": "Restarts of all of their containers."},
    name="PodGroupOrderField",
)
_register(NodeGroupColumn, "Numbers that groups of nodes can be ordered by.", _COUNTS, name="NodeGroupOrderField")
_register(
    ResourceField,
    "An amount of resources.",
    {
        "CPU_CORES": "CPU in cores.",
        "MEMORY_BYTES": "Memory in bytes.",
        "EPHEMERAL_STORAGE_BYTES": "Ephemeral storage in bytes.",
        "PODS": "Number of pods.",
    },
)
_register(
    PercentOf,
    "What a percentage is of; for a group the sum of theirs.",
    {
        "LIMIT": "A pod's limit; for a node or a cluster its allocatable.",
        "REQUEST": "A pod's request; null for a node or a cluster.",
        "ALLOCATABLE": "What a node or a cluster can give to pods; null for a pod.",
        "CAPACITY": "What a node or a cluster has; null for a pod.",
    },
)
_register(
    UsageField,
    "What of usage can be ordered and bounded by: the newest value of each object; null where there is none.",
    {
        "CPU_CORES": "CPU in cores.",
        "MEMORY_BYTES": "Memory in bytes: the working set.",
        "FS_USED_BYTES": "Bytes used of the file system.",
        "NETWORK_RECEIVE_BYTES_PER_SECOND": "Bytes per second received, over the two newest points.",
        "NETWORK_TRANSMIT_BYTES_PER_SECOND": "Bytes per second sent, over the two newest points.",
        "CPU_PERCENT": "CPU in percent (0 to 100 and more), as `cpuPercent` has it.",
        "MEMORY_PERCENT": "Memory in percent (0 to 100 and more), as `memoryPercent` has it.",
    },
)
_register(
    Direction,
    "Which end of an order comes first. Nulls come last in both.",
    {"ASC": "Smallest, earliest, A first.", "DESC": "Largest, latest, Z first."},
)
_register(
    EventType,
    "What happened to an object, as a subscription sees it.",
    {
        "ADDED": "It is there, or started to match the filter.",
        "MODIFIED": "Something that the subscription selects has changed.",
        "DELETED": "It is gone, or stopped to match the filter; this is its last state.",
    },
)
_register(
    Aggregate,
    "How the points of one step become one value.",
    {
        "MEAN": "Their mean.",
        "MIN": "The smallest.",
        "MAX": "The largest.",
        "LAST": "The newest.",
        "P50": "The median (nearest rank).",
        "P95": "The 95th percentile (nearest rank).",
        "P99": "The 99th percentile (nearest rank).",
    },
)
_register(
    PodColumn,
    "Columns pods can be ordered by.",
    {
        "NAME": "Name.",
        "NAMESPACE": "Namespace.",
        "CLUSTER": "Cluster name.",
        "NODE": "Node name; pods without a node come last.",
        "PHASE": "Phase.",
        "STATUS": "Status text.",
        "RESTARTS": "Restarts of all containers.",
        "CREATED_AT": "Time of creation.",
    },
    name="PodOrderField",
)
_register(
    NodeColumn,
    "Columns nodes can be ordered by.",
    {"NAME": "Name.", "CLUSTER": "Cluster name.", "STATUS": "Status text.", "CREATED_AT": "Time of creation."},
    name="NodeOrderField",
)
_register(
    SearchKind,
    "Kinds that are searched; of equal matches those of earlier ones come first.",
    {
        "CLUSTER": "By their names.",
        "NAMESPACE": "By their names and labels.",
        "NODE": "By their names, labels and addresses; for who reaches all namespaces of their cluster.",
        "WORKLOAD": "By their names, namespaces, labels and images.",
        "POD": "By their names, namespaces, nodes, labels, addresses and images.",
    },
)
_register(
    SearchField,
    "What of an object matches a search.",
    {
        "NAME": "Its name; of a cluster one of its names.",
        "NAMESPACE": "The namespace it is in.",
        "NODE": "The node it runs on.",
        "LABEL": "The value of a label, or its key where the value is empty; both where the text has an `=`.",
        "ADDRESS": "An IP address or a host name.",
        "IMAGE": "The image of one of its containers.",
    },
)
_register(
    WorkloadColumn,
    "Columns workloads can be ordered by.",
    {
        "NAME": "Name.",
        "NAMESPACE": "Namespace.",
        "CLUSTER": "Cluster name.",
        "KIND": "Kind.",
        "CREATED_AT": "Time of creation; those of which only their pods are known come last.",
        "DESIRED": "Pods it is to have.",
        "UNAVAILABLE": "How many of these are not available.",
        "RESTARTS": "Restarts of all containers of its pods.",
    },
    name="WorkloadOrderField",
)
_register(
    RolloutState,
    "Where a workload is between what is asked of it and what there is.",
    {
        "COMPLETE": "All is as asked for: kubectl calls it successfully rolled out. A Job has succeeded, no Job of a "
        "CronJob runs.",
        "PROGRESSING": "Pods are being made, replaced or waited for. A Job runs.",
        "STALLED": "A Deployment got no further within its progress deadline.",
        "PAUSED": "A paused Deployment; a suspended Job or CronJob.",
        "FAILED": "A Job has failed.",
    },
)
_register(
    ProblemSeverity,
    "How much a problem matters.",
    {"CRITICAL": "Something does not work.", "WARNING": "Something may stop working, or has ended badly."},
    name="ProblemSeverity",
)
_register(
    ProblemCause,
    "What problems are grouped by.",
    {
        "CLUSTER_UNAVAILABLE": "A cluster does not answer, refuses the credential, or says that it is not ready.",
        "NODE_NOT_READY": "A node's condition Ready is not True.",
        "OUT_OF_MEMORY": "A container was killed for want of memory, and is not restarted yet or crashes on.",
        "CRASH_LOOP": "A container ends again and again: CrashLoopBackOff.",
        "IMAGE_PULL": "An image can't be pulled, or its name can't be read.",
        "CONTAINER_CONFIG": "A container can't be created or started: a ConfigMap, a Secret, a command is missing.",
        "FAILED_MOUNT": "A pod does not start, and an event says that a volume can't be attached or mounted.",
        "UNSCHEDULABLE": "A pod fits on no node; `reason` is what the scheduler says, without numbers.",
        "ROLLOUT_STALLED": "A Deployment got no further within its progress deadline.",
        "JOB_FAILED": "A Job has failed.",
        "NODE_PRESSURE": "A node runs short of memory, disk or processes, or has no network.",
        "EVICTED": "A pod was evicted from its node.",
        "POD_FAILED": "A pod has failed.",
        "POD_NOT_READY": "A pod runs, and some of its containers are not ready for a minute or more.",
        "POD_STARTING": "A pod has been starting, or waiting for a node, for a minute or more.",
        "POD_TERMINATING": "A pod is still there a minute after its grace period was over.",
    },
    name="ProblemCause",
)
_register(
    Role,
    "What somebody may do; each role includes those before it.",
    {
        "VIEW": "Read, but no Secrets.",
        "EDIT": "Also write, read logs and run commands.",
        "ADMIN": "Anything.",
    },
)

__all__ = [
    "Aggregate",
    "ClusterHealth",
    "ClusterRole",
    "Direction",
    "EventType",
    "MissingAmount",
    "NodeColumn",
    "NodeGroupColumn",
    "NodeGroupField",
    "OnUnavailable",
    "OutcomeState",
    "PercentOf",
    "PodColumn",
    "PodGroup",
    "PodGroupColumn",
    "PodGroupField",
    "PodPhase",
    "ProblemCause",
    "ProblemSeverity",
    "ResourceField",
    "Role",
    "RolloutState",
    "SearchField",
    "SearchKind",
    "UsageField",
    "WorkloadColumn",
]
