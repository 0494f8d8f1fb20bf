"""The parts of Kubernetes objects that are read, shaped as they are on the wire. Source: Kubernetes API, core/v1.

Lists and maps may be null on the wire (Go's nil), therefore `| None`. A field that is not named here is skipped by the
decoder without being built. Times are RFC 3339; those that anybody may write into a status stay text, since the API
server takes the year 0, which no datetime holds (`fleet.kubernetes.codec.convert.parse_time`).
"""

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec
from msgspec import Raw, Struct, field

from fleet.model.unreadable import UNREADABLE

QuantityMap = dict[str, str | int | float]


class DecodeError(ValueError):
    """Bytes of a member that are not what the Kubernetes API promises; the message names the object where it can."""


class Wire(Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """The base of everything on the wire."""


class OwnerReference(Wire, frozen=True):
    """`metadata.ownerReferences[]`."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Metadata(Wire, frozen=True):
    """`metadata`, without annotations and managed fields."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    labels: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None


class WireCondition(Wire, frozen=True):
    """`status.conditions[]`."""

    type: str
    status: str = ""
    reason: str | None = None
    message: str | None = None
    last_transition_time: str | None = None


class Requirements(Wire, frozen=True):
    """`resources` of a container or a pod."""

    requests: QuantityMap | None = None
    limits: QuantityMap | None = None


class WireVariable(Wire, frozen=True):
    """`env[]` of a container; `value` is null where it is taken from elsewhere."""

    name: str = ""
    value: str | None = None


class WireContainer(Wire, frozen=True):
    """`spec.containers[]`, `spec.initContainers[]` and `spec.ephemeralContainers[]`."""

    name: str
    image: str = ""
    restart_policy: str | None = None
    resources: Requirements | None = None
    env: list[WireVariable] | None = None


class Waiting(Wire, frozen=True):
    """`state.waiting`."""

    reason: str = ""
    message: str | None = None


class Running(Wire, frozen=True):
    """`state.running`."""

    started_at: str | None = None


class Terminated(Wire, frozen=True):
    """`state.terminated`."""

    exit_code: int = 0
    reason: str = ""
    message: str | None = None
    started_at: str | None = None
    finished_at: str | None = None


class WireContainerState(Wire, frozen=True):
    """`state` and `lastState` of a container status; one of three at most."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


EMPTY_STATE = WireContainerState()


class ContainerStatus(Wire, frozen=True):
    """`status.containerStatuses[]`, and those of init and ephemeral containers."""

    name: str
    ready: bool = False
    restart_count: int = 0
    state: WireContainerState = EMPTY_STATE
    last_state: WireContainerState = EMPTY_STATE
    resources: Requirements | None = None
    allocated_resources: QuantityMap | None = None


class WireClaim(Wire, frozen=True):
    """`spec.resourceClaims[]` of a pod, and what its status says of the same name."""

    name: str
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None


class PodSpec(Wire, frozen=True):
    """`spec` of a pod."""

    containers: list[WireContainer] | None = None
    init_containers: list[WireContainer] | None = None
    ephemeral_containers: list[WireContainer] | None = None
    overhead: QuantityMap | None = None
    resources: Requirements | None = None
    resource_claims: list[WireClaim] | None = None


class WireTaint(Wire, frozen=True):
    """`spec.taints[]` of a node."""

    key: str
    effect: str = ""
    value: str | None = None


class WireAddress(Wire, frozen=True):
    """`status.addresses[]` of a node."""

    type: str
    address: str


class NodeInfo(Wire, frozen=True):
    """`status.nodeInfo`."""

    kubelet_version: str = ""
    os_image: str = ""
    architecture: str = ""


class NodeSpec(Wire, frozen=True):
    """`spec` of a node."""

    unschedulable: bool = False
    taints: list[WireTaint] | None = None


class NodeStatus(Wire, frozen=True):
    """`status` of a node."""

    capacity: QuantityMap | None = None
    allocatable: QuantityMap | None = None
    conditions: list[WireCondition] | None = None
    addresses: list[WireAddress] | None = None
    node_info: NodeInfo | None = None


class WireNode(Wire, frozen=True):
    """A node."""

    metadata: Metadata
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()
    kind: str = ""


class NamespaceStatus(Wire, frozen=True):
    """`status` of a namespace."""

    phase: str = ""


class WireNamespace(Wire, frozen=True):
    """A namespace."""

    metadata: Metadata
    status: NamespaceStatus = NamespaceStatus()


class Annotated(Wire, frozen=True):
    """Only the annotations of an object."""

    annotations: dict[str, str] | None = None


class WireAnnotated(Wire, frozen=True):
    """An object of which only the annotations are read."""

    metadata: Annotated


class Named(Wire, frozen=True):
    """Only the name of an object, to say which one can't be read."""

    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class WireNamed(Wire, frozen=True):
    """An object of which only the name is read."""

    metadata: Named


class ListMetadata(Wire, frozen=True):
    """`metadata` of a list."""

    resource_version: str = ""
    continue_token: str = field(default="", name="continue")


class WireList(Wire, frozen=True):
    """A list; its items stay bytes until one by one they are decoded."""

    kind: str = ""
    metadata: ListMetadata = field(default_factory=ListMetadata)
    items: list[Raw] | None = None


class WireStatus(Wire, frozen=True):
    """A Status: what the API server answers in the place of an object when something is wrong."""

    code: int | None = None
    reason: str = ""
    message: str = ""


def status_message(body: bytes) -> str:
    """What a Status says, at most 500 characters; empty where the body is none."""
    try:
        return _STATUS.decode(body).message[:500]
    except UNREADABLE:  # a proxy on the way answers in its own words
        return ""


async def read_refusal(chunks: AsyncIterator[bytes]) -> str:
    """As `refusal_text`, of a body that is still arriving: a Status is short, and comes in one piece."""
    return refusal_text(await anext(chunks, b""))


def refusal_text(body: bytes) -> str:
    """What a Status says; the beginning of a body that is none has to say what is wrong."""
    try:
        return _STATUS.decode(body).message
    except UNREADABLE:
        return body[:200].decode(errors="replace")


_STATUS = msgspec.json.Decoder(WireStatus)


class WireVersion(Wire, frozen=True):
    """What `/version` answers."""

    git_version: str


class WireEvent(Wire, frozen=True):
    """A line of a watch."""

    type: str
    object: Raw
