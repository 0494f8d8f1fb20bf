"""Server-sent events: one operation a request, told by `next` and `complete`."""

import json
from typing import Any

import aiohttp
import pytest

from graph.subscriptions.hub import LiveOptions
from tests.fakes.waiting import until
from tests.graph.subscriptions.serving import Live, open_live

PODS = "subscription { podEvents { type pod { name } } }"
ME = "{ viewer { name } }"


async def ask(live: Live, accept: str, **options: Any) -> tuple[int, str, str]:
    """Status, media type and text of a query's answer."""
    headers = {"Authorization": "Bearer ann", "Accept": accept, **options.pop("headers", {})}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{live.url}/graphql", **(options or {"json": {"query": ME}})) as answer,
    ):
        return answer.status, answer.content_type, await answer.text()


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_query_has_one_next_and_then_complete(method: str) -> None:
    async with open_live("c1") as live, live.events(ME, method=method) as stream:
        assert stream.answer.headers["Cache-Control"] == "no-store"
        assert await stream.event() == ("next", {"data": {"viewer": {"name": "ann"}}})
        assert await stream.event() == ("complete", None)
        with pytest.raises(EOFError):
            await stream.event()


async def test_a_query_may_ask_what_it_costs_and_took() -> None:
    asked = {"query": "{ pods { totalCount } }", "extensions": {"explain": True}}
    async with open_live("c1", pods=1) as live:
        _, _, text = await ask(live, "text/event-stream", json=asked, headers={"X-Cost": "true"})
    body = json.loads(text.partition("data: ")[2].partition("\n")[0])
    assert body["data"] == {"pods": {"totalCount": 1}}
    assert body["extensions"]["cost"]["estimate"] > 0
    assert body["extensions"]["explain"]["cachedObjects"] == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("subscription {", "BAD_USER_INPUT"),
        ("subscription { nothing }", "BAD_USER_INPUT"),
        ('subscription { podEvents(filter: {clusters: ["no"]}) { type } }', "NOT_FOUND"),
    ],
)
async def test_what_can_not_be_begun_is_told_by_the_stream(query: str, code: str) -> None:
    async with open_live("c1") as live, live.events(query) as stream:
        assert stream.answer.status == 200
        (error,) = (await stream.next())["errors"]
        assert error["extensions"]["code"] == code
        assert await stream.event() == ("complete", None)


async def test_variables_that_are_nested_too_deeply_are_refused() -> None:
    text = '{"query": "{ viewer { name } }", "variables": {"a": ' + "[" * 900 + "]" * 900 + "}}"
    headers = {"Content-Type": "application/json"}
    async with open_live("c1") as live:
        status, _, body = await ask(live, "text/event-stream", data=text, headers=headers)
    assert status == 200
    assert "`variables` are nested too deeply" in body


@pytest.mark.parametrize(("accept", "status"), [("application/json", 200), ("application/graphql-response+json", 400)])
async def test_a_subscription_without_a_stream_is_told_what_it_needs(accept: str, status: int) -> None:
    async with open_live("c1") as live:
        found, _, text = await ask(live, accept, json={"query": PODS})
    (error,) = json.loads(text)["errors"]
    assert (found, error["extensions"]) == (status, {"code": "BAD_USER_INPUT"})
    assert error["message"].startswith("a subscription needs a connection that stays open")


@pytest.mark.parametrize(
    "accept",
    [
        "application/graphql-response+json, application/json, text/event-stream",
        "application/json, text/event-stream;q=0.1",
        "*/*, text/event-stream",
        "application/json, text/*;q=0.5",
    ],
)
async def test_a_subscription_is_streamed_to_whoever_takes_a_stream_at_all(accept: str) -> None:
    headers = {"Authorization": "Bearer ann", "Accept": accept}
    async with (
        open_live("c1", pods=1) as live,
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{live.url}/graphql", json={"query": PODS}) as answer,
    ):
        first = await answer.content.readuntil(b"event: next\n")
    assert (answer.status, answer.content_type, first) == (200, "text/event-stream", b":\n\nevent: next\n")


@pytest.mark.parametrize("accept", ["*/*", "application/json, text/event-stream;q=0", "application/json, text/plain"])
async def test_a_subscription_is_not_streamed_to_who_did_not_name_it(accept: str) -> None:
    async with open_live("c1") as live:
        status, kind, text = await ask(live, accept, json={"query": PODS})
    assert (status, kind, "needs a connection that stays open" in text) == (200, "application/json", True)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/event-stream", "text/event-stream"),
        ("text/event-stream, */*;q=0.1", "text/event-stream"),
        ("text/event-stream, multipart/mixed", "text/event-stream"),
        ("application/json, text/event-stream", "application/json"),
        ("application/graphql-response+json, text/event-stream, multipart/mixed", "application/graphql-response+json"),
        ("application/json;q=0.5, text/event-stream", "text/event-stream"),
        ("*/*", "application/json"),
        ("text/*", "text/event-stream"),
    ],
)
async def test_a_stream_is_for_those_who_ask_for_one(accept: str, kind: str) -> None:
    async with open_live("c1") as live:
        status, answered, _ = await ask(live, accept)
    assert (status, answered) == (200, kind)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"headers": {"Authorization": "Bearer eve"}, "json": {"query": ME}}, 401),
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"data": b"{}", "headers": {"Content-Type": "text/plain"}}, 415),
    ],
)
async def test_what_is_no_request_of_a_caller_gets_no_stream(options: Any, status: int) -> None:
    async with open_live("c1") as live:
        answered = await ask(live, "text/event-stream", **options)
        assert (answered[0], answered[1]) == (status, "application/json")
        assert len(live.hub.sessions) == 0


async def test_a_silent_stream_says_that_it_is_alive() -> None:
    options = LiveOptions(keep_alive_seconds=0.05)
    async with open_live("c1", pods=0, options=options) as live, live.events(PODS) as stream:
        for _ in range(3):
            assert (await stream.answer.content.readline(), await stream.answer.content.readline()) == (b":\n", b"\n")


async def test_a_client_who_leaves_ends_its_subscription() -> None:
    async with open_live("c1", pods=1) as live:
        async with live.events(PODS) as stream:
            await stream.next()
            assert (live.hub.connections, live.hub.channels) == (1, 1)
        await until(lambda: (live.hub.connections, live.hub.channels, len(live.hub.sessions)) == (0, 0, 0))


async def test_a_full_server_says_so() -> None:
    options = LiveOptions(max_connections=1)
    async with open_live("c1", pods=1, options=options) as live, live.events(PODS):
        status, _, text = await ask(live, "text/event-stream")
    assert (status, "COST_EXCEEDED" in text) == (503, True)
