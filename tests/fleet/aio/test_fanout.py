"""Asking all at once."""

import asyncio

import pytest

from fleet.aio.fanout import ask_all
from fleet.model.errors import ClusterTimeout, ClusterUnreachable


async def answer(name: str) -> str:
    match name:
        case "hung":
            await asyncio.Event().wait()
        case "gone":
            raise ClusterUnreachable(name, "refused")
        case "bug":
            raise ZeroDivisionError
    return name.upper()


async def test_a_failed_one_has_its_error_in_its_place() -> None:
    answers = await ask_all(["a", "gone", "b", "hung"], answer, timeout=0.05)
    assert [*answers] == ["a", "gone", "b", "hung"]
    assert (answers["a"], answers["b"]) == ("A", "B")
    assert isinstance(answers["gone"], ClusterUnreachable)
    assert isinstance(answers["hung"], ClusterTimeout)


async def test_a_fault_of_ones_own_is_raised_and_ends_the_others() -> None:
    before = asyncio.all_tasks()
    with pytest.raises(ZeroDivisionError):
        await ask_all(["hung", "bug"], answer, timeout=5)
    assert asyncio.all_tasks() == before


async def test_nobody_asked_nobody_waited_for() -> None:
    assert await ask_all([], answer, timeout=0) == {}
