"""The seams: what the federation needs of the world, as Protocols that `fleet.kubernetes` and `fleet.metrics` adapt."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from msgspec import Struct

from fleet.aio.counts import Calls
from fleet.model.objects import ClusterRole, K, NodeKey, Pairs, PlatformInfo, PodKey
from fleet.model.placements import Placement
from fleet.model.rights import Subject
from fleet.model.usage import Column, History, Kind, Measure, Point, TimeRange, Usage

Headers = Sequence[tuple[bytes, bytes]]
"""As they stand on the wire; those that arrived have names in lower case."""


class Answer(Struct, frozen=True):
    """A whole answer of a member: status, headers in lower case, body decoded from its content encoding."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class StreamedAnswer(Protocol):
    """An answer whose body is still arriving, byte for byte as the member sent it (no decompression)."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers:
        """Without those of the member's own connection."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing more will arrive but what `read` gives next."""

    async def read(self) -> bytes:
        """The body's next bytes; empty at its end. Raises ClusterError when the member cuts it off."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes as they arrive. Raises ClusterError when the member cuts it off."""


class Upgraded(Protocol):
    """The answer to a request to switch protocols: after a 101 a pipe of bytes, else a whole answer with its `body`.

    The pipe raises OSError where the member cuts it off.
    """

    @property
    def status(self) -> int:
        """101 where the member switches."""

    @property
    def headers(self) -> Headers:
        """Those of the switch itself are among them."""

    @property
    def body(self) -> bytes:
        """The whole body of a refusal."""

    async def read(self) -> bytes:
        """Bytes as they arrive; empty at the end."""

    async def write(self, data: bytes) -> None:
        """Sends, and waits while the member does not read."""


class Call(Struct, frozen=True):
    """What is asked of a member's API server, from the route that builds it to the wire.

    `path` starts with `/` and is sent exactly as given (already percent-encoded); `query` likewise, without `?`.
    `timeout` (s) bounds the whole answer on `request`, the wait for its head on `open_stream` and `open_upgrade`;
    `idle_timeout` (s) the silence between the chunks of a stream (None: no bound). A `body` that is still arriving is
    for `open_stream`; `upgrade` names the protocol that `open_upgrade` asks for. `most_bytes` of an answer are read by
    `request`. With `acting_for` the member carries it out as that subject's, whatever `headers` say.
    """

    method: str
    path: str
    timeout: float
    query: str = ""
    headers: Headers = ()
    body: bytes | AsyncIterator[bytes] | None = None
    idle_timeout: float | None = None
    upgrade: str = ""
    most_bytes: int = 16 << 20
    acting_for: Subject | None = None


LIST_BYTES = 64 << 20
"""What a page of a list may have: 250 objects of 256 KiB."""

PROBE_BYTES = 64 << 10
"""What may be said of health and version."""


class Connection(Protocol):
    """One member's API server: its address, its credential, its pool. Raises ClusterError and nothing of a library.

    Statuses are answers here: 404 is returned, not raised; only 401 on `request` raises ClusterUnauthorized.
    """

    cluster: str

    async def request(self, call: Call) -> Answer:
        """Sends a request and reads the whole answer (bounded in size)."""

    def open_stream(self, call: Call) -> AbstractAsyncContextManager[StreamedAnswer]:
        """Sends a request and hands over the answer as soon as its head is there; leaving the `with` ends it."""

    def open_upgrade(self, call: Call) -> AbstractAsyncContextManager[Upgraded]:
        """Asks for a switch of protocols; leaving the `with` ends the connection."""

    async def close(self) -> None: ...


class Credential(Struct, frozen=True):
    """How to reach and prove oneself to a cluster. Equal credentials need no new connection.

    `source` opens the connection; it is opaque here so that exec plugins, token files and certificates stay in
    `fleet.kubernetes`. `fingerprint` changes exactly when the connection must be made anew; `place` is the same for all
    that lead to one server, whoever signs in, and empty where that is not known.
    """

    fingerprint: str
    endpoint: str
    place: str = ""


class MemberSpec(Struct, frozen=True):
    """What a source says of one cluster.

    `problem` is set (and `credential` None) when it can't be reached as described: the message says what to mend and
    never holds a secret. `offline` is the platform's own verdict (KubeFed's Offline condition with status True), with
    its message. `other_names` are those that the source has for the same cluster: they lead to it, and give no rights.
    `labels` are sorted by key: rights may go by them.
    """

    name: str
    role: ClusterRole
    credential: Credential | None
    info: PlatformInfo = PlatformInfo()
    problem: str | None = None
    offline: str | None = None
    other_names: tuple[str, ...] = ()
    labels: Pairs = ()


