"""More than can be answered: what is refused, and how; others are answered meanwhile, who is gone costs no work."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from fleet.aio.admission import Admission, AdmissionOptions
from fleet.aio.tasks import end_tasks
from server.asgi.bounds import BoundedProtocol
from server.figures.graph import ADMISSION
from tests.fakes.waiting import until
from tests.graph.conftest import Graph, OpenGraph
from tests.graph.http.test_served import open_served
from tests.server.figures.reading import write

DEAR = "{ pods { items { usage { cpuCores } } } }"
SAM = {"Authorization": "Bearer sam"}


@asynccontextmanager
async def open_full(open_graph: OpenGraph, **options: Any) -> AsyncIterator[tuple[Graph, Admission, Any]]:
    """A graph whose metric store does not answer yet, on a server that is busy with four operations."""
    admission = Admission(AdmissionOptions(most=4, **options))
    async with open_graph("c1") as graph:
        graph.store.answering.clear()
        async with open_served(graph, admission=admission, http=BoundedProtocol) as session:
            yield graph, admission, session


async def ask(session: aiohttp.ClientSession, query: str, **headers: str) -> tuple[int, Any]:
    async with session.post("/graphql", json={"query": query}, headers=headers) as answer:
        return answer.status, (answer.headers.get("Retry-After"), await answer.json())


async def test_a_flood_of_one_user_is_refused_and_does_not_stop_another(open_graph: OpenGraph) -> None:
    async with open_full(open_graph) as (graph, admission, session):
        flood = [asyncio.create_task(ask(session, DEAR)) for _ in range(90)]
        await until(lambda: admission.waiting > 50)
        status, (_, body) = await ask(session, "{ clusters { name } }", **SAM)
        assert (status, body["data"]) == (200, {"clusters": [{"name": "c1"}]})
        assert "openmcp_requests_at_work 3.0\n" in write(ADMISSION, admission)
        assert not any(task.done() for task in flood)
        await until(lambda: admission.refusals.count == 87)
        assert "openmcp_requests_refused_total 87.0\n" in write(ADMISSION, admission)
        graph.store.answering.set()
        answers = await asyncio.gather(*flood)
        assert Counter(status for status, _ in answers)[200] == 3
        refused = [answer for status, answer in answers if status in (429, 503)]
        assert len(refused) == 87
        assert {answer[0] for answer in refused} == {"1"}
        assert {answer[1]["errors"][0]["extensions"]["code"] for answer in refused} == {"OVERLOADED"}
        assert (await ask(session, DEAR))[0] == 200


async def test_clients_that_hung_up_are_not_worked_for(open_graph: OpenGraph) -> None:
    async with open_full(open_graph, wait_seconds=60.0) as (graph, admission, session):
        leaving = [asyncio.create_task(ask(session, DEAR)) for _ in range(40)]
        await until(lambda: admission.waiting == 37)
        begun = [task for task in leaving if not task.done()][:3]
        await end_tasks(*set(leaving) - set(begun))  # type: ignore[arg-type]  # what they return is not looked at
        await until(lambda: admission.waiting == 0)
        await end_tasks(*begun)  # type: ignore[arg-type]  # likewise
        await until(lambda: admission.at_work == 0)
        graph.store.answering.set()
        assert (await ask(session, DEAR))[0] == 200
        assert len(graph.store.calls) == 4  # the three that were begun, and this one


async def test_rows_wait_until_it_is_their_turn(open_graph: OpenGraph) -> None:
    async with open_full(open_graph, wait_seconds=0.01) as (graph, admission, session):
        begun = [asyncio.create_task(ask(session, DEAR)) for _ in range(3)]
        await until(lambda: len(graph.store.calls) == 3)
        rows = asyncio.create_task(
            session.post("/graphql", json={"query": "{ pods { items { name } } }"}, headers={"Accept": "text/csv"})
        )
        await until(lambda: admission.waiting == 1)
        status, _ = await ask(session, "{ viewer { name } }")
        assert status in (429, 503)
        graph.store.answering.set()
        await asyncio.gather(*begun)
        async with await rows as answer:
            assert (answer.status, (await answer.text()).splitlines()[0]) == (200, "name")


async def test_a_deadline_begins_when_the_request_arrives(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph, open_served(graph, request_timeout=0.5, http=BoundedProtocol) as session:
        graph.store.answering.clear()
        host, port = session._base_url.host, session._base_url.port  # type: ignore[union-attr]  # it has one
        reader, writer = await asyncio.open_connection(host, port)
        body = b'{"query": "%s"}' % DEAR.encode()
        head = b"POST /graphql HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ann\r\nContent-Type: application/json\r\n"
        writer.write((head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)) * 2)
        answers = b""
        while answers.count(b"HTTP/1.1") < 2 or not answers.endswith(b"}"):
            answers += await reader.read(65536)
        writer.close()
        assert answers.count(b"HTTP/1.1 503") == 1  # the second one, for which no time is left
        assert len(graph.store.calls) == 1


async def test_a_users_requests_a_second_are_bounded(open_graph: OpenGraph) -> None:
    admission = Admission(AdmissionOptions(a_second=0.5))
    async with open_graph("c1") as graph, open_served(graph, admission=admission) as session:
        answers = [await ask(session, "{ viewer { name } }") for _ in range(4)]
        assert [status for status, _ in answers] == [200, 200, 200, 429]
        assert answers[-1][1][0] == "1"
        assert "a user may send 0.5 requests a second" in answers[-1][1][1]["errors"][0]["message"]
        assert (await ask(session, "{ viewer { name } }", **SAM))[0] == 200
