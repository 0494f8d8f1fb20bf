"""Several sources as one: whose word counts, and what one that is not known does to the others."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping

import pytest

from fleet.kubernetes.connection import HttpConnection, Target
from fleet.kubernetes.sources.several import merge, open_several_sources
from fleet.kubernetes.sources.snapshots import Snapshots
from fleet.model.errors import ClusterUnreachable
from fleet.model.objects import ClusterRole
from fleet.ports import Connection, Credential, MemberSpec
from tests.fleet.kubernetes.sources.following import Follower

HOST, MEMBER = ClusterRole.HOST, ClusterRole.MEMBER


def spec(
    name: str, place: str = "", *others: str, role: ClusterRole = MEMBER, problem: str | None = None
) -> MemberSpec:
    credential = None if problem else Credential(f"{name}@{place}", f"https://{place}", place)
    return MemberSpec(name, role, credential, problem=problem, other_names=others)


def picture(*specs: MemberSpec) -> dict[str, MemberSpec]:
    return {each.name: each for each in specs}


CASES: dict[str, tuple[Iterable[MemberSpec], Iterable[MemberSpec], Iterable[MemberSpec], Iterable[str]]] = {
    "nothing in common": ([spec("a", "1")], [spec("b", "2")], [spec("a", "1"), spec("b", "2")], []),
    "a name twice": (
        [spec("a", "1")],
        [spec("a", "2"), spec("b", "3")],
        [spec("a", "1"), spec("b", "3")],
        ["cluster a is left out: that of first has its name"],
    ),
    "a name twice, the first ill": (
        [spec("a", problem="odd")],
        [spec("a", "2")],
        [spec("a", problem="odd")],
        ["cluster a is left out: that of first has its name"],
    ),
    "a name that is another's other name": (
        [spec("a", "1", "x")],
        [spec("x", "2")],
        [spec("a", "1", "x")],
        ["cluster x is left out: a of first has its name"],
    ),
    "another name that is a name": (
        [spec("a", "1")],
        [spec("b", "2", "a", "c")],
        [spec("a", "1"), spec("b", "2", "c")],
        ["the name a does not lead to b: that of first has it"],
    ),
    "one server by two names": (
        [spec("a", "1")],
        [spec("b", "1", "c")],
        [spec("a", "1", "b", "c")],
        ["cluster b is a of first, at the same server: that one is listed"],
    ),
    "one server by one name": ([spec("a", "1")], [spec("a", "1", "c")], [spec("a", "1", "c")], []),
    "one server twice in one source": ([spec("a", "1"), spec("b", "1")], [], [spec("a", "1"), spec("b", "1")], []),
    "servers that are not known": ([spec("a")], [spec("b")], [spec("a"), spec("b")], []),
    "two hosts": (
        [spec("a", "1", role=HOST)],
        [spec("b", "2", role=HOST)],
        [spec("a", "1", role=HOST), spec("b", "2")],
        ["cluster b is a member: the host is a of first"],
    ),
    "the host by two names": (
        [spec("a", "1")],
        [spec("b", "1", role=HOST)],
        [spec("a", "1", "b", role=HOST)],
        ["cluster b is a of first, at the same server: that one is listed"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_first_source_s_word_counts(case: str) -> None:
    first, second, listed, remarks = CASES[case]
    merged = merge([("first", picture(*first)), ("second", picture(*second))])
    assert (dict(merged.specs), merged.remarks) == (picture(*listed), [(), tuple(remarks)])


class Said:
    """A source of what a test says."""

    def __init__(self) -> None:
        self._snapshots = Snapshots()

    async def say(self, *specs: MemberSpec) -> None:
        await self._snapshots.publish(picture(*specs))

    def snapshots(self) -> AsyncIterator[Mapping[str, MemberSpec]]:
        return self._snapshots.follow()

    def problems(self) -> list[str]:
        return []

    async def open_connection(self, spec: MemberSpec) -> Connection:
        assert spec.credential is not None
        return HttpConnection(spec.credential.fingerprint, Target(spec.credential.endpoint))


async def test_each_source_s_clusters_come_and_go_and_are_opened_by_it() -> None:
    first, second = Said(), Said()
    async with open_several_sources([("first", first), ("second", second)], wait_seconds=60) as source:
        follower = Follower(source)
        await second.say(spec("a", "2"), spec("b", "3"))
        await first.say(spec("a", "1"))
        both = await follower.until()
        assert [(await source.open_connection(each)).cluster for each in both.values()] == ["a@1", "b@3"]
        await first.say()
        left = await follower.until(lambda picture: picture["a"] == spec("a", "2"))
        assert left["b"] == both["b"]
        await second.say(spec("a", "2"))
        await follower.until(lambda picture: list(picture) == ["a"])
        with pytest.raises(ClusterUnreachable, match="in no source any more"):
            await source.open_connection(both["b"])


async def test_a_source_that_is_not_known_does_not_hold_back_the_others(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Said(), Said()
    async with open_several_sources([("first", first), ("second", second)], wait_seconds=0.01) as source:
        follower = Follower(source)
        await second.say(spec("a", "2"))
        assert list(await follower.until()) == ["a"]
        assert [each.specs is None for each in source.listed] == [True, False]
        await first.say(spec("a", "1"))
        assert await follower.until(lambda picture: picture["a"] == spec("a", "1"))
    assert "clusters by first are not known yet" in caplog.text


async def test_one_source_is_waited_for_and_nothing_is_shown_before() -> None:
    only = Said()
    async with open_several_sources([("only", only)], wait_seconds=0) as source:
        waiting = asyncio.ensure_future(Follower(source).until())
        await asyncio.sleep(0)
        await only.say(spec("a", "1"))
        assert list(await waiting) == ["a"]


async def test_a_clash_is_logged_once_while_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Said(), Said()
    caplog.set_level(logging.WARNING)
    async with open_several_sources([("first", first), ("second", second)]) as source:
        follower = Follower(source)
        await first.say(spec("a", "1"))
        await second.say(spec("a", "2"))
        await follower.until()
        await second.say(spec("a", "2"), spec("b", "3"))
        await follower.until(lambda picture: "b" in picture)
        assert [list(each.remarks) for each in source.listed] == [
            [],
            ["cluster a is left out: that of first has its name"],
        ]
        await second.say()
        await follower.until(lambda picture: "b" not in picture)
        assert not any(each.remarks for each in source.listed)
    assert caplog.text.count("clusters by second: cluster a is left out") == 1
