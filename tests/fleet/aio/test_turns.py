"""Pieces of long work, each in a turn of the event loop of its own."""

import asyncio
import socket

import uvloop

from fleet.aio.turns import Turns


async def test_one_piece_is_worked_on_in_each_turn_in_the_order_of_the_calls() -> None:
    turns, number, worked = Turns(), 0, list[tuple[int, int]]()

    async def work(piece: int) -> None:
        await turns.wait()
        worked.append((piece, number))

    async with asyncio.TaskGroup() as group:
        for piece in range(5):
            group.create_task(work(piece))
        while len(worked) < 5:
            number += 1
            await asyncio.sleep(0)

    assert [piece for piece, _ in worked] == [0, 1, 2, 3, 4]
    assert len({turn for _, turn in worked}) == 5


def test_what_has_arrived_begins_before_the_next_piece() -> None:
    assert uvloop.run(find_order()) == ["answer", "piece"]  # the server's own loop


async def find_order() -> list[str]:
    loop, turns, order = asyncio.get_running_loop(), Turns(), list[str]()
    reading, writing = socket.socketpair()
    reading.setblocking(False)

    async def answer() -> None:
        order.append("answer")

    def read() -> None:
        loop.remove_reader(reading)
        loop.create_task(answer())

    with reading, writing:
        loop.add_reader(reading, read)
        await asyncio.sleep(0)
        writing.send(b"1")
        await turns.wait()
        order.append("piece")
    return order
