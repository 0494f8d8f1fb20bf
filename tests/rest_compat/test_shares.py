"""What of one user is passed on at once, and how often one may ask: others have their own."""

import asyncio
import contextlib

from auth.authenticator import Authenticator
from fleet.aio.admission import Admission, AdmissionOptions
from fleet.kubernetes.connection import HttpConnection, Target
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.servers import open_http_server
from tests.rest_compat.serving import Client, Clusters, open_client, open_served
from tests.rest_compat.upstream import Upstream, hanging

PODS = "/clusters/cluster1/api/v1/namespaces/shop/pods"


@contextlib.asynccontextmanager
async def open_bounded(authenticator: Authenticator, upstream: Upstream, admission: Admission | None = None):  # type: ignore[no-untyped-def]  # a client
    """A client of a server that lets a user have two calls and one stream at once."""
    token = await authenticator.login("openmcp", "keti")
    async with open_http_server(upstream.serve) as endpoint:
        connection = HttpConnection("cluster1", Target(endpoint))
        state = {
            "federation": Clusters({"cluster1": connection}),
            "authenticator": authenticator,
            "request_timeout": PATIENCE,
            "admission": admission or Admission(),
        }
        async with open_served(state, user_streams=1, user_calls=2) as url, open_client(url, token) as client:
            yield client
        await connection.close()


async def expect_refused(client: Client, target: str, words: bytes) -> None:
    answer = await client.ask("GET", target, Accept="application/json")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    assert words in answer.body


async def test_calls_and_streams_of_a_user_are_bounded_apart(
    authenticator: Authenticator, viewer: str, upstream: Upstream
) -> None:
    upstream.answers["/api/v1/namespaces/shop/pods"] = hanging()
    async with open_bounded(authenticator, upstream) as client:
        begun = [asyncio.create_task(client.ask("GET", PODS)) for _ in range(2)]
        begun.append(asyncio.create_task(client.ask("GET", f"{PODS}?watch=true")))
        await until(lambda: upstream.begun == 3)
        await expect_refused(client, PODS, b"has 2 calls open")
        await expect_refused(client, f"{PODS}?watch=true", b"has 1 streams open")
        flood = [asyncio.create_task(client.ask("GET", PODS)) for _ in range(100)]
        await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
        other = await client.ask("GET", "/clusters/cluster1/api/v1/namespaces/shop/services", token=viewer)
        assert sum(task.done() for task in flood) < 100
        assert {answer.status for answer in await asyncio.gather(*flood)} == {429}
        assert (other.status, upstream.begun) == (200, 4)
        for task in begun:
            task.cancel()
        await until(lambda: upstream.ended == 4)
        assert (await client.ask("GET", "/clusters/cluster1/api/v1/nodes")).status == 200


async def test_requests_of_a_user_are_bounded_by_the_second(
    authenticator: Authenticator, viewer: str, upstream: Upstream
) -> None:
    admission = Admission(AdmissionOptions(a_second=0.5))
    async with open_bounded(authenticator, upstream, admission) as client:
        assert [(await client.ask("GET", PODS)).status for _ in range(3)] == [200] * 3
        await expect_refused(client, PODS, b"a user may send 0.5 requests a second")
        assert (await client.ask("GET", PODS, token=viewer)).status == 200
