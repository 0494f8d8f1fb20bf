"""Points written to a real Prometheus and a real VictoriaMetrics are there, and what they refuse is told."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from demo.metric_server import MetricServerConfig, MetricServerKind
from fleet.collector.outputs import BufferOptions, open_outputs
from fleet.metrics.recorded import recorded_name
from fleet.metrics.remote_write.options import RemoteWriteOptions
from fleet.metrics.remote_write.writer import open_remote_writer
from fleet.model.errors import MetricsBusy, MetricsUnavailable, PointsRefused
from fleet.model.objects import NodeKey, PodKey
from fleet.model.told import detail_of, plain
from fleet.model.usage import NANOSECONDS, Kind, Measure, Point
from realfleet.metric_server import MetricServer
from tests.fakes.http_faults import ANSWERS, Answer, answer_bytes, answer_for_ever, answer_status, open_http_faults
from tests.fakes.waiting import until
from tests.fleet.collector.summaries import FULL_NODE, FULL_POD

NOW = time.time_ns() // NANOSECONDS * NANOSECONDS
POINT = [(NodeKey("c1", "n1"), Point(NOW, cpu_cores=1.0))]
BOTH = [MetricServerKind.PROMETHEUS, MetricServerKind.VICTORIA_METRICS]


def options_of(server: MetricServer, **changes: Any) -> RemoteWriteOptions:
    return replace(RemoteWriteOptions(f"{server.url}/api/v1/write", timeout=30.0), **changes)


@pytest.fixture(params=BOTH, ids=lambda kind: kind.value)
def server(request: pytest.FixtureRequest) -> MetricServer:
    name = request.param.name.lower()
    found: MetricServer = request.getfixturevalue(f"real_{name}")
    return found


def found_at(server: MetricServer, expression: str, time_ns: int) -> list[tuple[dict[str, str], float]]:
    """Labels and values of the series at a time, once there are any."""
    return [
        (entry["metric"], float(entry["value"][1]))
        for entry in server.query(expression, time=f"{time_ns / NANOSECONDS:.3f}")
    ]


@pytest.mark.real
async def test_all_measures_are_there_under_their_names(server: MetricServer) -> None:
    pod, node = PodKey("written", "shop", 'a"b\\c'), NodeKey("written", "n1")
    async with open_remote_writer(options_of(server, cluster_label="member")) as writer:
        assert "remote write" in await writer.check()
        await writer.write([(pod, Point(NOW, **FULL_POD, node="n1"))], [(node, Point(NOW, **FULL_NODE, node="n1"))])
    for kind, amounts in ((Kind.POD, FULL_POD), (Kind.NODE, FULL_NODE)):
        labels = {"member": "written", "node": "n1"}
        if kind is Kind.POD:
            labels |= {"namespace": "shop", "pod": 'a"b\\c'}
        for measure in Measure:
            name = recorded_name(kind, measure)
            query = f'{name}{{member="written"}}'
            await until(partial(asyncio.to_thread, found_at, server, query, NOW), what=query)
            expected = [({"__name__": name} | labels, amounts[measure.value])]
            assert await asyncio.to_thread(found_at, server, query, NOW) == expected


@pytest.mark.real
@pytest.mark.parametrize("kind", BOTH, ids=lambda kind: kind.value)
async def test_a_store_that_was_away_has_every_point_of_the_rounds(
    start_real_metric_server: Callable[..., MetricServer], kind: MetricServerKind
) -> None:
    """Stopped by its administrator, and started again; what was measured in twenty rounds of 15 s is there."""
    server = await asyncio.to_thread(start_real_metric_server, kind)
    pods = [PodKey("c1", "shop", f"web-{number}") for number in range(50)]
    rounds = [NOW - (20 - number) * 15 * NANOSECONDS for number in range(20)]
    async with (
        open_remote_writer(options_of(server)) as writer,
        open_outputs(None, [("remote-write", writer)], BufferOptions()) as outputs,
    ):
        (buffer,) = outputs.buffers
        for number, time_ns in enumerate(rounds):
            await outputs.write([(pod, Point(time_ns, cpu_cores=float(number), node="n1")) for pod in pods], [])
            if number == 4:
                await until(lambda: buffer.written == 250, what="the first rounds")
                await asyncio.to_thread(server.stop)
        await until(lambda: buffer.problem, what="the store to be missed")
        await asyncio.to_thread(server.start)
        await until(lambda: buffer.written == 1000, what="all rounds")
        assert buffer.lost == 0
    name = recorded_name(Kind.POD, Measure.CPU_CORES)

    def count() -> list[float]:
        return [value for _, value in found_at(server, f"sum(count_over_time({name}[10m]))", NOW)]

    await until(lambda: asyncio.to_thread(lambda: count() == [1000.0]), what="a thousand samples")


@pytest.mark.real
async def test_a_store_that_hung_has_every_point_once(start_real_metric_server: Callable[..., MetricServer]) -> None:
    """What it may have taken before it was given up is sent again."""
    server = await asyncio.to_thread(start_real_metric_server, MetricServerKind.PROMETHEUS)
    node = NodeKey("c1", "n1")
    async with (
        open_remote_writer(options_of(server, timeout=0.5)) as writer,
        open_outputs(None, [("remote-write", writer)], BufferOptions()) as outputs,
    ):
        (buffer,) = outputs.buffers
        await outputs.write([], [(node, Point(NOW - 60 * NANOSECONDS, cpu_cores=0.0))])
        await until(lambda: buffer.written == 1, what="the first point")
        await asyncio.to_thread(server.pause)
        for number in range(1, 20):
            await outputs.write([], [(node, Point(NOW - (60 - number) * NANOSECONDS, cpu_cores=float(number)))])
        await until(lambda: "did not answer within 0.5 s" in (buffer.problem or ""), what="the store to be missed")
        await asyncio.to_thread(server.resume)
        await until(lambda: buffer.written == 20, what="all points")
    samples = await asyncio.to_thread(found_at, server, "sum(count_over_time(node:cpu_cores:sum[5m]))", NOW)
    assert [value for _, value in samples] == [20.0]


@pytest.mark.real
async def test_who_may_not_write_is_told_and_who_may_writes(
    start_real_metric_server: Callable[..., MetricServer], tmp_path: Path
) -> None:
    hashed = "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay"  # of `test`
    config = MetricServerConfig(web=f"basic_auth_users:\n  writer: {hashed}\n")
    basic = {"Authorization": "Basic d3JpdGVyOnRlc3Q="}
    server = await asyncio.to_thread(
        lambda: start_real_metric_server(MetricServerKind.PROMETHEUS, config, headers=basic)
    )
    for wrong in ({}, {"username": "writer", "password": "wrong"}, {"token": "a-token-of-another"}):
        async with open_remote_writer(options_of(server, **wrong)) as writer:
            with pytest.raises(MetricsUnavailable, match="is answered with 401, check the credential") as caught:
                await writer.write([], POINT)
        assert not isinstance(caught.value, PointsRefused)
        assert "wrong" not in str(caught.value)
        assert "a-token" not in str(caught.value)
    async with open_remote_writer(options_of(server, username="writer", password="test")) as writer:
        await writer.write([], POINT)


@pytest.mark.real
async def test_a_server_that_takes_no_remote_write_is_told_of(server: MetricServer) -> None:
    other = replace(options_of(server), url=f"{server.url}/api/v9/write")
    async with open_remote_writer(other) as writer:
        with pytest.raises(MetricsUnavailable, match=r"answered with (404, check the path|400|405)"):
            await writer.write([], POINT)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (answer_status(400), PointsRefused, "is answered with 400: "),
        (answer_status(413), PointsRefused, "is answered with 413: "),
        (answer_status(422), PointsRefused, "is answered with 422: "),
        (answer_status(301, "Location: http://127.0.0.1:9/"), MetricsUnavailable, "is answered with 301: "),
        (answer_status(403), MetricsUnavailable, "is answered with 403, check what the credential may: "),
        (answer_status(500), MetricsUnavailable, "is answered with 500: "),
        (answer_status(429, "Retry-After: 7"), MetricsBusy, "is answered with 429: "),
        (answer_status(503, "Retry-After: 7"), MetricsBusy, "is answered with 503: "),
        (ANSWERS["garbage"], MetricsUnavailable, "broke off its answer"),
        (answer_bytes(b""), MetricsUnavailable, "broke off its answer"),
    ],
    ids=["400", "413", "422", "301", "403", "500", "429", "503", "garbage", "cut"],
)
async def test_what_an_ill_receiver_answers(answer: Answer, error: type[MetricsUnavailable], said: str) -> None:
    async with open_http_faults("http://127.0.0.1:9") as (url, faults):
        faults.answer(answer)
        async with open_remote_writer(RemoteWriteOptions(f"{url}/api/v1/write", token="not-to-be-shown")) as writer:
            with pytest.raises(error) as caught:
                await writer.write([], POINT)
    assert type(caught.value) is error
    assert said in detail_of(caught.value)
    assert "not-to-be-shown" not in detail_of(caught.value)
    if isinstance(caught.value, MetricsBusy):
        assert caught.value.retry_after == 7.0


async def test_a_receiver_that_is_silent_costs_the_timeout() -> None:
    async with open_http_faults("http://127.0.0.1:9") as (url, faults):
        faults.answer(answer_for_ever(b"", b"", pause=0.05))
        async with open_remote_writer(RemoteWriteOptions(f"{url}/api/v1/write", timeout=0.2)) as writer:
            with pytest.raises(MetricsUnavailable, match=r"did not answer within 0\.2 s"):
                await writer.write([], POINT)


async def test_a_host_that_is_not_there_is_named() -> None:
    async with open_remote_writer(RemoteWriteOptions("http://127.0.0.1:1/api/v1/write")) as writer:
        with pytest.raises(MetricsUnavailable) as caught:
            await writer.write([], POINT)
    assert detail_of(caught.value) == ("remote write to http://127.0.0.1:1 does not accept connections")
    assert "127.0.0.1" not in plain(str(caught.value))


async def test_the_token_of_a_file_and_a_tenant_are_sent(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    file = tmp_path / "token"
    options = RemoteWriteOptions(f"http://127.0.0.1:{port}/push", token_file=file, tenant="team-a")
    async with server, open_remote_writer(options) as writer:
        with pytest.raises(MetricsUnavailable, match="No such file or directory"):
            await writer.write([], POINT)
        file.write_text("first\n")
        await writer.write([], POINT)
    (head,) = heads
    lines = head.lower().split(b"\r\n")
    assert {b"authorization: bearer first", b"x-scope-orgid: team-a", b"x-prometheus-remote-write-version: 0.1.0"} <= {
        *lines
    }
