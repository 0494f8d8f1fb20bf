"""A simulated API server can be made ill in known ways, and well again."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from demo.simulator import SimulatedCluster, SimulatedFleet
from tests.demo.asking import Asker, open_asker, open_member_asker
from tests.fakes.waiting import until

PODS = "/api/v1/pods"


@pytest.fixture(autouse=True)
async def well_again(member: SimulatedCluster) -> AsyncIterator[None]:
    """Ends all faults after each test, since the fleet is shared."""
    yield
    await member.faults.clear()


@pytest.fixture
async def hasty(member: SimulatedCluster) -> AsyncIterator[Asker]:
    """A client that soon gives up."""
    async with open_member_asker(member, seconds=0.2) as asker:
        yield asker


async def test_a_hanging_server_takes_the_connection_and_answers_when_it_resumes(
    member: SimulatedCluster, asker: Asker, hasty: Asker
) -> None:
    member.faults.hang()
    with pytest.raises(TimeoutError):
        await hasty.ask(PODS)
    waiting = asyncio.create_task(asker.ask(PODS))

    member.faults.resume()

    assert (await waiting).status == 200


async def test_a_refusing_server_is_back_on_the_same_port(member: SimulatedCluster, asker: Asker) -> None:
    url = member.url
    await member.faults.refuse()
    with pytest.raises(aiohttp.ClientConnectorError):
        await asker.ask(PODS)

    await member.faults.accept()

    assert member.url == url
    assert (await asker.ask(PODS)).status == 200


async def test_a_slow_server_is_late_by_its_latency(member: SimulatedCluster, asker: Asker, hasty: Asker) -> None:
    member.faults.latency = 0.4

    with pytest.raises(TimeoutError):
        await hasty.ask(PODS)

    assert (await asker.ask(PODS)).status == 200


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
async def test_a_failing_server_answers_its_status_to_everything(
    member: SimulatedCluster, asker: Asker, status: int
) -> None:
    member.faults.failure = status

    replies = [await asker.ask(PODS), await asker.ask("/readyz")]

    assert [(reply.status, reply.body["code"]) for reply in replies] == [(status, status)] * 2


async def test_wrong_content_is_answered_as_given(member: SimulatedCluster, asker: Asker) -> None:
    member.faults.wrong_content = b"<html>sign in</html>"

    reply = await asker.ask(PODS)

    assert (reply.status, reply.body) == (200, "<html>sign in</html>")


async def test_dropped_watches_end_in_mid_air(member: SimulatedCluster, asker: Asker) -> None:
    async with asker.watch(PODS, resourceVersion=str(member.store.version)) as events:
        await until(lambda: member.faults.watches == 1)

        assert member.faults.drop_watches() == 1
        with pytest.raises((aiohttp.ClientPayloadError, ConnectionResetError)):
            await events.next()


async def test_a_muted_watch_is_silent_while_lists_are_answered(member: SimulatedCluster, asker: Asker) -> None:
    async with asker.watch(PODS, allowWatchBookmarks="true") as events:
        await events.of_type("BOOKMARK")
        member.faults.mute_watches()
        await events.fall_silent()

        assert (await asker.ask(PODS)).status == 200


async def test_a_watch_that_its_client_left_is_forgotten(member: SimulatedCluster) -> None:
    async with open_member_asker(member) as leaver, leaver.watch(PODS):
        await until(lambda: member.faults.watches == 1)

    await until(lambda: member.faults.watches == 0)


async def test_an_unpublished_rotation_leaves_a_token_that_is_refused(fleet: SimulatedFleet) -> None:
    second = fleet["cluster2"]
    old = second.token
    new = fleet.rotate_token("cluster2", publish=False)

    async with open_asker(second.url, old) as before, open_asker(second.url, new) as after:
        assert ((await before.ask(PODS)).status, (await after.ask(PODS)).status) == (401, 200)
