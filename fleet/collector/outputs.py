"""Where the collector writes: each store has a buffer in front of it, so that none holds up a round or another store.

A buffer keeps deliveries in order, packed while its store is behind. What a store does not take now is tried again;
where more waits than may, the oldest goes first. It is memory: what waits when the server ends has seconds more, and is
gone when it is killed.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NoReturn

import zstandard
from msgspec import Struct

from fleet.aio.backoff import Backoff
from fleet.aio.complaints import Complaints
from fleet.aio.tasks import open_task
from fleet.model.errors import MetricsUnavailable, PointsRefused
from fleet.model.objects import NodeKey, PodKey
from fleet.model.told import detail_of
from fleet.model.usage import Point
from fleet.ports import PointStore
from fleet.replication.usage import Nodes, Pods, decode_usage, encode_usage

logger = logging.getLogger(__name__)

_BEHIND_SECONDS = 5.0
_MOST_PLAIN = 4 << 20  # of a body of usage, which has 900 KB
_POINT_BYTES = 700  # of a point that is not packed, with its key


class BufferOptions(Struct, frozen=True):
    """What may wait: bytes, and seconds; and for how many seconds what waits is still written when the server ends."""

    most_bytes: int = 64 << 20
    max_age: float = 3600.0
    last_seconds: float = 2.0


class Delivery(Struct, frozen=True):
    """Points of one cluster as they were collected, or packed; `at` is in the loop's time."""

    points: int
    at: float
    whole: tuple[Pods, Nodes] | None
    cluster: str = ""
    bodies: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        return sum(map(len, self.bodies)) if self.whole is None else self.points * _POINT_BYTES

    def pack(self) -> "Delivery":
        pods, nodes = self.unpack()
        cluster = pods[0][0].cluster if pods else nodes[0][0].cluster
        bodies = tuple(zstandard.compress(body, 1) for body in encode_usage(pods, nodes))
        return Delivery(self.points, self.at, None, cluster, bodies)

    def unpack(self) -> tuple[Pods, Nodes]:
        if self.whole is not None:
            return self.whole
        parts = [decode_usage(zstandard.decompress(body, _MOST_PLAIN), self.cluster) for body in self.bodies]
        return [pod for pods, _ in parts for pod in pods], [node for _, nodes in parts for node in nodes]


