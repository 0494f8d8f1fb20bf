"""What a server pushes arrives whole and in order, however slow this process is and whatever is lost on the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fleet.aio.turns import Turns
from fleet.replication.connection import Nats, open_nats
from fleet.replication.delivery import Delivery, open_delivery
from fleet.replication.options import NatsOptions
from realfleet.nats import NatsServer
from tests.fakes.shared_state import EAST, HandWriter, SlowTurns, open_writer
from tests.fakes.waiting import until
from tests.required import both_versions

BODY = b"x" * 9_000
COUNT = 10_000
AHEAD = 32 * 1024 * 1024
"""Bytes that a server sends before it waits for an answer."""


class Reader:
    """Takes in what is delivered, and goes on from there where something is missing."""

    def __init__(self, nats: Nats, turns: Turns, most_waiting: int) -> None:
        self.sequences: list[int] = []
        self.deliveries = 0
        self.most_waiting = 0
        self.fails_at = 0
        self._nats = nats
        self._turns = turns
        self._bound = most_waiting
        self._delivery: Delivery | None = None

    async def run(self) -> None:
        await self._nats.wait_connected()
        while True:
            start = self.sequences[-1] + 1 if self.sequences else None
            self.deliveries += 1
            async with open_delivery(self._nats, EAST, start, self._take, self._turns, self._bound) as delivery:
                self._delivery = delivery
                await delivery.run()

    def _take(self, subject: str, body: bytes, sequence: int, stamp: float) -> None:
        if sequence == self.fails_at:
            self.fails_at = 0
            raise ValueError("it can't be taken in")
        self.sequences.append(sequence)
        assert self._delivery is not None
        self.most_waiting = max(self.most_waiting, self._delivery.waiting_bytes)


@asynccontextmanager
async def open_reader(url: str, turns: Turns, most_waiting: int) -> AsyncIterator[tuple[HandWriter, Reader]]:
    async with (
        open_writer(url) as writer,
        open_nats(NatsOptions(servers=(url,), replica="a")) as nats,
    ):
        await writer.make_stream()
        for number in range(COUNT):
            await writer.client.publish(EAST.of("pods", ("shop", f"p{number}")), BODY)
        await writer.client.flush()
        reader = Reader(nats, turns, most_waiting)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(reader.run())
            yield writer, reader
            task.cancel()


@both_versions
async def test_a_server_sends_no_faster_than_is_read(nats_server: NatsServer) -> None:
    async with open_reader(nats_server.url, SlowTurns(0.05), most_waiting=0) as (_, reader):
        await until(lambda: len(reader.sequences) == COUNT)
        assert (reader.sequences, reader.deliveries) == (list(range(1, COUNT + 1)), 1)
        assert reader.most_waiting < AHEAD + 2 * 1024 * 1024


async def test_what_is_dropped_because_too_much_waits_is_asked_for_again(nats_server: NatsServer) -> None:
    async with open_reader(nats_server.url, SlowTurns(0.005), most_waiting=1_000_000) as (_, reader):
        await until(lambda: len(reader.sequences) == COUNT)
        assert (reader.sequences, reader.deliveries > 1) == (list(range(1, COUNT + 1)), True)


async def test_what_could_not_be_taken_in_comes_again(nats_server: NatsServer) -> None:
    async with open_reader(nats_server.url, Turns(), most_waiting=0) as (_, reader):
        reader.fails_at = COUNT // 2
        await until(lambda: len(reader.sequences) == COUNT)
        assert (reader.sequences, reader.deliveries) == (list(range(1, COUNT + 1)), 2)
