"""OpenTelemetry's collector on loopback: takes OTLP over HTTP and gRPC, and hands spans on as JSON."""

import socket
from functools import partial

from msgspec import Struct

from realfleet.cache import find_otel_collector
from realfleet.kubeconfig import write_private
from realfleet.ports import list_free_ports
from realfleet.processes import Server, Servers

_READY_SECONDS = 60.0
_CONFIG = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http: {{endpoint: "127.0.0.1:{http}"}}
exporters:
  otlp_http:
    endpoint: {sink}
    encoding: json
    compression: none
    sending_queue: {{enabled: false}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
"""


class OtelCollector(Struct, frozen=True):
    """`http` and `grpc` are its ports."""

    http: int
    grpc: int
    server: Server

    @property
    def endpoint(self) -> str:
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be."""
        return f"http://127.0.0.1:{self.http}"


def start_otel_collector(servers: Servers, sink: str) -> OtelCollector:
    """Starts a collector that posts what it gets to `sink`/v1/traces, and waits for it.

    Raises FleetError, MissingServersError.
    """
    http, grpc = list_free_ports(2)
    file = write_private(servers.folder / "otelcol.yaml", _CONFIG.format(http=http, grpc=grpc, sink=sink))
    server = servers.start("otelcol", [str(find_otel_collector()), f"--config={file}"])
    for port in (http, grpc):
        servers.wait_until(partial(_listens, port), f"the collector listens on {port}", _READY_SECONDS)
    return OtelCollector(http, grpc, server)


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0
