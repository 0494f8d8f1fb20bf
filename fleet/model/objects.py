"""Frozen values the whole server speaks in.

Units: CPU in cores, memory and storage in bytes, times in Unix seconds (float) unless a name says otherwise. Records
are flat and strings that repeat (cluster, namespace, node, label keys) are interned by the decoder, because a large
fleet holds a hundred thousand of them.
"""

import enum
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias, TypeVar

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from fleet.model.workloads import Workload, WorkloadKey

Moment = Annotated[float, Meta(ge=-62_135_596_800, lt=253_402_300_800)]
"""Unix seconds that have a date, in the years 1 to 9999: held where a record of others is decoded."""


class ClusterRole(enum.Enum):
    """What a cluster is to the federation."""

    HOST = "HOST"
    MEMBER = "MEMBER"


class ClusterHealth(enum.Enum):
    """A cluster's health as this server sees it, now."""

    READY = "READY"
    NOT_READY = "NOT_READY"
    OFFLINE = "OFFLINE"
    UNKNOWN = "UNKNOWN"


class OutcomeState(enum.Enum):
    """How one cluster took part in one answer."""

    OK = "OK"
    STALE = "STALE"
    UNREACHABLE = "UNREACHABLE"
    TIMEOUT = "TIMEOUT"
    UNAUTHORIZED = "UNAUTHORIZED"
    FORBIDDEN = "FORBIDDEN"


class OnUnavailable(enum.Enum):
    """What an answer does about a cluster that can't be asked."""

    PARTIAL = "PARTIAL"
    STALE = "STALE"
    STRICT = "STRICT"


class Outcome(Struct, frozen=True, gc=False):
    """One cluster's part in an answer: `age_seconds` since it last proved itself, `took_ms` the wait for it."""

    cluster: str
    state: OutcomeState
    message: str | None = None
    age_seconds: float | None = None
    took_ms: float | None = None


class PodPhase(enum.Enum):
    """`status.phase` of a pod."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class PodKey(NamedTuple):
    """Names one pod of the federation."""

    cluster: str
    namespace: str
    name: str

    @property
    def entry(self) -> str:
        """What it is called in its store, within its namespace."""
        return self.name


class NodeKey(NamedTuple):
    """Names one node of the federation."""

    cluster: str
    name: str

    @property
    def namespace(self) -> str:
        """None, as the store of what has none writes it."""
        return ""

    @property
    def entry(self) -> str:
        return self.name


ObjectKey: TypeAlias = "PodKey | NodeKey | WorkloadKey"
K = TypeVar("K", PodKey, NodeKey)


class MissingAmount(enum.Enum):
    """What a container that keeps running can leave unsaid."""

    CPU_REQUEST = "CPU_REQUEST"
    MEMORY_REQUEST = "MEMORY_REQUEST"
    CPU_LIMIT = "CPU_LIMIT"
    MEMORY_LIMIT = "MEMORY_LIMIT"


class Resources(Struct, frozen=True, gc=False):
    """Amounts of the resources the graph knows; None where the object does not say.

    `extended` has all others (GPUs, hugepages in bytes) by name, sorted.
    """

    cpu_cores: float | None = None
    memory_bytes: int | None = None
    ephemeral_storage_bytes: int | None = None
    pods: int | None = None
    extended: tuple[tuple[str, int], ...] = ()


NO_RESOURCES = Resources()
_new = tuple.__new__


class Owner(Struct, frozen=True, gc=False):
    """The controlling owner reference of an object (`metadata.ownerReferences[controller]`, else the first)."""

    api_version: str
    kind: str
    name: str
    uid: str


class Condition(Struct, frozen=True, gc=False):
    """An entry of `status.conditions`."""

    type: str
    status: str
    reason: str | None = None
    message: str | None = None
    last_transition_at: Moment | None = None


class Taint(Struct, frozen=True, gc=False):
    """An entry of a node's `spec.taints`."""

    key: str
    value: str | None
    effect: str


class NodeAddress(Struct, frozen=True, gc=False):
    """An entry of a node's `status.addresses`."""

    type: str
    address: str


class ContainerState(Struct, frozen=True, gc=False):
    """A container's `state` or `lastState`: `kind` is running, waiting or terminated."""

    kind: str
    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None
    started_at: float | None = None
    finished_at: float | None = None


class Container(Struct, frozen=True, gc=False):
    """A container of a pod, its spec and its status joined by name."""

    name: str
    image: str
    init: bool
    ephemeral: bool
    ready: bool
    restarts: int
    state: ContainerState | None
    last_state: ContainerState | None
    requests: Resources
    limits: Resources
    literal_secrets: tuple[str, ...] = ()


