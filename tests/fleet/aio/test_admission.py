"""A few requests are worked on at a time; what would wait in vain is refused, and nobody's flood takes all places."""

import asyncio
from math import inf

import pytest

from fleet.aio.admission import Admission, AdmissionOptions, Rank
from fleet.aio.tasks import end_tasks
from fleet.model.errors import Overloaded, TooManyRequests
from tests.fakes.waiting import until

FULL = AdmissionOptions(places=4, most=4, wait_seconds=0.02)


async def enter(admission: Admission, *callers: str) -> None:
    for caller in callers:
        await admission.enter(caller, inf)


async def test_one_caller_never_has_the_last_place() -> None:
    admission = Admission(FULL)
    await enter(admission, *["often"] * 3)
    with pytest.raises(Overloaded):
        await enter(admission, "often")
    await enter(admission, "once")
    assert admission.refusals.count == 1


async def test_who_floods_is_told_that_it_is_its_own_and_others_that_it_is_not() -> None:
    admission = Admission(FULL)
    await enter(admission, *["often"] * 3, "once")
    flood = [asyncio.create_task(admission.enter("often", inf, Rank.BULK)) for _ in range(20)]
    await until(lambda: admission.waiting == 20)
    with pytest.raises(TooManyRequests, match="20 other requests of yours"):
        await enter(admission, "often")
    with pytest.raises(Overloaded, match="try again soon"):
        await enter(admission, "other")
    await end_tasks(*flood)
    assert admission.waiting == 0


async def test_lower_ranks_wait_for_higher_ones_whoever_came_first() -> None:
    admission = Admission(AdmissionOptions(places=2, most=2, wait_seconds=inf))
    await enter(admission, "a", "b")
    begun: list[Rank] = []

    async def take(caller: str, rank: Rank) -> None:
        await admission.enter(caller, inf, rank)
        begun.append(rank)
        admission.leave(caller)

    waiting = [asyncio.create_task(take(f"c{rank}", rank)) for rank in reversed(Rank)]
    await until(lambda: admission.waiting == 3)
    admission.leave("a")
    await asyncio.gather(*waiting)
    assert begun == sorted(begun)


async def test_while_the_process_is_idle_more_is_begun_a_quarter_of_it_for_others() -> None:
    admission = Admission(AdmissionOptions(places=2, most=40, wait_seconds=inf))
    flood = [asyncio.create_task(admission.enter("often", inf)) for _ in range(60)]
    await until(lambda: sum(task.done() for task in flood) == 30)
    await enter(admission, *["once"] * 10)
    assert (admission.at_work, sum(task.done() for task in flood)) == (40, 30)
    for _ in range(30):
        admission.leave("often")
    await asyncio.gather(*flood)


async def test_what_arrived_too_long_ago_is_not_begun() -> None:
    admission = Admission()
    with pytest.raises(Overloaded, match="waited for longer"):
        await admission.enter("late", asyncio.get_running_loop().time() - 1)
