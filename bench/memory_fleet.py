"""Members that answer from this process, for fleets larger than could be simulated: pods as an API server writes them.

Pages are made when they are asked for, so that the fleet itself holds nothing. Deployments have 20 pods each; one pod
of a hundred crashes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fleet.kubernetes.codec.codec import EVENTS, NAMESPACES, NODES, WORKLOADS, Codec
from fleet.model.objects import ClusterRole, PodKey
from fleet.model.usage import Kind, Measure, Usage
from fleet.ports import Answer, Call, Credential, Headers, MemberSpec, StreamedAnswer, Upgraded

PODS_A_WORKLOAD = 20
TIERS = 10
CRASHING = 100
LABELLED = 1_000
"""So many pods have the label `team=search`, however large the fleet is."""

_STATUS = (
    b'"status":{"phase":"Running","conditions":[%s],"hostIP":"10.0.0.%d","podIP":"10.244.%d.%d","podIPs":[{"ip":'
    b'"10.244.%d.%d"}],"startTime":"%s","containerStatuses":[{"name":"main","state":{"running":{"startedAt":"%s"}},'
    b'"lastState":{},"ready":true,"restartCount":%d,"image":"registry.example/%s:1.4.2","imageID":"registry.example/%s@'
    b'sha256:%064x","containerID":"containerd://%064x","started":true}],"qosClass":"Burstable"}}'
)
_CONDITIONS = b",".join(
    b'{"type":"%s","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-03-01T10:00:00Z"}' % kind
    for kind in (b"PodReadyToStartContainers", b"Initialized", b"Ready", b"ContainersReady", b"PodScheduled")
)


# As a real API server wrote it, with the names of what differs between workloads and pods in capitals.
_BODY = Path(__file__).with_name("pod_body.txt").read_bytes().rstrip()


@lru_cache(maxsize=64)
def _build_body(workload: int, name: bytes) -> bytes:
    """What is the same for all pods of a workload."""
    body = _BODY.replace(b"OWNER", b"%08x-1111-4000-8000-000000000000" % workload).replace(b"WORKLOAD", name)
    return body.replace(b"IMAGE", b"registry.example/%s:1.%d.2" % (name, workload % 9))


def build_pod(cluster: int, number: int, total: int, labelled: int) -> bytes:
    """One pod's JSON, about as long as a real one's; `total` pods are in its cluster, `labelled` of them of a team."""
    workload, index = divmod(number, PODS_A_WORKLOAD)
    name = b"svc-%04d" % workload
    spread = (cluster * 7919 + number) * 0x9E3779B97F4A7C15 % 2**64
    created = b"2026-03-%02dT%02d:%02d:%02dZ" % (1 + spread % 28, spread % 24, spread % 60, number % 60)
    team = b"search" if number < labelled else b"team-%d" % (workload % 7)
    head = (
        b'{"metadata":{"name":"%s-%010x-%05d","generateName":"%s-%010x-","namespace":"ns-%02d","uid":"%08x-0000-4000-8000-'
        b'%012x","resourceVersion":"%d","generation":1,"creationTimestamp":"%s","labels":{"app":"%s","pod-template-hash":'
        b'"%010x","team":"%s","tier":"t%d"},"annotations":{"checksum/config":"%064x"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"%s-%010x",'
        b'"uid":"%08x-1111-4000-8000-000000000000","controller":true,"blockOwnerDeletion":true}],'
    ) % (
        *(name, workload, index, name, workload, workload % 20, spread >> 32, number, 1000 + number, created),
        *(name, workload, team, workload % TIERS),
        *(_mix(workload + 1), name, workload, workload),
    )
    body = _build_body(workload, name).replace(b"SUFFIX", b"%05x" % (spread & 0xFFFFF))
    body = body.replace(b"NODE", b"node-%03d" % (spread % max(1, total // 30)))
    place = (number >> 8 & 255, number & 255)
    status = _STATUS % (
        *(_CONDITIONS, spread % 250, *place, *place, created, created, spread % 3, name, name),
        *(_mix(workload), _mix(spread)),
    )
    if number % CRASHING == CRASHING - 1:
        status = status.replace(b'"Ready","status":"True"', b'"Ready","status":"False"').replace(
            b'"ready":true', b'"ready":false'
        )
        status = status.replace(b'"running":{"startedAt":"%s"}' % created, b'"waiting":{"reason":"CrashLoopBackOff"}')
    return head + body + status


def build_deployment(number: int) -> bytes:
    """The Deployment of a workload's pods."""
    name = b"svc-%04d" % number
    kinds = (b"replicas", b"updatedReplicas", b"readyReplicas", b"availableReplicas")
    counts = b",".join(b'"%s":20' % kind for kind in kinds)
    conditions = b",".join(
        b'{"type":"%s","status":"True","reason":"%s","message":"all is well","lastUpdateTime":"2026-03-01T10:00:00Z",'
        b'"lastTransitionTime":"2026-03-01T10:00:00Z"}' % each
        for each in ((b"Available", b"MinimumReplicasAvailable"), (b"Progressing", b"NewReplicaSetAvailable"))
    )
    return (
        b'{"metadata":{"name":"%s","namespace":"ns-%02d","uid":"%08x-2222-4000-8000-000000000000","resourceVersion":"%d",'
        b'"generation":4,"creationTimestamp":"2026-03-01T10:00:00Z","labels":{"app":"%s"}},"spec":{"replicas":20,"selector":'
        b'{"matchLabels":{"app":"%s"}},"template":{"metadata":{"labels":{"app":"%s"}},"spec":{"containers":[{"name":"main",'
        b'"image":"registry.example/%s:1.4.2"}]}}},"status":{"observedGeneration":4,%s,"conditions":[%s]}}'
    ) % (name, number % 20, number, 1000 + number, name, name, name, name, counts, conditions)


