"""Spans on their way to a real collector: as they are, and without anybody who waits."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import pytest

from fleet.aio.tracing import Kind, Span, Value
from realfleet.otel_collector import OtelCollector, start_otel_collector
from realfleet.processes import open_servers
from server.figures.process import SPANS
from server.settings.tracing import TracingSettings
from server.tracing.exporter import MOST_WAITING, Exporter, Receiver
from server.tracing.otlp import encode_resource
from server.tracing.tracer import open_tracing
from tests.fakes.span_sink import SpanSink, open_span_sink
from tests.fakes.waiting import until
from tests.server.figures.reading import read_samples, write

RESOURCE = encode_resource({"service.name": "here"})
VALUES: dict[str, Value] = {
    "text": "über " + "x" * 500,
    "empty": "",
    "surrogate": "\ud800",
    "number": -7,
    "large": (1 << 63) - 1,
    "fraction": 0.1,
    "yes": True,
    "no": False,
    "one": 1,
}


@pytest.fixture(scope="module")
def sink() -> Iterator[SpanSink]:
    with open_span_sink() as opened:
        yield opened


@pytest.fixture(scope="module")
def collector(sink: SpanSink) -> Iterator[OtelCollector]:
    with open_servers() as servers:
        yield start_otel_collector(servers, sink.url)


def build_span(name: str, trace_id: int, **more: object) -> Span:
    span = Span(name, Kind.CLIENT, {}, trace_id)
    for key, value in more.items():
        setattr(span, key, value)
    span.end_ns = span.start_ns + 1
    return span


@pytest.mark.real
async def test_a_span_arrives_as_it_is(sink: SpanSink, collector: OtelCollector) -> None:
    whole = build_span("whole", 1 << 127, parent_id=5, state=b"a=b", attributes=VALUES, failed=True)
    async with open_tracing(TracingSettings(otlp_endpoint=collector.endpoint, trace_resource="a=b%20c")) as tracer:
        tracer.take(whole)
        tracer.take(build_span("root", 1 << 127))
    found = {span.name: span for span in sink.of(f"{1 << 127:032x}")}
    arrived, root = found["whole"], found["root"]
    assert (arrived.service, arrived.kind, arrived.failed) == ("openmcp-apiserver", 3, True)
    assert (arrived.span_id, arrived.parent_id, arrived.state) == (f"{whole.span_id:016x}", f"{5:016x}", "a=b")
    assert arrived.attributes == VALUES | {"surrogate": "?"}
    assert [type(arrived.attributes[key]) for key in ("one", "yes")] == [int, bool]
    assert (root.parent_id, root.failed, root.attributes) == ("", False, {})


@pytest.mark.real
async def test_a_collector_that_is_away_costs_a_line_and_what_is_too_much(
    sink: SpanSink, collector: OtelCollector, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "server.tracing.exporter")
    await asyncio.to_thread(collector.server.stop)
    exporter = Exporter(Receiver(f"{collector.endpoint}/v1/traces"), RESOURCE, "1")
    exporter.put(build_span("first", 2))
    await until(lambda: caplog.messages, what="a line of the log")
    for _ in range(MOST_WAITING + 100):
        exporter.put(build_span("more", 2))
    assert exporter.dropped == 100
    await asyncio.to_thread(collector.server.start)
    await until(lambda: exporter.sent == MOST_WAITING + 1, what="all that was kept", every=0.05)
    assert len(sink.of(f"{2:032x}")) == MOST_WAITING + 1
    complained, settled = caplog.messages
    assert "NewConnectionError" in complained
    assert "taken again" in settled
    samples = read_samples(write(SPANS, exporter))
    assert samples['openmcp_trace_spans_total{outcome="sent"}'] == MOST_WAITING + 1
    assert samples['openmcp_trace_spans_total{outcome="dropped"}'] == 100
    exporter.close(1.0)


async def test_the_end_does_not_wait_for_who_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        exporter = Exporter(Receiver(f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"), RESOURCE, "1")
        exporter.put(build_span("lost", 3))
        await asyncio.to_thread(exporter.close, 0.1)
        assert exporter.sent == 0


async def test_an_answer_without_end_is_not_read() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n\r\n")
        with contextlib.suppress(OSError):
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/traces"
        exporter = Exporter(Receiver(url), RESOURCE, "1")
        exporter.put(build_span("first", 1))
        await until(lambda: exporter.sent == 1, what="that a span is taken")
        exporter.put(build_span("second", 2))
        await until(lambda: exporter.sent == 2, what="that another is taken")
        await asyncio.to_thread(exporter.close, 1.0)


async def test_what_is_refused_for_good_is_not_sent_again(sink: SpanSink, caplog: pytest.LogCaptureFixture) -> None:
    sink.status = 400
    exporter = Exporter(Receiver(f"{sink.url}/v1/traces"), RESOURCE, "1")
    exporter.put(build_span("refused", 4))
    await until(lambda: exporter.refused == 1, what="the refusal")
    sink.status = 200
    exporter.close(1.0)
    assert "HTTP 400" in caplog.text
