"""What the client of NATS raises, or fails to."""

import asyncio

import pytest

from fleet.replication.connection import StateUnavailable, translated


async def test_a_cancellation_that_comes_with_the_answer_is_not_lost() -> None:
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def ask() -> None:
        with translated("a request"):
            await asyncio.wait_for(answer, 60)

    task = asyncio.create_task(ask())
    await asyncio.sleep(0)
    answer.set_result(None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_of_the_caller_is_one() -> None:
    async def ask() -> None:
        with translated("a request"):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(), 0.01)


async def test_what_the_client_does_not_get_in_time_is_not_available() -> None:
    with pytest.raises(StateUnavailable, match="can't be reached"), translated("a request"):
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
