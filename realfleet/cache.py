"""Where the real servers are kept: a folder outside the clone, keyed by versions and the sources built from."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "1.36.3"
KWOK_VERSION = "0.7.0"
INFLUX2_VERSION = "2.7.12"
NATS_VERSION = "2.15.2"
METRICS_SERVER_VERSION = "0.9.0"
OTEL_COLLECTOR_VERSION = "0.165.0"

CONTROLPLANE_SOURCES = Path(__file__).parent / "controlplane"
_SOURCE_NAMES = ("go.mod", "go.sum", "main.go")
# Debian's package leaves the server outside of some users' PATH.
_SYSTEM_FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/local/bin")


@dataclass(frozen=True)
class Binaries:
    """The programs a fleet is made of."""

    controlplane: Path
    """etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl: the first argument names the part."""
    kubectl: Path
    kwok: Path
    influxd: Path


class MissingServersError(Exception):
    """Real servers are not there; the message says which, and what to install where building is not enough."""


def cache_root(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of all builds: OPENMCP_REAL_CACHE, else below XDG_CACHE_HOME, else below ~/.cache."""
    if named := environment.get("OPENMCP_REAL_CACHE"):
        return Path(named).expanduser()
    if home := environment.get("XDG_CACHE_HOME"):
        return Path(home).expanduser() / "openmcp-apiserver"
    return Path.home() / ".cache" / "openmcp-apiserver"


def build_folder(root: Path | None = None) -> Path:
    """The folder of this build: another version or another line of the module's sources is another folder."""
    digest = hashlib.sha256()
    for name in _SOURCE_NAMES:
        digest.update((CONTROLPLANE_SOURCES / name).read_bytes())
    key = f"kubernetes-{KUBERNETES_VERSION}-kwok-{KWOK_VERSION}-{digest.hexdigest()[:12]}"
    return (root or cache_root()) / key


def find_influxd() -> Path | None:
    """InfluxDB 1.x as the system has it, or None."""
    return _find_program("influxd")


def _find_program(name: str) -> Path | None:
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_FOLDERS)))
    return Path(found) if found else None


def influx2_folder(root: Path | None = None) -> Path:
    """The folder of InfluxDB 2.7, which has nothing of the others in it and so a key of its own."""
    return (root or cache_root()) / f"influxdb-{INFLUX2_VERSION}"


def find_influx2() -> Path:
    """InfluxDB 2.7 as `build_influx2` left it. Raises MissingServersError."""
    found = influx2_folder() / "influxd"
    if not found.is_file():
        raise MissingServersError(f"InfluxDB {INFLUX2_VERSION} is not built in {found.parent}")
    return found


def nats_folder(root: Path | None = None) -> Path:
    """The folder of today's nats-server."""
    return (root or cache_root()) / f"nats-{NATS_VERSION}"


def metrics_server_folder(root: Path | None = None) -> Path:
    """The folder of metrics-server."""
    return (root or cache_root()) / f"metrics-server-{METRICS_SERVER_VERSION}"


def find_metrics_server() -> Path:
    """metrics-server as `build_metrics_server` left it. Raises MissingServersError."""
    built = metrics_server_folder() / "metrics-server"
    if not built.is_file():
        raise MissingServersError(f"metrics-server {METRICS_SERVER_VERSION} is not built in {built.parent}")
    return built


def otel_collector_folder(root: Path | None = None) -> Path:
    """The folder of OpenTelemetry's collector."""
    return (root or cache_root()) / f"otel-collector-{OTEL_COLLECTOR_VERSION}"


def find_otel_collector() -> Path:
    """The collector as `build_otel_collector` left it. Raises MissingServersError."""
    built = otel_collector_folder() / "otelcol"
    if not built.is_file():
        raise MissingServersError(f"OpenTelemetry's collector {OTEL_COLLECTOR_VERSION} is not built in {built.parent}")
    return built


def find_packaged(program: str, package: str) -> Path:
    """A program of the system. Raises MissingServersError, which names its Debian package."""
    found = _find_program(program)
    if found is None:
        raise MissingServersError(f"{program} is not installed: apt-get install {package}")
    return found


def find_nats(*, packaged: bool = False) -> Path:
    """nats-server as `build_nats` left it, or the older one that the system has. Raises MissingServersError."""
    if packaged:
        return find_packaged("nats-server", "nats-server")
    built = nats_folder() / "nats-server"
    if not built.is_file():
        raise MissingServersError(f"nats-server {NATS_VERSION} is not built in {built.parent}")
    return built


def list_missing(folder: Path) -> list[str]:
    """What a fleet needs and this machine lacks, a sentence each; empty when all is there."""
    missing = [f"{name} is not built" for name in ("controlplane", "kubectl", "kwok") if not (folder / name).is_file()]
    if missing:
        missing = [f"{', '.join(missing)} in {folder}"]
    if find_influxd() is None:
        missing.append("influxd (InfluxDB 1.x) is not installed: apt-get install influxdb")
    return missing


def find_binaries() -> Binaries:
    """The programs of this build. Raises MissingServersError."""
    folder = build_folder()
    influxd = find_influxd()
    if (missing := list_missing(folder)) or influxd is None:
        raise MissingServersError("; ".join(missing))
    return Binaries(
        controlplane=folder / "controlplane",
        kubectl=folder / "kubectl",
        kwok=folder / "kwok",
        influxd=influxd,
    )
