"""Prometheus and VictoriaMetrics on loopback: how each is started so that it takes points of hours ago.

Both take remote writes at `/api/v1/write` and answer Prometheus' HTTP API, with a prefix before all paths or without.
"""

import asyncio
import contextlib
import enum
import json
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import urllib3
from msgspec import Struct

# Debian's packages leave servers outside of some users' PATH.
_FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/local/bin")
# Samples as old as this are taken, in whatever order they arrive.
_AGE = "20y"

_CONFIG = {"storage": {"tsdb": {"out_of_order_time_window": _AGE}}}

# Ends the server when the pipe that it reads is closed, which it is when this process is gone, however that may be.
_TIED = 'exec 3<&0; "$@" & server=$!; (read -r _ <&3; kill $server) & wait $server'
_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_LOOK_SECONDS = 0.05


class NoMetricServer(Exception):
    """There is none, or it did not start; the message says what would help."""


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
        # Started again, it would look for blocks of two hours through all of that time: minutes of a processor.
        f"--storage.tsdb.min-block-duration={_AGE}",
        f"--config.file={file}",
        "--log.level=warn",
        *config.flags,
    ]


@contextlib.asynccontextmanager
async def open_metric_server(
    kind: MetricServerKind, folder: Path, find: Callable[[MetricServerKind], Path | None] = find_metric_server
) -> AsyncIterator[str]:
    """Starts it with all it keeps in `folder`; gives its base URL. Raises NoMetricServer."""
    program = find(kind)
    if program is None:
        others = [other.value for other in MetricServerKind if other is not kind and find(other)]
        instead = f", or --metrics {others[0]}, which is installed" if others else ""
        raise NoMetricServer(
            f"{kind.value} is not installed: apt-get install {kind.value}, or --metrics embedded, which needs nothing"
            + instead
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", _TIED, "sh", *build_command(kind, program, folder, port)),
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        await _wait_ready(process, kind, url, log)
        yield url
    finally:
        await _stop(process)


async def _wait_ready(process: asyncio.subprocess.Process, kind: MetricServerKind, url: str, log: Path) -> None:
    url += kind.ready_path
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while process.returncode is None:
                with contextlib.suppress(urllib3.exceptions.HTTPError):
                    if (await asyncio.to_thread(urllib3.request, "GET", url, retries=False, timeout=1.0)).status == 200:
                        return
                await asyncio.sleep(_LOOK_SECONDS)
    said = await asyncio.to_thread(log.read_text, errors="replace")
    raise NoMetricServer(f"{kind.value} did not start: {said[-1000:]}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