class ResourceClaim(Struct, frozen=True, gc=False):
    """A device that a pod claims: the ResourceClaim, None until it is made from its template."""

    name: str
    claim_name: str | None
    template_name: str | None


Pairs = tuple[tuple[str, str], ...]


class Unwell(Struct, frozen=True, gc=False):
    """What a pod that is not well says of it: `since` it is not ready, and why, by its container or its condition.

    `deleted_at` is when it has to be gone, `out_of_memory` whether a container was killed for want of it, last or now.
    """

    since: Moment | None
    reason: str | None
    message: str | None
    deleted_at: Moment | None
    out_of_memory: bool


class Pod(Struct, frozen=True, gc=False, kw_only=True):
    """A pod as the cache keeps it: what lists, filters and orders need, flat; the rest is in `manifest`.

    `status` is what kubectl's STATUS column says. `requests` and `limits` are the effective sums the scheduler uses:
    the larger of the containers' sum (sidecars included) and the largest init container, plus overhead; a limit is None
    where any container has none. `manifest` is the whole object as the API server sent it, compressed
    (`fleet.model.manifests`). `images` are those of all its containers, as it writes them; `missing` is what one that
    keeps running does not say, and the pod does not say for all.
    """

    cluster: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    phase: PodPhase
    status: str
    ready_containers: int
    total_containers: int
    restarts: int
    created_at: Moment
    node_name: str | None
    pod_ip: str | None
    host_ip: str | None
    qos_class: str | None
    service_account: str
    restart_policy: str
    scheduler_name: str
    labels: Pairs
    owner: Owner | None
    requests: Resources
    limits: Resources
    manifest: bytes
    images: tuple[str, ...] = ()
    missing: frozenset[MissingAmount] = frozenset()
    unwell: Unwell | None = None

    @property
    def key(self) -> PodKey:
        return _new(PodKey, (self.cluster, self.namespace, self.name))  # what calling it comes to

    @property
    def owner_uid(self) -> str | None:
        return None if self.owner is None else self.owner.uid

    @property
    def wellness(self) -> str | None:
        """What those are found by that are not well."""
        return None if self.unwell is None else "unwell"

    @property
    def finished(self) -> bool:
        """Whether the pod holds no resources of its node any more."""
        return self.phase in (PodPhase.SUCCEEDED, PodPhase.FAILED)


class PodDetails(Struct, frozen=True, gc=False):
    """The parts of a pod that are read from its manifest when a query asks for them."""

    annotations: Pairs
    containers: tuple[Container, ...]
    conditions: tuple[Condition, ...]
    resource_claims: tuple[ResourceClaim, ...]


class Node(Struct, frozen=True, gc=False, kw_only=True):
    """A node as the cache keeps it. `status` is what kubectl's STATUS column says."""

    cluster: str
    name: str
    uid: str
    resource_version: str
    ready: bool
    status: str
    unschedulable: bool
    roles: tuple[str, ...]
    taints: tuple[Taint, ...]
    addresses: tuple[NodeAddress, ...]
    kubelet_version: str
    os_image: str | None
    architecture: str | None
    region: str | None
    zone: str | None
    created_at: Moment
    labels: Pairs
    conditions: tuple[Condition, ...]
    capacity: Resources
    allocatable: Resources
    manifest: bytes

    @property
    def key(self) -> NodeKey:
        return NodeKey(self.cluster, self.name)

    @property
    def namespace(self) -> str:
        return ""

    @property
    def internal_ip(self) -> str | None:
        return next((entry.address for entry in self.addresses if entry.type == "InternalIP"), None)


T = TypeVar("T", bound="Pod | Node | Workload")
"""A record of one of the kinds of `fleet.model.kinds`."""


class Namespace(Struct, frozen=True, gc=False, kw_only=True):
    """A namespace as the cache keeps it; `phase` is Active or Terminating."""

    cluster: str
    name: str
    uid: str
    resource_version: str
    phase: str
    created_at: Moment
    labels: Pairs


class PlatformInfo(Struct, frozen=True, gc=False):
    """What the platform's OpenMCPCluster and KubeFedCluster objects say of a cluster (never its kubeconfig)."""

    platform: str | None = None
    region: str | None = None
    zones: tuple[str, ...] = ()
    join_status: str | None = None


class Cluster(Struct, frozen=True, gc=False, kw_only=True):
    """A snapshot of one cluster. `message` says what is wrong and what would mend it; None while all is well.

    `other_names` are those by which it can be asked for beside its own, `labels` those of its KubeFedCluster, by key.
    """

    name: str
    role: ClusterRole
    health: ClusterHealth
    message: str | None
    version: str | None
    info: PlatformInfo
    age_seconds: float | None
    other_names: tuple[str, ...] = ()
    labels: Pairs = ()
