"""Events. Source: Kubernetes API, core/v1 Event; those of events.k8s.io/v1 are the same objects under other names."""

import msgspec

from fleet.kubernetes.codec.convert import interned, parse_time
from fleet.kubernetes.codec.wire import Wire
from fleet.model.kube_objects import Event, Subject

_MOST_COUNTED = 2**31 - 1  # as the API has it; a server that says more is not believed


def build_event(raw: bytes, cluster: str) -> Event:
    """Raises msgspec.MsgspecError."""
    wire = _DECODER.decode(raw)
    series, metadata, involved = wire.series or _Series(), wire.metadata, wire.involved_object
    created = metadata.creation_timestamp
    kind, subject_namespace = interned(involved.kind) or "", interned(involved.namespace) or ""
    return Event(
        namespace=interned(metadata.namespace) or "",
        name=metadata.name,
        type=interned(wire.type) or "",
        reason=interned(wire.reason) or "",
        message=wire.message,
        count=max(0, min(series.count or wire.count or 1, _MOST_COUNTED)),
        first_seen=parse_time(wire.first_timestamp or wire.event_time or created),
        last_seen=parse_time(series.last_observed_time or wire.last_timestamp or wire.event_time or created),
        source=interned(wire.source.component or wire.reporting_component),
        regarding=Subject(cluster, subject_namespace, kind, involved.name, involved.uid),
    )


class _Reference(Wire, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class _Source(Wire, frozen=True):
    component: str = ""


class _Series(Wire, frozen=True):
    count: int | None = None
    last_observed_time: str | None = None


class _EventMetadata(Wire, frozen=True):
    name: str = ""
    namespace: str = ""
    creation_timestamp: str | None = None


class _WireEvent(Wire, frozen=True):
    involved_object: _Reference
    metadata: _EventMetadata = _EventMetadata()
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = None
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    source: _Source = _Source()
    reporting_component: str = ""
    series: _Series | None = None


_DECODER = msgspec.json.Decoder(_WireEvent)
