"""Pods: bytes to models. Source: Kubernetes API, core/v1 Pod."""

from collections.abc import Iterator
from sys import intern

import msgspec
from msgspec.structs import replace

from fleet.kubernetes.codec.convert import IMAGES, DecodeCache, as_conditions, as_owner, as_pairs, parse_time
from fleet.kubernetes.codec.depth import read_deep
from fleet.kubernetes.codec.pod_resources import container_resources, listed_amounts, resize_container
from fleet.kubernetes.codec.pod_status import is_resize_infeasible, pod_columns
from fleet.kubernetes.codec.pod_unwell import find_unwell, is_well
from fleet.kubernetes.codec.pod_wire import ListedSpec, WirePod
from fleet.kubernetes.codec.wire import (
    Annotated,
    ContainerStatus,
    DecodeError,
    OwnerReference,
    PodSpec,
    WireAnnotated,
    WireClaim,
    WireCondition,
    WireContainer,
    WireContainerState,
    WireVariable,
)
from fleet.model.errors import ClusterAnswerInvalid
from fleet.model.manifests import load_raw_manifest
from fleet.model.objects import Container, ContainerState, Owner, Pairs, Pod, PodDetails, PodPhase, ResourceClaim
from fleet.model.redaction import STILL_SECRET, EnvValues, is_literal_secret, redact_annotations
from fleet.model.unreadable import UNREADABLE

_PHASES = {phase.value: phase for phase in PodPhase}
_DECODER = msgspec.json.Decoder(WirePod)
_ANNOTATIONS = msgspec.json.Decoder(WireAnnotated)
_LABELS_DECODER = msgspec.json.Decoder(dict[str, str] | None)
_OWNERS_DECODER = msgspec.json.Decoder(list[OwnerReference] | None)
_LABELS: DecodeCache[Pairs] = DecodeCache(lambda raw: as_pairs(_LABELS_DECODER.decode(raw)))
_OWNERS: DecodeCache[Owner | None] = DecodeCache(lambda raw: as_owner(_OWNERS_DECODER.decode(raw)))

_MOST_RESTARTS = 2**31 - 1
"""What the API's own counter holds, which is of one container: the sum of several is shown as no more."""


