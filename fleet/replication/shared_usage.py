"""Usage between replicas: what one measured goes to the others, and what they measured into its own store."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import NoReturn

from fleet.aio.complaints import Complaints
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Point
from fleet.ports import PointStore
from fleet.replication.usage import MOST_BYTES, decode_usage, encode_usage

logger = logging.getLogger(__name__)

_HEADER_BYTES = 4096


class SharedPoints:
    """A `PointStore` that publishes each member's delivery, and writes it to the store that is this process's, if any.

    A process that writes no store reads another's, which gets what is published. `max_payload` says how many bytes NATS
    takes at once, 0 while that is not known.
    """

    def __init__(
        self,
        store: PointStore | None,
        publish: Callable[[str, list[bytes]], None],
        max_payload: Callable[[], int] = lambda: 0,
    ) -> None:
        self._store = store
        self._publish = publish
        self._max_payload = max_payload

    async def write(self, pods: Iterable[tuple[PodKey, Point]], nodes: Iterable[tuple[NodeKey, Point]]) -> None:
        """Of one member. Raises MetricsUnavailable, when it has been published."""
        of_pods, of_nodes = list(pods), list(nodes)
        clusters = {key.cluster for key, _ in of_pods[:1]} or {key.cluster for key, _ in of_nodes[:1]}
        most = min(MOST_BYTES, (self._max_payload() or MOST_BYTES + _HEADER_BYTES) - _HEADER_BYTES)
        for cluster in clusters:
            self._publish(cluster, await asyncio.to_thread(encode_usage, of_pods, of_nodes, most))
        if self._store is not None:
            await self._store.write(of_pods, of_nodes)


class UsageInbox:
    """What others measured, until it is written. Of each subject the newest is kept, so it is bounded as they are."""

    def __init__(self, store: PointStore) -> None:
        self._store = store
        self._received: dict[str, tuple[str, bytes]] = {}
        self._some = asyncio.Event()
        self._complaints = Complaints()

    def receive(self, cluster: str, subject: str, body: bytes) -> None:
        self._received[subject] = (cluster, body)
        self._some.set()

    async def run(self) -> NoReturn:
        """Writes what is received. A body that is written again changes nothing: points replace their like."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._received:
                cluster, body = self._received.pop(next(iter(self._received)))
                try:
                    await self._store.write(*await asyncio.to_thread(decode_usage, body, cluster))
                    self._complaints.settle(cluster)
                except (MetricsUnavailable, ValueError) as error:
                    if self._complaints.is_due(cluster, str(error)):
                        logger.warning("usage of cluster %s that another replica measured is lost: %s", cluster, error)
