"""What is wrong in the federation now, in groups of one cause. Times in Unix seconds, None where nobody says."""

import enum
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from fleet.model.objects import Node, Outcome, Pod
from fleet.model.workloads import Workload


class Severity(enum.Enum):
    """How much a problem matters."""

    CRITICAL = "CRITICAL"
    WARNING = "WARNING"


class Cause(enum.Enum):
    """What problems are grouped by, the gravest first."""

    CLUSTER_UNAVAILABLE = "CLUSTER_UNAVAILABLE"
    NODE_NOT_READY = "NODE_NOT_READY"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    CRASH_LOOP = "CRASH_LOOP"
    IMAGE_PULL = "IMAGE_PULL"
    CONTAINER_CONFIG = "CONTAINER_CONFIG"
    FAILED_MOUNT = "FAILED_MOUNT"
    UNSCHEDULABLE = "UNSCHEDULABLE"
    ROLLOUT_STALLED = "ROLLOUT_STALLED"
    JOB_FAILED = "JOB_FAILED"
    NODE_PRESSURE = "NODE_PRESSURE"
    EVICTED = "EVICTED"
    POD_FAILED = "POD_FAILED"
    POD_NOT_READY = "POD_NOT_READY"
    POD_STARTING = "POD_STARTING"
    POD_TERMINATING = "POD_TERMINATING"


class Finding(NamedTuple):
    """What a rule says of one object. `reason` tells groups of one cause apart, `message` is the object's own words."""

    cause: Cause
    reason: str
    message: str | None = None
    since: float | None = None


class ProblemExample(Struct, frozen=True):
    """An object to look at; `model` is its record, None for a cluster."""

    kind: str
    cluster: str
    namespace: str
    name: str
    message: str | None
    since: float | None
    model: Pod | Node | Workload | None


class Problem(Struct, frozen=True):
    """Objects with one cause and reason. `since` is of the one that has been so longest; it is the first example."""

    cause: Cause
    severity: Severity
    title: str
    reason: str
    count: int
    clusters: tuple[str, ...]
    namespaces: tuple[str, ...]
    since: float | None
    examples: tuple[ProblemExample, ...]


class Problems(NamedTuple):
    """All problems, in order, and how each cluster took part."""

    found: Sequence[Problem]
    outcomes: Sequence[Outcome]
