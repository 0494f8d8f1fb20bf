"""Prometheus and VictoriaMetrics on loopback: how each is started so that it takes points of hours ago.

Both take remote writes at `/api/v1/write` and answer Prometheus' HTTP API, with a prefix before all paths or without.
"""

import enum
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

# Debian's packages leave servers outside of some users' PATH.
_FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/local/bin")
# Samples as old as this are taken, in whatever order they arrive.
_AGE = "20y"

_CONFIG = {"storage": {"tsdb": {"out_of_order_time_window": _AGE}}}


class MetricServerKind(enum.Enum):
    """The program of each is called like its Debian package."""

    PROMETHEUS = "prometheus"
    VICTORIA_METRICS = "victoria-metrics"

    @property
    def ready_path(self) -> str:
        """Answers 200 once it can be asked."""
        return "/-/ready" if self is MetricServerKind.PROMETHEUS else "/health"


class MetricServerConfig(Struct, frozen=True):
    """How a server is. `further` are sections of Prometheus' configuration file, of which VictoriaMetrics takes one.

    `web` is the content of Prometheus' web configuration file (TLS, basic auth), for which VictoriaMetrics has flags.
    """

    further: Mapping[str, Any] = {}
    web: str = ""
    prefix: str = ""
    flags: tuple[str, ...] = ()


def find_metric_server(kind: MetricServerKind) -> Path | None:
    """The program as the system has it."""
    found = shutil.which(kind.value, path=os.pathsep.join((os.environ.get("PATH", ""), *_FOLDERS)))
    return Path(found) if found else None


def build_command(
    kind: MetricServerKind, program: Path, folder: Path, port: int, config: MetricServerConfig | None = None
) -> list[str]:
    """What starts it, with all that it keeps in `folder`; writes its configuration there."""
    config = config or MetricServerConfig()
    address = f"127.0.0.1:{port}"
    file = folder / "config.yaml"
    if kind is MetricServerKind.VICTORIA_METRICS:
        file.write_text(json.dumps(config.further))
        return [
            str(program),
            f"-httpListenAddr={address}",
            f"-http.pathPrefix={config.prefix}",
            f"-storageDataPath={folder / 'data'}",
            f"-retentionPeriod={_AGE}",
            f"-promscrape.config={file}",
            # What is written shows at once, and an answer remembered from before what was written later is not given.
            "-search.latencyOffset=0s",
            "-search.disableCache",
            "-loggerLevel=WARN",
            *config.flags,
        ]
    file.write_text(json.dumps({**_CONFIG, **config.further}))  # JSON is YAML
    web = folder / "web.yaml"
    web.write_text(config.web)
    return [
        str(program),
        f"--web.listen-address={address}",
        f"--web.route-prefix={config.prefix or '/'}",
        f"--web.config.file={web}",
        "--web.enable-remote-write-receiver",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--storage.tsdb.retention.time={_AGE}",
        f"--config.file={file}",
        "--log.level=warn",
        *config.flags,
    ]
