"""Builds OpenTelemetry's collector by its own builder from the Go module proxy into the cache, once."""

import shutil
from pathlib import Path

from realfleet.build import build_once, find_go, run_go
from realfleet.cache import OTEL_COLLECTOR_VERSION, otel_collector_folder

_MODULES = "go.opentelemetry.io/collector"
_MANIFEST = f"""
dist: {{name: otelcol, module: openmcp/otelcol, output_path: sources}}
receivers:
- gomod: {_MODULES}/receiver/otlpreceiver v{OTEL_COLLECTOR_VERSION}
exporters:
- gomod: {_MODULES}/exporter/otlphttpexporter v{OTEL_COLLECTOR_VERSION}
"""


def build_otel_collector() -> Path:
    """Builds the collector if it is not there and gives the program. Raises MissingServersError.

    Two minutes of a processor from cold.
    """
    return build_once(otel_collector_folder(), _build_into) / "otelcol"


def _build_into(staging: Path) -> None:
    print(f"building OpenTelemetry's collector {OTEL_COLLECTOR_VERSION}", flush=True)
    (staging / "manifest.yaml").write_text(_MANIFEST)
    run_go([find_go(), "install", f"{_MODULES}/cmd/builder@v{OTEL_COLLECTOR_VERSION}"], staging, GOBIN=str(staging))
    run_go([str(staging / "builder"), "--config=manifest.yaml"], cwd=staging)
    (staging / "sources" / "otelcol").rename(staging / "otelcol")
    shutil.rmtree(staging / "sources")
    (staging / "builder").unlink()