class Buffer:
    """The deliveries that one store has not taken yet. Counts points: those `written`, and those `lost`.

    `problem` says, to operators, why the store takes none now.
    """

    def __init__(self, name: str, store: PointStore, options: BufferOptions) -> None:
        self.name = name
        self.written = 0
        self.lost = 0
        self.waiting_bytes = 0
        self._store = store
        self._options = options
        self._waiting: deque[Delivery] = deque()
        self._some = asyncio.Event()
        self.problem: str | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._complaints = Complaints()

    @property
    def waiting_seconds(self) -> float:
        """For how long the oldest delivery has waited."""
        return asyncio.get_running_loop().time() - self._waiting[0].at if self._waiting else 0.0

    @property
    def is_behind(self) -> bool:
        """Whether what is collected will wait for a while."""
        return self.problem is not None or self.waiting_seconds > _BEHIND_SECONDS

    def put(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self.waiting_bytes += delivery.size
        self._idle.clear()
        self._some.set()
        self._cut()

    async def run(self) -> NoReturn:
        """Writes what waits, oldest first."""
        backoff = Backoff(first=0.5, last=10.0)
        while True:
            await self._some.wait()
            if not self._waiting:
                self._some.clear()
                self._idle.set()
                continue
            delivery = self._take()
            try:
                whole = delivery.whole
                pods, nodes = await asyncio.to_thread(delivery.unpack) if whole is None else whole
                await self._store.write(pods, nodes)
            except (PointsRefused, ValueError) as error:
                self._lose(delivery.points, f"{self.name} refuses them: {detail_of(error)}")
            except MetricsUnavailable as error:
                self._note_failure(error)
                self._put_back(delivery)
                await asyncio.sleep(max(backoff.next_delay(), getattr(error, "retry_after", 0.0)))
            except BaseException:  # the server ends, or the task begins anew: a point replaces its like
                self._put_back(delivery)
                raise
            else:
                self.written += delivery.points
                self._note_success(backoff)

    async def end(self) -> None:
        """Gives what waits its last seconds, where the store takes any."""
        if self.problem is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.last_seconds):
                    await self._idle.wait()

    def tell_left(self) -> None:
        """What nobody will write any more."""
        if points := sum(delivery.points for delivery in self._waiting):
            logger.warning("%d points that %s did not take are lost, as the server ends", points, self.name)

    def _take(self) -> Delivery:
        delivery = self._waiting.popleft()
        self.waiting_bytes -= delivery.size
        return delivery

    def _put_back(self, delivery: Delivery) -> None:
        self._waiting.appendleft(delivery)
        self.waiting_bytes += delivery.size
        self._cut()

    def _cut(self) -> None:
        options, lost = self._options, 0
        # The newest may be larger than all that may wait.
        while (len(self._waiting) > 1 and self.waiting_bytes > options.most_bytes) or (
            self.waiting_seconds > options.max_age
        ):
            lost += self._take().points
        if lost:
            words = f"what waits for {self.name} has reached {options.most_bytes} bytes or {options.max_age:g} s"
            self._lose(lost, f"{words}, and the oldest goes first")

    def _lose(self, points: int, why: str) -> None:
        self.lost += points
        if self._complaints.is_due("lost", why):
            logger.warning("%d points of usage are lost so far: %s", self.lost, why)

    def _note_success(self, backoff: Backoff) -> None:
        backoff.reset()
        self.problem = None
        if self._complaints.settle("store"):
            logger.info("usage is written to %s again", self.name)

    def _note_failure(self, error: MetricsUnavailable) -> None:
        self.problem = detail_of(error)
        if self._complaints.is_due("store", type(error).__name__):
            logger.warning("usage is not written to %s now, and waits: %s", self.name, detail_of(error))


class Outputs:
    """A `PointStore` that keeps each delivery for all buffers, and waits for none of their stores.

    `newest` is memory, and has it at once.
    """

    def __init__(self, newest: PointStore | None, buffers: Sequence[Buffer]) -> None:
        self.buffers = buffers
        self._newest = newest

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return self._newest is None and not self.buffers

    async def write(self, pods: Iterable[tuple[PodKey, Point]], nodes: Iterable[tuple[NodeKey, Point]]) -> None:
        """Of one cluster."""
        at, of_pods, of_nodes = asyncio.get_running_loop().time(), list(pods), list(nodes)
        if self._newest is not None:
            await self._newest.write(of_pods, of_nodes)
        if not (self.buffers and (of_pods or of_nodes)):
            return
        whole = Delivery(len(of_pods) + len(of_nodes), at, (of_pods, of_nodes))
        late = [buffer for buffer in self.buffers if buffer.is_behind]
        packed = await asyncio.to_thread(whole.pack) if late else whole
        for buffer in self.buffers:
            buffer.put(packed if buffer in late else whole)


@contextlib.asynccontextmanager
async def open_outputs(
    newest: PointStore | None, stores: Iterable[tuple[str, PointStore]], options: BufferOptions
) -> AsyncIterator[Outputs]:
    """Writes to the stores until the `with` is left, each by the name it is told of by."""
    async with contextlib.AsyncExitStack() as stack:
        buffers = []
        for name, store in stores:
            buffer = Buffer(name, store, options)
            stack.callback(buffer.tell_left)
            await stack.enter_async_context(open_task(f"write usage to {name}", buffer.run))
            stack.push_async_callback(buffer.end)
            buffers.append(buffer)
        yield Outputs(newest, buffers)
