"""A pod as it is on the wire, as far as its record needs it. Source: Kubernetes API, core/v1 Pod.

A hundred thousand of them come at once, so nothing is built that the record does not say. What most records need
nothing of (conditions) and what is alike in all pods of a workload (labels, owners, amounts) stays bytes, for whoever
asks to read or to recognize.
"""

from datetime import datetime

from msgspec import Raw, field

from fleet.kubernetes.codec.wire import Wire

NOTHING = Raw(b"")
"""In the place of what an object does not have."""


class PodMetadata(Wire, frozen=True):
    """`metadata`, without annotations and managed fields."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: Raw = NOTHING
    owner_references: Raw = NOTHING


class ListedContainer(Wire, frozen=True):
    """`spec.containers[]`."""

    name: str = ""
    image: str = ""
    resources: Raw = NOTHING


class ListedInitContainer(Wire, frozen=True):
    """`spec.initContainers[]`."""

    name: str
    image: str = ""
    restart_policy: str | None = None
    resources: Raw = NOTHING


class ListedImage(Wire, frozen=True):
    """`spec.ephemeralContainers[]`."""

    image: str = ""


class ListedSpec(Wire, frozen=True):
    """`spec`."""

    containers: list[ListedContainer] | None = None
    init_containers: list[ListedInitContainer] | None = None
    ephemeral_containers: list[ListedImage] | None = None
    node_name: str | None = None
    service_account_name: str = ""
    restart_policy: str = ""
    scheduler_name: str = ""
    overhead: Raw = NOTHING
    resources: Raw = NOTHING


class ListedWaiting(Wire, frozen=True):
    """`state.waiting`."""

    reason: str = ""


class ListedRunning(Wire, frozen=True):
    """`state.running`: that it is there is all that is read."""


class ListedTerminated(Wire, frozen=True):
    """`state.terminated`."""

    exit_code: int = 0
    signal: int = 0
    reason: str = ""


class ListedState(Wire, frozen=True):
    """`state` of a container status; one of three at most."""

    waiting: ListedWaiting | None = None
    running: ListedRunning | None = None
    terminated: ListedTerminated | None = None


NO_STATE = ListedState()


class ListedStatus(Wire, frozen=True):
    """`status.containerStatuses[]`. `resources` and `allocated_resources` are what a resize has come to."""

    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ListedState = NO_STATE
    resources: Raw = NOTHING
    allocated_resources: Raw = NOTHING


class ListedInitStatus(Wire, frozen=True):
    """`status.initContainerStatuses[]`."""

    name: str
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ListedState = NO_STATE
    resources: Raw = NOTHING
    allocated_resources: Raw = NOTHING


class ListedCondition(Wire, frozen=True):
    """`status.conditions[]`."""

    type: str
    status: str = ""
    reason: str | None = None


class PodStatus(Wire, frozen=True):
    """`status`."""

    phase: str = ""
    reason: str = ""
    pod_ip: str | None = field(default=None, name="podIP")
    host_ip: str | None = field(default=None, name="hostIP")
    qos_class: str | None = None
    conditions: Raw = NOTHING
    container_statuses: list[ListedStatus] | None = None
    init_container_statuses: list[ListedInitStatus] | None = None


UNSEEN_POD = PodStatus(phase="Pending")
"""Of a pod that nobody has looked at yet: some servers leave its status out until then."""


class WirePod(Wire, frozen=True):
    """A pod."""

    metadata: PodMetadata
    spec: ListedSpec = ListedSpec()
    status: PodStatus = UNSEEN_POD
    kind: str = ""
