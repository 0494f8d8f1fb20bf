"""The rounds: every member is asked for its usage at once, and what it delivers is written as one delivery.

A member's kubelets are asked through the node proxy of its API server, since they know storage and network as well;
where that is not allowed, its `metrics.k8s.io`. A member that fails costs its own delivery, and no other's.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from msgspec import Struct

from fleet.aio.complaints import Complaints
from fleet.aio.tasks import open_task
from fleet.collector.newest import NOTHING
from fleet.collector.readings import ReadAt, Reading, decode_metrics, decode_summary
from fleet.federation import Federation
from fleet.model.errors import ClusterError, FleetError
from fleet.model.kinds import NODES
from fleet.model.objects import OnUnavailable
from fleet.model.queries import NodeFilter, PageRequest
from fleet.model.visibility import EVERYTHING
from fleet.ports import LIST_BYTES, Answer, Call, Connection, PointStore

logger = logging.getLogger(__name__)

_METRICS = "/apis/metrics.k8s.io/v1beta1"
_AT_ONCE = 8  # kubelets of one member
_RETRY_SECONDS = 300.0


class CollectorOptions(Struct, frozen=True):
    """`interval` between the beginnings of two rounds and `timeout` of a call to a member, in seconds.

    `clock` says the time in Unix nanoseconds, `is_ours` of a cluster whether it is asked here: of several replicas one
    asks it.
    """

    interval: float = 15.0
    timeout: float = 5.0
    clock: Callable[[], int] = time.time_ns
    is_ours: Callable[[str], bool] = lambda _cluster: True


class Collector:
    """Asks and writes. Made by `open_collector`; `sources` says where each cluster's usage comes from, or why not."""

    def __init__(self, federation: Federation, store: PointStore, options: CollectorOptions) -> None:
        self.sources: dict[str, str] = {}
        self._federation = federation
        self._store = store
        self._options = options
        self._complaints = Complaints()
        self._decoding = asyncio.Lock()
        self._no_kubelets_until: dict[str, float] = {}

    async def run(self) -> None:
        """Rounds for ever, from when there is something to ask.

        One that takes longer than the interval makes the next one late, never two at once.
        """
        await self._federation.wait_synced(self._options.interval)
        while True:
            begun = asyncio.get_running_loop().time()
            await self.collect()
            await asyncio.sleep(max(0.0, begun + self._options.interval - asyncio.get_running_loop().time()))

    async def collect(self) -> None:
        listed = self._federation.list_clusters(EVERYTHING)
        names = [cluster.name for cluster in listed if self._options.is_ours(cluster.name)]
        for gone in self.sources.keys() - set(names):
            del self.sources[gone]
            self._no_kubelets_until.pop(gone, None)
            self._complaints.settle(gone)
        await asyncio.gather(*(self._collect_cluster(name) for name in names))

    async def _collect_cluster(self, cluster: str) -> None:
        try:
            # A hung member must be given up before the next round, whatever the number of its nodes.
            async with asyncio.timeout(max(self._options.interval, self._options.timeout)):
                source, reading = await self._read(cluster)
            await self._store.write(reading.pods, reading.nodes)
        except TimeoutError as error:
            self._note_failure(cluster, error, "its answers took longer than a round")
        except (FleetError, ValueError) as error:
            self._note_failure(cluster, error, str(error))
        else:
            if self._complaints.settle(cluster) or self.sources.get(cluster) != source:
                logger.info("usage of cluster %s comes from %s", cluster, source)
            self.sources[cluster] = source

    def _note_failure(self, cluster: str, error: Exception, words: str) -> None:
        # Its words may count attempts: another class is another kind of trouble.
        self.sources[cluster] = f"{NOTHING}{words}"
        if self._complaints.is_due(cluster, type(error).__name__):
            logger.warning("no usage of cluster %s is collected: %s", cluster, words)

    async def _read(self, cluster: str) -> tuple[str, Reading]:
        connection = self._federation.get_connection(EVERYTHING, cluster)
        now = asyncio.get_running_loop().time()
        if self._no_kubelets_until.get(cluster, 0.0) <= now:
            reading = await self._read_kubelets(connection, cluster)
            if reading.nodes:
                return "its kubelets", reading
            self._no_kubelets_until[cluster] = now + _RETRY_SECONDS
        return "metrics.k8s.io", await self._read_metrics(connection, cluster)

    async def _read_kubelets(self, connection: Connection, cluster: str) -> Reading:
        wanted = NodeFilter(clusters=frozenset({cluster}))
        page = await self._federation.list_page(NODES, EVERYTHING, wanted, (), PageRequest(1), OnUnavailable.PARTIAL)
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def read(node: str) -> Reading | None:
            path = f"/api/v1/nodes/{quote(node, safe='')}/proxy/stats/summary"
            async with at_once:
                try:
                    answer = await self._get(connection, path)
                    at = self._read_at(answer)
                    await self._federation.turns.wait()
                    return decode_summary(answer.body, cluster, node, at)
                except (ClusterError, ValueError):
                    return None  # a node that is down is a gap; where all are, the caller asks elsewhere

        readings = await asyncio.gather(*(read(node.name) for node in page.matched))
        found = [reading for reading in readings if reading is not None]
        return Reading(
            [point for each in found for point in each.pods], [point for each in found for point in each.nodes]
        )

    async def _read_metrics(self, connection: Connection, cluster: str) -> Reading:
        nodes = await self._get(connection, f"{_METRICS}/nodes")
        pods = await self._get(connection, f"{_METRICS}/pods")

        cached, at = self._federation.pods_of((cluster,)), self._read_at(pods)

        def decode() -> Reading:
            places = {pod.key: pod.node_name for part in cached for pod in part}
            return decode_metrics(nodes.body, pods.body, cluster, places.get, at)

        async with self._decoding:
            return await asyncio.to_thread(decode)  # one answer has all pods of the member

    def _read_at(self, answer: Answer) -> ReadAt:
        try:
            date = parsedate_to_datetime(answer.headers.get("date", "")).replace(tzinfo=UTC)  # as HTTP has it
        except ValueError:
            date = None
        return ReadAt(self._options.clock(), date)

    async def _get(self, connection: Connection, path: str) -> Answer:
        answer = await connection.request(Call("GET", path, self._options.timeout, most_bytes=LIST_BYTES))
        if answer.status != 200:
            raise ClusterError(connection.cluster, f"{path} is answered with {answer.status}")
        return answer


@contextlib.asynccontextmanager
async def open_collector(
    federation: Federation, store: PointStore, options: CollectorOptions
) -> AsyncIterator[Collector]:
    collector = Collector(federation, store, options)
    async with open_task("collect usage", collector.run):
        yield collector
