"""What a server pushes of a stream: in order, each message once, and held back where this process is slower.

A consumer of the server's, made for this and gone with it. Flow control is answered where its request stands among the
messages, so that what waits here is bounded by the server's window and nothing is dropped for a slow consumer.
Source: ADR-9 and ADR-15 of nats-architecture-and-design.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from fleet.aio.turns import Pace, Turns
from fleet.replication.connection import Nats, translated
from fleet.replication.subjects import Subjects

if TYPE_CHECKING:
    from nats.aio.subscription import Subscription

Take = Callable[[str, bytes, int, float], None]
"""Takes in a message: its subject, its body, its sequence in the stream, and its time by the server's clock."""

_BEAT_SECONDS = 1.0
_SILENCE_SECONDS = 3.0
_FORGOTTEN_SECONDS = 5.0
MOST_WAITING = 128 * 1024 * 1024
"""Bytes; a server sends at most 32 MiB ahead."""


class Delivery:
    """`broken` is set once a message is missing, or the connection turned. `created` is when, by the server's clock."""

    def __init__(self, client: Client, take: Take, turns: Turns) -> None:
        self.broken = asyncio.Event()
        self._running = asyncio.Event()
        self.created = 0.0
        self._client = client
        self._take = take
        self._pace = Pace(turns)
        self._time = asyncio.get_running_loop().time
        self._heard_at = self._time()
        self._number = 0
        self.coming = 0
        self._subscription: Subscription | None = None

    @property
    def waiting_bytes(self) -> int:
        return 0 if self._subscription is None else self._subscription.pending_bytes

    @property
    def behind(self) -> int:
        """Messages that are known to come, and are not taken in yet."""
        return self.coming + (0 if self._subscription is None else self._subscription.pending_msgs)

    async def begin(self, config: ConsumerConfig, most_waiting: int) -> None:
        """Listens where the consumer of this configuration delivers to; so many bytes may wait here."""
        self._subscription = await self._client.subscribe(
            config.deliver_subject or "", cb=self._receive, pending_msgs_limit=0, pending_bytes_limit=most_waiting
        )

    async def end(self) -> None:
        self.broken.set()
        if self._subscription is not None:
            with contextlib.suppress(Error):  # the connection is gone, and with it the subscription
                await self._subscription.unsubscribe()

    async def run(self) -> None:
        """Delivers until it is broken, or nothing is heard of the server any more."""
        self._running.set()
        while (due := self._heard_at + _SILENCE_SECONDS) > self._time():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self.broken.wait()
                    return

    async def _receive(self, message: Msg) -> None:
        if self.broken.is_set():
            return
        self._heard_at = self._time()
        if not self._running.is_set():
            await self._running.wait()
        fields = message.reply.split(".")
        if fields[1:2] != ["ACK"]:
            await self._note_status(message)
            return
        # $JS.ACK.stream.consumer.delivered.sequence.number.time.pending, with domain and account behind ACK or without.
        sequence, number, stamp, coming = fields[5:9] if len(fields) == 9 else fields[7:11]
        if int(number) != self._number + 1:
            self.broken.set()
            return
        self.coming = int(coming)
        self._take(message.subject, message.data, int(sequence), int(stamp) / 1e9)
        self._number += 1  # what could not be taken in is missing
        await self._pace.wait()

    async def _note_status(self, message: Msg) -> None:
        """A heartbeat, or a question whether all before it was taken in."""
        headers = message.headers or {}
        if headers.get("Nats-Last-Consumer", str(self._number)) != str(self._number):
            self.broken.set()
        elif question := message.reply or headers.get("Nats-Consumer-Stalled"):
            await self._client.publish(question)


@contextlib.asynccontextmanager
async def open_delivery(
    nats: Nats, subjects: Subjects, start: int | None, take: Take, turns: Turns, most_waiting: int = MOST_WAITING
) -> AsyncIterator[Delivery]:
    """From a sequence on; for None, the last message of each subject and what follows. Raises StateUnavailable."""
    client, js = nats.client, nats.js
    delivery = Delivery(client, take, turns)
    config = ConsumerConfig(
        deliver_subject=client.new_inbox(),
        deliver_policy=DeliverPolicy.LAST_PER_SUBJECT if start is None else DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=start,
        filter_subject=subjects.all,
        ack_policy=AckPolicy.NONE,
        flow_control=True,
        idle_heartbeat=_BEAT_SECONDS,
        inactive_threshold=_FORGOTTEN_SECONDS,
        mem_storage=True,
        num_replicas=1,
    )
    unlisten = nats.listen(delivery.broken.set)
    try:
        with translated(f"stream {subjects.stream}"):
            await delivery.begin(config, most_waiting)
            consumer = await js.add_consumer(subjects.stream, config)
        delivery.created = 0.0 if consumer.created is None else consumer.created.timestamp()
        yield delivery
    finally:
        unlisten()
        await delivery.end()
