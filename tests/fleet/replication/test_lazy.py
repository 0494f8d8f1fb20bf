"""A follower's connection to a member."""

import asyncio

from fleet.ports import Call
from fleet.replication.lazy import LazyConnection
from tests.fakes.kubernetes import FakeCluster, FakeSource, build_spec

READY = Call("GET", "/readyz", timeout=5.0)


async def test_it_is_opened_once_when_it_is_first_used() -> None:
    cluster = FakeCluster("one")
    connection = LazyConnection(FakeSource(cluster), build_spec("one"))
    assert cluster.opened == 0
    answers = await asyncio.gather(*(connection.request(READY) for _ in range(3)))
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert cluster.opened == 1


async def test_streams_open_it_as_well() -> None:
    cluster = FakeCluster("one")
    connection = LazyConnection(FakeSource(cluster), build_spec("one"))
    watch = Call("GET", "/api/v1/pods", timeout=5.0, query="watch=true&resourceVersion=100")
    for _ in range(2):
        async with connection.open_stream(watch) as stream:
            assert stream.status == 200
    assert cluster.opened == 1


async def test_it_outlives_who_watches_over_it() -> None:
    cluster = FakeCluster("one")
    connection = LazyConnection(FakeSource(cluster), build_spec("one"))
    lent = await connection.open_connection(build_spec("one"))
    await lent.close()
    assert (await connection.request(READY)).status == 200
    assert (cluster.opened, cluster.closed) == (1, 0)
    await connection.aclose()
    assert cluster.closed == 1


async def test_one_that_was_never_used_has_nothing_to_close() -> None:
    cluster = FakeCluster("one")
    await LazyConnection(FakeSource(cluster), build_spec("one")).aclose()
    assert (cluster.opened, cluster.closed) == (0, 0)
