"""Callers take turns at dear work; what is gone takes none."""

import asyncio
import random

import pytest

from fleet.aio.fair import FairPlaces, Full
from fleet.aio.tasks import end_tasks
from tests.fakes.waiting import until


async def wait_for_places(places: FairPlaces, *callers: str) -> "tuple[list[str], list[asyncio.Task[None]]]":
    """Tasks that wait, in this order, and the callers in the order in which they are given a place."""
    served: list[str] = []

    async def take(caller: str) -> None:
        await places.take(caller)
        served.append(caller)

    tasks = [asyncio.create_task(take(caller)) for caller in callers]
    await asyncio.sleep(0)
    return served, tasks


async def test_a_caller_who_asks_often_waits_for_itself() -> None:
    places = FairPlaces(1, most=100, most_of_one=50)
    await places.take("often")
    served, tasks = await wait_for_places(places, *["often"] * 20, "once")
    places.release("often")
    given: list[str] = []
    while len(given) < len(tasks):
        await until(lambda: len(served) > len(given))
        given.append(served[len(given)])
        places.release(given[-1])
    await asyncio.gather(*tasks)
    assert served.index("once") <= 1


async def test_who_is_gone_takes_no_turn_and_loses_no_place() -> None:
    places = FairPlaces(1, most=100, most_of_one=50)
    await places.take("here")
    served, tasks = await wait_for_places(places, "gone", "gone", "here")
    places.release("here")  # the first has its place, and learns of its end before it learns of that
    await end_tasks(*tasks[:2])
    await tasks[2]
    places.release("here")
    await places.take("later")
    assert (served, len(places)) == (["here"], 0)


async def test_a_full_house_makes_room_for_a_shorter_line() -> None:
    places = FairPlaces(1, most=4, most_of_one=3)
    await places.take("a")
    served, tasks = await wait_for_places(places, "a", "a", "a", "a", "b", "c")
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0)
    refused = [number for number, task in enumerate(tasks) if task.done() and isinstance(task.exception(), Full)]
    assert (refused, len(places), served) == ([2, 3], 4, [])
    with pytest.raises(Full):
        await places.take("a")
    await end_tasks(*tasks)


@pytest.mark.parametrize("caller", ["a", ""])
async def test_who_is_refused_and_gone_at_once_gives_back_nothing(caller: str) -> None:
    places = FairPlaces(1, most=2, most_of_one=2)
    await places.take(caller)
    served, tasks = await wait_for_places(places, caller, caller, "b")
    tasks[1].cancel()  # it has made room for b, and was not told yet
    await asyncio.wait(tasks[1:2])
    assert (served, places.held, len(places)) == ([], 1, 2)
    places.release(caller)
    await tasks[0]
    assert (places.held, places.take_free("c")) == (1, False)
    await end_tasks(*tasks)


async def test_who_is_gone_already_makes_room_and_ends_nobody_s_turns() -> None:
    places = FairPlaces(1, most=1, most_of_one=2)
    await places.take("a")
    served, tasks = await wait_for_places(places, "a")
    late = asyncio.create_task(places.take("b", -1))
    tasks[0].cancel()  # what it waits for is cancelled at once, and it learns of that after b came
    await asyncio.wait(tasks)
    assert not late.done()
    places.release("a")
    await late
    assert (served, places.held, len(places)) == ([], 1, 0)


async def test_however_callers_come_and_go_no_place_is_lost_or_made() -> None:
    chance = random.Random(1)
    places = FairPlaces(3, most=4, most_of_one=3, held_of_one=2)

    async def work(caller: str, rank: int, turns: int) -> None:
        await places.take(caller, rank)
        try:
            for _ in range(turns):
                await asyncio.sleep(0)
        finally:
            places.release(caller)

    tasks: list[asyncio.Task[None]] = []
    for _ in range(5_000):
        tasks.append(asyncio.create_task(work(chance.choice("abc"), chance.randrange(3), chance.randrange(4))))
        if places.waited_for and chance.random() < 0.1:
            places.lend(5)
        if chance.random() < 0.5:
            chance.choice(tasks[-8:]).cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(end) for end in ends} == {type(None), asyncio.CancelledError, Full}
    assert (places.held, places.lent, len(places)) == (0, 0, 0)
    assert [places.take_free(name) for name in "abcd"] == [True] * 3 + [False]
