"""Traces of this process: sampled, encoded and handed to the exporter."""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import version
from random import getrandbits

from fleet.aio import tracing
from fleet.aio.tracing import Kind, Span, Value
from server.settings.environment import SettingsInvalid
from server.settings.tracing import TracingSettings, read_pairs
from server.tracing.context import read_remote
from server.tracing.exporter import Exporter, Receiver
from server.tracing.otlp import encode_resource
from server.tracing.sampling import Sampler, build_sampler

FLUSH_SECONDS = 1.0
"""How long the end of the process waits for the last spans to be taken."""

_PATH = "/v1/traces"


class OtlpTracer:
    """The `Tracer` port."""

    def __init__(self, exporter: Exporter, sampler: Sampler) -> None:
        self.exporter = exporter
        self._sampler = sampler

    def begin(
        self, name: str, kind: Kind, attributes: dict[str, Value], headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> Span:
        remote = read_remote(headers)
        trace_id = getrandbits(128) if remote is None else remote.trace_id  # nosec B311 - tells traces apart
        sampled = self._sampler.keeps(trace_id, remote)
        if remote is None:
            return Span(name, kind, attributes, trace_id, sampled=sampled)
        return Span(name, kind, attributes, trace_id, remote.span_id, remote.state, sampled=sampled)

    def take(self, span: Span) -> None:
        self.exporter.put(span)


@asynccontextmanager
async def open_tracing(settings: TracingSettings) -> AsyncIterator[OtlpTracer]:
    """Traces until the `with` is left, which sends what waits. Raises SettingsInvalid."""
    try:
        exporter = Exporter(build_receiver(settings), build_resource(settings), version("openmcp-apiserver"))
    except OSError as error:
        raise SettingsInvalid([f"a certificate for OPENMCP_OTLP_ENDPOINT can't be read: {error}"]) from error
    tracer = OtlpTracer(exporter, build_sampler(settings.trace_sampler, _argument(settings)))
    before, tracing.tracer = tracing.tracer, tracer
    try:
        yield tracer
    finally:
        tracing.tracer = before
        await asyncio.to_thread(exporter.close, FLUSH_SECONDS)


def build_receiver(settings: TracingSettings) -> Receiver:
    url = (settings.otlp_endpoint or "").rstrip("/")
    return Receiver(
        url if url.endswith(_PATH) else url + _PATH,
        read_pairs(settings.otlp_headers.get_secret_value()) if settings.otlp_headers else {},
        settings.otlp_ca_file,
        settings.otlp_cert_file,
        settings.otlp_key_file,
    )


def build_resource(settings: TracingSettings) -> bytes:
    """Who this process is, by the semantic conventions of resources."""
    return encode_resource(
        {
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
            "service.instance.id": str(uuid.uuid4()),
            **read_pairs(settings.trace_resource),
            "service.name": settings.trace_service,
            "service.version": version("openmcp-apiserver"),
        }
    )


def _argument(settings: TracingSettings) -> float:
    return 1.0 if settings.trace_sampler_arg is None else settings.trace_sampler_arg
