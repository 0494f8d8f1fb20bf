"""What one user, or one connection, can take of what all share."""

import asyncio
import contextlib

import pytest
from websockets.exceptions import ConnectionClosed

from graph.subscriptions.hub import LiveOptions
from graph.subscriptions.quotas import Budget, BudgetSpent, QuotaOptions
from tests.fakes.kubernetes import build_pod
from tests.fakes.waiting import until
from tests.graph.subscriptions.serving import Socket, open_live

PODS = "subscription { podEvents { type pod { name } } }"


def in_other_words(number: int) -> str:
    return f"subscription {{ podEvents {{ type pod {{ name{number}: name }} }} }}"


async def ask(socket: Socket, name: str, query: str, **variables: object) -> str:
    """What is wrong with it, nothing where it is begun; the fleet has one pod."""
    await socket.subscribe(query, name, **variables)
    message = await socket.receive()
    return "" if message["type"] == "next" else str(message["payload"][0]["message"])


@pytest.mark.parametrize(
    ("most", "queries", "words"),
    [
        (QuotaOptions(operations=2), [PODS, PODS, PODS], "a user has 2 operations at once at most"),
        (QuotaOptions(questions=2), [PODS, PODS, *map(in_other_words, (1, 2))], "a user follows 2 different questions"),
        (QuotaOptions(requests=250), [PODS, PODS, PODS + " " * 200], "of a user's operations have 250 bytes together"),
    ],
)
async def test_a_user_has_a_share_over_all_connections(most: QuotaOptions, queries: list[str], words: str) -> None:
    *fine, too_much = queries
    options = LiveOptions(a_user=most)
    async with open_live("c1", pods=1, options=options) as live, live.ready() as one, live.ready() as other:
        for number, query in enumerate(fine):
            assert await ask((one, other)[number % 2], str(number), query) == ""
        assert words in await ask(other, "last", too_much)
        async with live.ready(who="sam") as another:
            assert await ask(another, "1", PODS) == ""
        await one.send({"type": "complete", "id": "0"})
        await other.send({"type": "complete", "id": "1"})
        await until(lambda: live.hub.operations == len(fine) - 2)
        assert await ask(one, "again", too_much) == ""


async def test_what_one_user_follows_takes_nothing_from_another() -> None:
    options = LiveOptions(a_user=QuotaOptions(held=20_000))
    manifests = "subscription { podEvents { pod { name manifest } } }"
    async with open_live("c1", pods=50, options=options) as live, live.ready(PODS, "sam") as sam, live.ready() as ann:
        for _ in range(25):
            await sam.next()
        await ann.subscribe(manifests)
        while (message := await ann.receive())["type"] == "next":
            pass
        assert message["payload"][0]["extensions"] == {"code": "COST_EXCEEDED"}
        live["c1"].put(build_pod("shop", "new"))
        assert (await sam.next())["data"]["podEvents"]["pod"] == {"name": "new"}


def test_a_budget_takes_of_the_whole_and_gives_back() -> None:
    whole = Budget(100)
    one, other = Budget(80, whole), Budget(80, whole)
    one.take(80)
    with pytest.raises(BudgetSpent):
        other.take(30)
    assert (one.held, other.held, whole.held) == (80, 0, 80)
    one.take(-80)
    other.take(30)
    assert (one.held, other.held, whole.held) == (0, 30, 30)


async def test_one_who_floods_and_reads_nothing_is_not_read_any_more() -> None:
    def running() -> int:
        return sum(task.get_name() == "operation over WebSocket" for task in asyncio.all_tasks())

    async def flood(socket: Socket) -> None:
        for number in range(1_000_000):
            await socket.send({"type": "subscribe", "id": f"{number:0256}", "payload": {}})
            sent[0] = number

    sent = [0]
    options = LiveOptions(max_operations_a_connection=10, stall_seconds=1.0)
    async with open_live("c1", pods=1, options=options) as live, live.ready() as socket:
        socket.connection.transport.pause_reading()
        flooding = asyncio.create_task(flood(socket))
        most = 0
        while live.hub.connections:
            most = max(most, running())
            await asyncio.sleep(0.01)
        socket.connection.transport.abort()
        flooding.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
            await flooding
    assert sent[0] > most
    assert 100 < most <= 111
