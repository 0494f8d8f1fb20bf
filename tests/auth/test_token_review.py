"""Tokens by the host's word: how often it is asked, what is kept, and what is said while it can't be asked."""

import asyncio
import base64
import json
import time
from typing import Any, cast

import jwt
import pytest

from auth.errors import IdentityUnavailable, Unauthenticated
from auth.identity import admit
from auth.token_review import MAX_REVIEWED, MAX_STRANGERS, MAX_WAITING, ReviewedTokens
from fleet.model.errors import ClusterUnreachable, Forbidden
from fleet.model.visibility import Role
from fleet.ports import Connection, ReviewedUser
from tests.fakes.waiting import PATIENCE, until

ROBOT = ReviewedUser("system:serviceaccount:ci:robot", ("system:serviceaccounts",))


def build_jwt(**claims: Any) -> str:
    """As another signs it; only the host can tell whether it is right."""
    parts = ({"alg": "RS256"}, claims)
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".c2ln"
    )


class Host:
    """A host that takes `tokens`, and answers once it may."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = set(tokens)
        self.asked: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.problem: str | None = None

    async def review(self, _host: Connection, token: str) -> ReviewedUser | None:
        self.asked.append(token)
        await self.answers.wait()
        if self.problem is not None:
            raise ClusterUnreachable("openmcp", self.problem)
        return ROBOT if token in self.tokens else None

    def open(self, kept: float = PATIENCE, timeout: float = PATIENCE) -> ReviewedTokens:
        return ReviewedTokens(self, lambda: cast("Connection", None), kept=kept, timeout=timeout)


async def test_who_comes_at_once_with_one_token_asks_once() -> None:
    host = Host("robot")
    host.answers.clear()
    reviewed = host.open()
    asking = [asyncio.create_task(reviewed.load("robot")) for _ in range(50)]
    await until(lambda: host.asked)
    asking[0].cancel()
    host.answers.set()
    assert {identity.name for identity in await asyncio.gather(*asking[1:])} == {ROBOT.name}
    identity = await reviewed.load("robot")
    assert identity.groups == ROBOT.groups
    with pytest.raises(Forbidden, match="nothing is granted here"):  # the default role is for people
        admit(identity, (), Role.VIEW)
    assert host.asked == ["robot"]


@pytest.mark.parametrize("is_taken", [True, False])
async def test_an_answer_counts_for_its_time(*, is_taken: bool) -> None:
    host = Host("robot") if is_taken else Host()
    reviewed = host.open(kept=0.05)

    async def counts() -> bool:
        try:
            await reviewed.load("robot")
        except Unauthenticated as error:
            return "nor one that the host cluster takes" not in str(error)
        return True

    async def has_changed() -> bool:
        return await counts() is not is_taken

    assert not await has_changed()
    host.tokens ^= {"robot"}
    await until(has_changed)
    assert len(host.asked) >= 2


async def test_a_host_that_can_not_be_asked_refuses_nobody() -> None:
    host = Host("robot")
    reviewed = host.open(kept=0.01)
    await reviewed.load("robot")
    host.problem = "cluster openmcp: no connection"

    async def is_told() -> bool:
        try:
            await reviewed.load("robot")
        except IdentityUnavailable as error:
            return "can't be asked: cluster openmcp: no connection" in str(error) and str(error) == reviewed.problem
        return False

    await until(is_told)
    host.problem = None
    assert (await reviewed.load("robot")).name == ROBOT.name
    assert reviewed.problem is None


async def test_a_host_that_hangs_is_waited_for_so_long() -> None:
    host = Host("robot")
    host.answers.clear()
    with pytest.raises(IdentityUnavailable, match=r"no answer within 0.05 s"):
        await host.open(timeout=0.05).load("robot")
    host.answers.set()


async def test_a_flood_of_strange_tokens_asks_little_and_keeps_nobody_out() -> None:
    """All places of strangers are taken by tokens of no worth; a token that was known a moment ago has its own."""
    host = Host("robot")
    reviewed = host.open(kept=0.001)
    await reviewed.load("robot")
    host.answers.clear()
    flood = [asyncio.create_task(reviewed.load(f"strange {number}")) for number in range(MAX_WAITING + 10)]
    await until(lambda: len(host.asked) > MAX_STRANGERS)
    await until(lambda: sum(task.done() for task in flood) == 10)
    assert host.asked[1:] == [f"strange {number}" for number in range(MAX_STRANGERS)]
    known = asyncio.create_task(reviewed.load("robot"))
    await until(lambda: host.asked[-1] == "robot")
    host.answers.set()
    assert (await known).name == ROBOT.name
    ends = [type(end) for end in await asyncio.gather(*flood, return_exceptions=True)]
    assert (ends.count(Unauthenticated), ends.count(IdentityUnavailable)) == (MAX_WAITING, 10)


async def test_tokens_of_no_worth_drive_out_nobody_s_answer() -> None:
    host = Host("robot")
    reviewed = host.open()
    await reviewed.load("robot")
    for number in range(MAX_REVIEWED):
        with pytest.raises(Unauthenticated):
            await reviewed.load(f"strange {number}")
    await reviewed.load("robot")
    assert host.asked.count("robot") == 1


async def test_a_token_says_when_it_was_issued_and_ends() -> None:
    now = int(time.time())
    lasting, ended, timeless = build_jwt(iat=now - 5, exp=now + 60), build_jwt(exp=now - 1), build_jwt()
    reviewed = Host(lasting, ended, timeless, "opaque").open()
    identity = await reviewed.load(lasting)
    assert (identity.issued_at, identity.expires_at) == (now - 5, now + 60)
    with pytest.raises(Unauthenticated, match="expired"):
        await reviewed.load(ended)
    for token in (timeless, "opaque"):
        identity = await reviewed.load(token)
        assert (identity.issued_at >= now, identity.expires_at) == (True, None)


@pytest.mark.parametrize("token", ["é", "a" * 10_000])
async def test_what_can_be_no_token_is_asked_of_nobody(token: str) -> None:
    host = Host()
    with pytest.raises(Unauthenticated, match="malformed"):
        await host.open().load(token)
    assert host.asked == []


def test_our_own_tokens_are_asked_of_nobody() -> None:
    reviewed = Host().open()
    own = jwt.encode({"user": "alice"}, b"k" * 32, algorithm="HS256")
    assert [reviewed.knows(token) for token in (own, build_jwt(), "opaque")] == [False, True, True]