class _DetailedStatus(msgspec.Struct, rename="camel", omit_defaults=True, frozen=True, gc=False):
    conditions: list[WireCondition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    ephemeral_container_statuses: list[ContainerStatus] | None = None
    resource_claim_statuses: list[WireClaim] | None = None


class _DetailedPod(msgspec.Struct, rename="camel", omit_defaults=True, gc=False):
    metadata: Annotated
    spec: PodSpec = PodSpec()
    status: _DetailedStatus = _DetailedStatus()
    reduced: bool = False


_DETAILS = msgspec.json.Decoder(_DetailedPod)


def decode_pod(raw: bytes) -> WirePod:
    """Reads a pod's JSON. Raises msgspec.DecodeError."""
    return _DECODER.decode(raw)


def build_pod(pod: WirePod, cluster: str, manifest: bytes) -> Pod:
    """The flat record. Raises ValueError for a quantity that is none, DecodeError for what is not as promised."""
    metadata, spec, status = pod.metadata, pod.spec, pod.status
    columns = pod_columns(pod)
    amounts = listed_amounts(pod)
    created = metadata.creation_timestamp
    return Pod(
        cluster=intern(cluster),
        namespace=intern(metadata.namespace),
        name=metadata.name,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        phase=_PHASES.get(status.phase, PodPhase.UNKNOWN),
        status=intern(columns.status),
        ready_containers=columns.ready,
        total_containers=columns.total,
        restarts=min(columns.restarts, _MOST_RESTARTS),
        created_at=0.0 if created is None else created.timestamp(),
        node_name=intern(spec.node_name) if spec.node_name else None,
        pod_ip=status.pod_ip or None,
        host_ip=intern(status.host_ip) if status.host_ip else None,
        qos_class=intern(status.qos_class) if status.qos_class else None,
        service_account=intern(spec.service_account_name),
        restart_policy=intern(spec.restart_policy),
        scheduler_name=intern(spec.scheduler_name),
        labels=_LABELS.decode(metadata.labels) if metadata.labels else (),
        owner=_OWNERS.decode(metadata.owner_references) if metadata.owner_references else None,
        requests=amounts.requests,
        limits=amounts.limits,
        manifest=manifest,
        images=IMAGES.intern(_images_of(spec)),
        missing=amounts.missing,
        unwell=None if is_well(pod, columns) else find_unwell(manifest),
    )


def _images_of(spec: ListedSpec) -> tuple[str, ...]:
    images = tuple([container.image for container in spec.containers or ()])
    if not spec.init_containers and not spec.ephemeral_containers:
        return images
    others = (*(spec.init_containers or ()), *(spec.ephemeral_containers or ()))
    return (*images, *(container.image for container in others))


def pod_details(pod: Pod) -> PodDetails:
    """Annotations, containers (init ones first, ephemeral ones last), conditions and claims, from the pod's manifest.

    Annotations are not redacted. Raises ClusterAnswerInvalid where they are not as the Kubernetes API promises.
    """
    try:
        detailed = read_deep(_DETAILS.decode, load_raw_manifest(pod.manifest))
        return PodDetails(
            annotations=as_pairs(detailed.metadata.annotations),
            containers=_build_containers(detailed),
            conditions=as_conditions(detailed.status.conditions),
            resource_claims=_build_claims(detailed),
        )
    except UNREADABLE as error:
        message = f"pod {pod.namespace}/{pod.name} of {pod.cluster} can't be read: {error}"
        raise ClusterAnswerInvalid(pod.cluster, message) from error


def annotations_of(manifest: bytes) -> Pairs:
    """An object's annotations, not redacted, from its compressed manifest. Raises DecodeError where it is no object."""
    try:
        return as_pairs(read_deep(_ANNOTATIONS.decode, load_raw_manifest(manifest)).metadata.annotations)
    except UNREADABLE as error:
        raise DecodeError(f"not an object's manifest: {error}") from error


def reduce_manifest(raw: bytes, env: EnvValues) -> bytes:
    """The JSON of a pod or node reduced to what its details are made of. Raises msgspec.DecodeError.

    Annotations are as answers show them, and of variables there is no value: that one is a secret can still be seen.
    """
    detailed = _DETAILS.decode(raw)
    detailed.metadata = Annotated(dict(redact_annotations(as_pairs(detailed.metadata.annotations), env)) or None)
    detailed.spec = replace(
        detailed.spec,
        containers=_without_values(detailed.spec.containers),
        init_containers=_without_values(detailed.spec.init_containers),
        ephemeral_containers=_without_values(detailed.spec.ephemeral_containers),
    )
    detailed.reduced = True
    return msgspec.json.encode(detailed)


def _without_values(containers: list[WireContainer] | None) -> list[WireContainer]:
    return [
        replace(each, env=[WireVariable(name, STILL_SECRET) for name in _literal_secrets(each)])
        for each in containers or ()
    ]


def _build_claims(pod: _DetailedPod) -> tuple[ResourceClaim, ...]:
    """A claim that is named, or the one that was made from its template."""
    made = {entry.name: entry.resource_claim_name for entry in pod.status.resource_claim_statuses or ()}
    return tuple(
        ResourceClaim(entry.name, entry.resource_claim_name or made.get(entry.name), entry.resource_claim_template_name)
        for entry in pod.spec.resource_claims or ()
    )


def _build_containers(pod: _DetailedPod) -> tuple[Container, ...]:
    spec, status = pod.spec, pod.status
    infeasible = is_resize_infeasible(status.conditions or ())
    return (
        *_join(spec.init_containers, status.init_container_statuses, infeasible, init=True),
        *_join(spec.containers, status.container_statuses, infeasible),
        *_join(spec.ephemeral_containers, status.ephemeral_container_statuses, infeasible, ephemeral=True),
    )


def _join(
    containers: list[WireContainer] | None,
    statuses: list[ContainerStatus] | None,
    infeasible: bool,
    *,
    init: bool = False,
    ephemeral: bool = False,
) -> Iterator[Container]:
    """One of the three lists of a pod, each container with its status."""
    known = {entry.name: entry for entry in statuses or ()}
    for container in containers or ():
        status = known.get(container.name)
        resized = resize_container(container, status, init=init, infeasible=infeasible)
        yield _build_container(resized, status, init, ephemeral)


def _build_container(
    container: WireContainer, status: ContainerStatus | None, init: bool, ephemeral: bool
) -> Container:
    requests, limits = container_resources(container)
    return Container(
        name=container.name,
        image=container.image,
        init=init,
        ephemeral=ephemeral,
        ready=status is not None and status.ready,
        restarts=0 if status is None else status.restart_count,
        state=None if status is None else _build_state(status.state),
        last_state=None if status is None else _build_state(status.last_state),
        requests=requests,
        limits=limits,
        literal_secrets=_literal_secrets(container),
    )


def _literal_secrets(container: WireContainer) -> tuple[str, ...]:
    return tuple(entry.name for entry in container.env or () if is_literal_secret(entry.name, entry.value or ""))


def _build_state(state: WireContainerState) -> ContainerState | None:
    if state.waiting is not None:
        return ContainerState("waiting", state.waiting.reason or None, state.waiting.message)
    if state.running is not None:
        return ContainerState("running", started_at=parse_time(state.running.started_at))
    ended = state.terminated
    if ended is None:
        return None
    return ContainerState(
        "terminated",
        ended.reason or None,
        ended.message,
        ended.exit_code,
        parse_time(ended.started_at),
        parse_time(ended.finished_at),
    )