def iter_deployments(pods: int, size: int = 250) -> Iterator[bytes]:
    """The pages of a list of all Deployments of a cluster with so many pods."""
    count = -(-pods // PODS_A_WORKLOAD)
    for start in range(0, count, size):
        yield _build_deployments(start, min(start + size, count), count)


def _build_deployments(start: int, end: int, count: int) -> bytes:
    following = b"%d" % end if end < count else b""
    head = b'{"kind":"DeploymentList","metadata":{"resourceVersion":"9","continue":"%s"},"items":[%s]}'
    return head % (following, b",".join(map(build_deployment, range(start, end))))


def _mix(number: int) -> int:
    """256 bits that do not compress, as the hashes in a pod's status."""
    return int.from_bytes(sha256(number.to_bytes(8)).digest())


def iter_pages(cluster: int, pods: int, labelled: int = 0, size: int = 250) -> Iterator[bytes]:
    """The pages of a list of all pods of a cluster."""
    for start in range(0, pods, size):
        yield _build_page(cluster, start, min(start + size, pods), pods, labelled)


def _build_page(cluster: int, start: int, end: int, pods: int, labelled: int) -> bytes:
    items = b",".join(build_pod(cluster, number, pods, labelled) for number in range(start, end))
    following = b"%d" % end if end < pods else b""
    return b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9","continue":"%s"},"items":[%s]}' % (
        following,
        items,
    )


class _Silence:
    status = 200

    def __init__(self) -> None:
        self.headers: Headers = []
        self.is_whole = False

    async def read(self) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def chunks(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""


_OTHERS: tuple[Codec[Any], ...] = (NODES, NAMESPACES, EVENTS, *WORKLOADS.values())
EMPTY = {codec.path: codec.kind.encode() for codec in _OTHERS}


class MemoryConnection:
    """The `Connection` to a member of this process."""

    def __init__(self, number: int, pods: int, labelled: int) -> None:
        self.cluster = f"cluster{number:03d}"
        self._number = number
        self._pods = pods
        self._labelled = labelled

    async def request(self, call: Call) -> Answer:
        """Lists pods and Deployments; whatever else there is, there is none of."""
        asked = parse_qs(call.query)
        start, size = int(asked.get("continue", ["0"])[0]), int(asked.get("limit", ["0"])[0])
        if call.path == "/api/v1/pods":
            return Answer(200, {}, self._page(start, min(start + size, self._pods)))
        if call.path == "/apis/apps/v1/deployments":
            count = -(-self._pods // PODS_A_WORKLOAD)
            return Answer(200, {}, _build_deployments(start, min(start + size, count), count))
        if (kind := EMPTY.get(call.path)) is not None:
            return Answer(200, {}, b'{"kind":"%sList","metadata":{"resourceVersion":"9"},"items":[]}' % kind)
        return Answer(200, {}, b'{"gitVersion":"v1.36.3"}')

    def _page(self, start: int, end: int) -> bytes:
        return _build_page(self._number, start, end, self._pods, self._labelled)

    @asynccontextmanager
    async def open_stream(self, call: Call) -> AsyncIterator[StreamedAnswer]:
        """A watch on which nothing happens."""
        yield _Silence()

    def open_upgrade(self, call: Call) -> AbstractAsyncContextManager[Upgraded]:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to close."""


class MemorySource:
    """The `MemberSource` of such members."""

    def __init__(self, members: int, pods: int) -> None:
        self._pods = pods
        self._labelled = LABELLED // members
        self._specs = {
            f"cluster{number:03d}": MemberSpec(f"cluster{number:03d}", ClusterRole.MEMBER, Credential(str(number), ""))
            for number in range(members)
        }

    async def snapshots(self) -> AsyncIterator[Mapping[str, MemberSpec]]:
        """All of them, once."""
        yield self._specs
        await asyncio.Event().wait()

    async def open_connection(self, spec: MemberSpec) -> MemoryConnection:
        """At once."""
        assert spec.credential is not None
        return MemoryConnection(int(spec.credential.fingerprint), self._pods, self._labelled)


class MemoryUsage:
    """The part of a metric store that ranking needs, for every pod, and at once: its own time is not measured."""

    name = "memory"

    def __init__(self) -> None:
        self.questions = 0

    async def latest(self, kind: Kind, keys: frozenset[PodKey], measures: frozenset[Measure]) -> Mapping[PodKey, Usage]:
        """A usage of each."""
        self.questions += 1
        return {key: Usage(1, hash(key) % 100_000 / 1e5, hash(key) % (1 << 30)) for key in keys}