@runtime_checkable
class Counted(Protocol):
    """A connection that counts its calls, by `ok`, `refused` (4xx), `error` (5xx) and `failed` (no whole answer)."""

    calls: Calls

    def count_connections(self) -> tuple[int, int]:
        """Those that are in use, and those that wait for a call."""


class Opening(Protocol):
    """Leads to clusters."""

    async def open_connection(self, spec: MemberSpec) -> Connection:
        """Opens the pool for a spec of its last snapshot. Raises ClusterUnreachable: no readable credential."""


class MemberSource(Opening, Protocol):
    """Says which clusters exist, now and after every change."""

    def snapshots(self) -> AsyncIterator[Mapping[str, MemberSpec]]:
        """Yields all clusters once they are known, and again after each change. Never ends; retries by itself."""


MAX_KUBECONFIG_BYTES = 64 * 1024


class SubmittedCluster(Struct, frozen=True):
    """The first cluster of a kubeconfig that was handed in. `kubeconfig` holds it alone, written anew, with secrets."""

    name: str
    server: str
    kubeconfig: bytes


class Registration(Struct, frozen=True):
    """What a cluster is to be called and where it is said to be; `with_address` stores its server's host beside it."""

    name: str
    platform: str
    region: str
    zone: str
    with_address: bool


class UnjoinedCluster(Struct, frozen=True):
    """A cluster that waits to be joined; what is not stored is empty."""

    name: str
    endpoint: str
    platform: str
    region: str
    zone: str


class Joining(Protocol):
    """The clusters that the host keeps for the platform to join; `host` leads to it. Raises ClusterError."""

    def read_submitted(self, content: bytes) -> SubmittedCluster:
        """What a kubeconfig says of its first cluster. Reads no file and runs nothing.

        Raises InvalidQuery, which says what to mend and holds no secret.
        """

    async def check_submitted(self, submitted: SubmittedCluster, name: str) -> None:
        """That the server it names is a Kubernetes API server and takes its credential.

        Raises InvalidQuery where the kubeconfig is at fault, other ClusterErrors where the server does not answer.
        """

    async def register(self, host: Connection, submitted: SubmittedCluster, registration: Registration) -> bool:
        """Stores it as not joined; False where the name is taken."""

    async def list_unjoined(self, host: Connection) -> list[UnjoinedCluster]:
        """All that are registered and not joined; nothing of a credential is among it."""


class ReviewedUser(Struct, frozen=True):
    """Whom a cluster takes the bearer of a token for."""

    name: str
    groups: tuple[str, ...] = ()


class Reviewing(Protocol):
    """Asks a cluster about bearer tokens."""

    async def review(self, host: Connection, token: str) -> ReviewedUser | None:
        """Whom the token is for; None for nobody. Raises ClusterError."""


class PointStore(Protocol):
    """Where points are written."""

    async def write(self, pods: Iterable[tuple[PodKey, Point]], nodes: Iterable[tuple[NodeKey, Point]]) -> None:
        """Writes one delivery, whole or not at all. Raises MetricsUnavailable."""


class MetricStore(Protocol):
    """Usage and history. One question is one query, whatever the number of objects. Raises MetricsUnavailable.

    An answer that is a `Measured` says of which clusters something may be missing.
    """

    name: str

    async def latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> Mapping[K, Usage]:
        """The newest usage of each object that has any."""

    async def history(
        self, kind: Kind, keys: frozenset[K], time_range: TimeRange, columns: frozenset[Column]
    ) -> Mapping[K, History]:
        """The columns over the time range for each object that has a point in it."""

    async def points(
        self, kind: Kind, key: PodKey | NodeKey, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[Point]:
        """Stored points of one object in [start, end), oldest first, at most `limit` (the newest ones).

        With neither start nor end: the single newest point, however old.
        """

    async def pods_on_nodes(self, keys: frozenset[NodeKey], at_ns: int) -> Mapping[NodeKey, list[Placement]]:
        """Which pods ran on each node at a time, by namespace and name; looks `GAP_NS` back and ahead of it."""

    async def placements(
        self, keys: frozenset[PodKey], *, start_ns: int, end_ns: int
    ) -> Mapping[PodKey, list[Placement]]:
        """Where each pod ran in [start, end), oldest first; a pod without a point in it has none."""

    async def check(self) -> str:
        """Asks the store something cheap and says what it is, for example `InfluxDB 1.6.7, database Metrics`."""


@runtime_checkable
class Covering(Protocol):
    """A metric store that others fill, which may call clusters by other names, or lack some."""

    async def describe_coverage(self, clusters: Collection[str]) -> str:
        """Which of the clusters it has nothing of, and what it has of none; empty where all fits.

        Raises MetricsUnavailable.
        """
