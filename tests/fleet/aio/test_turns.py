"""Pieces of long work, each in a turn of the event loop of its own."""

import asyncio

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
