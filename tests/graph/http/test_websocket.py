"""graphql-transport-ws to the letter: each way a socket is closed, and the messages around operations."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from graph.limits.limits import DEFAULT_LIMITS
from graph.subscriptions.hub import LiveOptions
from server.figures.graph import LIVE
from tests.fakes.kubernetes import build_pod
from tests.fakes.waiting import until
from tests.graph.subscriptions.serving import PROTOCOL, Socket, open_live
from tests.server.figures.reading import read_samples, write

PODS = "subscription { podEvents { type pod { name } } }"
ME = "{ viewer { name } }"
DEEP = "[" * 900 + "]" * 900
SUBSCRIBE = {"type": "subscribe", "id": "1", "payload": {"query": PODS}}


async def say(socket: Socket, *messages: object) -> None:
    for message in messages:
        await socket.send(message)


async def init_and(socket: Socket, *messages: object) -> None:
    await socket.init()
    await say(socket, *messages)


def after_init(*messages: object) -> Callable[[Socket], Awaitable[None]]:
    return lambda socket: init_and(socket, *messages)


def at_once(*messages: object) -> Callable[[Socket], Awaitable[None]]:
    return lambda socket: say(socket, *messages)


def init(authorization: object) -> dict[str, Any]:
    return {"type": "connection_init", "payload": {"Authorization": authorization}}


@pytest.mark.parametrize(
    ("act", "code", "reason"),
    [
        (at_once("not json"), 4400, "Invalid message received: it is not JSON"),
        (at_once("[]"), 4400, "Invalid message received: it is not a JSON object"),
        (at_once(b"{}"), 4400, "Invalid message received: messages are text"),
        (
            at_once("x" * (DEFAULT_LIMITS.body + 1)),
            4400,
            "Invalid message received: a message has 1,048,576 characters at most",
        ),
        (at_once({"type": "start", "id": "1"}), 4400, "Invalid message received: its `type` is none of"),
        (
            at_once(f'{{"type": "ping", "payload": {{"a": {DEEP}}}}}'),
            4400,
            "Invalid message received: it is nested too",
        ),
        (at_once({"id": "1"}), 4400, "Invalid message received: its `type` is none of"),
        (at_once({"type": ["ping"]}), 4400, "Invalid message received: its `type` is none of"),
        (
            at_once({"type": "connection_init", "payload": "x"}),
            4400,
            "Invalid message received: the `payload` of connection_init is not an object",
        ),
        (at_once({"type": "ping", "payload": 1}), 4400, "Invalid message received: the `payload` of ping"),
        (after_init({"type": "subscribe", "id": "1"}), 4400, "Invalid message received: subscribe has no `payload`"),
        (after_init({**SUBSCRIBE, "id": ""}), 4400, "Invalid message received: the `id` of subscribe is not a string"),
        (after_init({**SUBSCRIBE, "id": 7}), 4400, "Invalid message received: the `id` of subscribe is not a string"),
        (after_init({"type": "complete"}), 4400, "Invalid message received: the `id` of complete is not a string"),
        (at_once(SUBSCRIBE), 4401, "Unauthorized"),
        (at_once({"type": "connection_init"}), 4403, "Forbidden"),
        (at_once(init("Bearer eve")), 4403, "Forbidden"),
        (at_once(init(7)), 4403, "Forbidden"),
        (at_once(), 4408, "Connection initialisation timeout"),
        (at_once({"type": "ping"}), 4408, "Connection initialisation timeout"),
        (after_init(SUBSCRIBE, SUBSCRIBE), 4409, "Subscriber for 1 already exists"),
        (at_once(init("Bearer broken")), 4500, "Internal server error"),
        (after_init(init("Bearer ann")), 4429, "Too many initialisation requests"),
    ],
)
async def test_the_socket_is_closed_by_the_protocols_code(
    act: Callable[[Socket], Awaitable[None]], code: int, reason: str
) -> None:
    options = LiveOptions(init_seconds=0.4)
    async with open_live("c1", pods=1, options=options) as live, live.socket() as socket:
        await act(socket)
        closed = await socket.closing()
    assert closed[0] == code
    assert closed[1].startswith(reason)


@pytest.mark.parametrize("offered", [None, "graphql-ws"])
async def test_another_subprotocol_is_not_acceptable(offered: str | None) -> None:
    async with open_live("c1", pods=1) as live, live.socket(protocol=offered) as socket:
        assert socket.connection.subprotocol is None
        assert await socket.closing() == (4406, "Subprotocol not acceptable")


async def test_the_subprotocol_is_agreed_on_and_pings_are_answered() -> None:
    async with open_live("c1", pods=1) as live, live.socket() as socket:
        assert socket.connection.subprotocol == PROTOCOL
        await socket.send({"type": "ping"})
        assert await socket.receive() == {"type": "pong"}
        await say(socket, {"type": "pong"}, {"type": "ping", "payload": {"at": 1}})
        assert await socket.receive() == {"type": "pong", "payload": {"at": 1}}


async def test_a_query_has_one_next_and_then_its_complete_and_its_id_is_free_again() -> None:
    async with open_live("c1", pods=1) as live, live.ready() as socket:
        for _ in range(2):
            await socket.subscribe(ME, "me")
            assert await socket.next("me") == {"data": {"viewer": {"name": "ann"}}}
            assert await socket.receive() == {"id": "me", "type": "complete"}


async def test_a_query_may_ask_what_it_costs_and_took() -> None:
    async with open_live("c1", pods=1) as live, live.ready() as socket:
        payload = {"query": "{ pods { totalCount } }", "extensions": {"cost": True, "explain": True}}
        await socket.send({"type": "subscribe", "id": "1", "payload": payload})
        body = await socket.next()
    assert body["data"] == {"pods": {"totalCount": 1}}
    assert body["extensions"]["cost"]["estimate"] > 0
    assert body["extensions"]["explain"]["cachedObjects"] == 1


async def test_one_of_several_operations_has_to_be_named() -> None:
    text = "query Me { viewer { name } } subscription Pods { podEvents { type } }"
    async with open_live("c1", pods=1) as live, live.ready() as socket:
        await socket.subscribe(text)
        message = await socket.receive()
        assert message["type"] == "error"
        assert message["payload"][0]["message"].endswith("say by `operationName` which one to run: Me, Pods")
        await socket.send({"type": "subscribe", "id": "2", "payload": {"query": text, "operationName": "Me"}})
        assert await socket.next("2") == {"data": {"viewer": {"name": "ann"}}}


async def test_a_completed_id_is_free_again() -> None:
    async with open_live("c1", pods=1) as live, live.ready(PODS) as socket:
        for _ in range(3):
            assert (await socket.next())["data"]["podEvents"]["type"] == "ADDED"
            await socket.send({"type": "complete", "id": "1"})
            await socket.subscribe(PODS)
        assert live.hub.operations <= 2


async def test_operations_of_one_socket_do_not_mix() -> None:
    async with open_live("c1", pods=1) as live, live.ready() as socket:
        await socket.subscribe(PODS, 'a"b')
        await socket.subscribe("subscription { nodeEvents { node { name } } }", "nodes")
        seen = [await socket.receive() for _ in range(3)]
    assert sorted((message["id"], *message["payload"]["data"]) for message in seen) == [
        ('a"b', "podEvents"),
        ("nodes", "nodeEvents"),
        ("nodes", "nodeEvents"),
    ]


@pytest.mark.parametrize(
    ("query", "variables", "code", "words"),
    [
        ("subscription {", {}, "BAD_USER_INPUT", "Syntax Error"),
        ("subscription { nothing }", {}, "BAD_USER_INPUT", "Cannot query field"),
        ("", {}, "BAD_USER_INPUT", "there is no `query`"),
        ("{ " + "__typename " * 4000 + "}", {}, "COST_EXCEEDED", "the document has 4,002 tokens"),
        ("subscription { podEvents { type } nodeEvents { type } }", {}, "BAD_USER_INPUT", "one top level field"),
        ('subscription { podEvents(filter: {labelSelector: "!!"}) { type } }', {}, "BAD_USER_INPUT", "selector"),
        ('subscription { podEvents(filter: {clusters: ["no"]}) { type } }', {}, "NOT_FOUND", "no cluster is named"),
        ('subscription { usage(interval: "soon", nodes: []) { usage { time } } }', {}, "BAD_USER_INPUT", "duration"),
        (
            "subscription A($n: [NodeRef!]) { usage(nodes: $n) { usage { time } } }",
            {"n": [{"cluster": "c1"}]},
            "BAD_USER_INPUT",
            "name",
        ),
        (
            "subscription { podEvents { pod { node { pods { items {" + "node { pods { items {" * 3 + "name" + "}" * 15,
            {},
            "COST_EXCEEDED",
            "lists inside each other",
        ),
    ],
)
async def test_what_can_not_be_begun_is_an_error_and_the_socket_stays(
    query: str, variables: dict[str, Any], code: str, words: str
) -> None:
    async with open_live("c1", pods=1) as live, live.ready() as socket:
        await socket.subscribe(query, "wrong", **variables)
        message = await socket.receive()
        assert (message["id"], message["type"]) == ("wrong", "error"), message
        (error,) = message["payload"]
        assert error["extensions"]["code"] == code
        assert words in error["message"]
        await socket.subscribe(ME, "wrong")
        assert (await socket.next("wrong"))["data"] == {"viewer": {"name": "ann"}}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (LiveOptions(max_operations_a_connection=2), "a connection has 2 operations"),
        (LiveOptions(max_operations=2), "the server has 2 operations"),
    ],
)
async def test_operations_are_bounded(options: LiveOptions, words: str) -> None:
    async with open_live("c1", pods=0, options=options) as live, live.ready() as socket:
        for name in ("1", "2", "3"):
            await socket.subscribe(PODS, name)
        message = await socket.receive()
        assert (message["id"], message["type"]) == ("3", "error")
        assert message["payload"][0]["extensions"] == {"code": "COST_EXCEEDED"}
        assert words in message["payload"][0]["message"]
        await socket.send({"type": "complete", "id": "1"})
        await socket.subscribe(PODS, "4")
        live["c1"].put(build_pod("shop", "p"))
        assert {(await socket.receive())["id"] for _ in range(2)} == {"2", "4"}


async def test_those_who_do_not_say_who_they_are_are_fewer_than_all() -> None:
    options = LiveOptions(max_greeting=1, init_seconds=0.4)
    async with open_live("c1", pods=1, options=options) as live:
        async with live.socket() as silent, live.socket() as second:
            assert await second.closing() == (1013, "the server is full: try again later")
            async with live.events(ME) as stream:
                assert (await stream.next())["data"]
            assert (await silent.closing())[0] == 4408
        async with live.ready(PODS) as one, live.ready(PODS) as other:
            assert await one.next() == await other.next()


async def test_connections_are_bounded() -> None:
    options = LiveOptions(max_connections=1)
    async with open_live("c1", pods=0, options=options) as live, live.ready(), live.socket() as second:
        assert await second.closing() == (1013, "the server is full: try again later")


async def test_connections_of_a_user_are_bounded_and_others_have_their_own() -> None:
    options = LiveOptions(max_connections_a_user=2)
    async with open_live("c1", pods=0, options=options) as live, live.ready() as first, live.ready():
        async with live.socket() as third:
            await third.send(init("Bearer ann"))
            assert await third.closing() == (1013, "a user has 2 connections at once at most: close one first")
        async with live.events(ME) as stream:
            assert (stream.answer.status, stream.answer.headers["Retry-After"]) == (429, "1")
        async with live.socket() as other:
            await other.send(init("Bearer sam"))
            assert await other.receive() == {"type": "connection_ack"}
        await first.connection.close()
        await until(lambda: len(live.hub.sessions) == 1)
        async with live.ready():
            pass


async def test_documents_can_be_named_by_their_digest() -> None:
    digest = "0" * 64
    async with open_live("c1", pods=0) as live, live.ready() as socket:
        extensions = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
        await socket.send({"type": "subscribe", "id": "1", "payload": {"extensions": extensions}})
        message = await socket.receive()
    assert (message["type"], message["payload"][0]["message"]) == ("error", "PersistedQueryNotFound")


async def test_a_subscription_that_would_cost_too_much_is_not_begun() -> None:
    async with open_live("c1", pods=20, limits=replace(DEFAULT_LIMITS, cost=50)) as live, live.ready() as socket:
        await socket.subscribe("subscription { podEvents { pod { name uid status ready } } }")
        message = await socket.receive()

        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == "COST_EXCEEDED"
        assert message["payload"][0]["extensions"]["estimate"] > message["payload"][0]["extensions"]["limit"] == 50
        assert live.hub.channels == 0


async def test_operators_are_told_what_is_open() -> None:
    async with open_live("c1", pods=1) as live, live.ready(PODS) as one, live.ready(PODS) as other, live.ready():
        await one.next()
        await other.next()
        told = read_samples(write(LIVE, live.hub))
        assert told["openmcp_live_connections"] == 3
        assert told["openmcp_live_operations"] == 2
        assert told["openmcp_live_channels"] == 1
        assert told["openmcp_live_messages_total"] == 2
        assert told["openmcp_live_held_bytes"] == live.hub.held_bytes
        assert live.hub.held_bytes > 0
