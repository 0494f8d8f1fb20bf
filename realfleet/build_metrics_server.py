"""Builds metrics-server from the Go module proxy into the cache, once."""

from pathlib import Path

from realfleet.build import build_once, find_go, run_go
from realfleet.cache import METRICS_SERVER_VERSION, metrics_server_folder


def build_metrics_server() -> Path:
    """Builds metrics-server if it is not there and gives the program. Raises MissingServersError.

    Some five minutes from cold on two cores; less where kube-apiserver was built before.
    """
    return build_once(metrics_server_folder(), _build_into) / "metrics-server"


def _build_into(staging: Path) -> None:
    print(f"building metrics-server {METRICS_SERVER_VERSION}", flush=True)
    module = f"sigs.k8s.io/metrics-server/cmd/metrics-server@v{METRICS_SERVER_VERSION}"
    run_go([find_go(), "install", "-trimpath", "-ldflags", "-s -w", module], cwd=staging, GOBIN=str(staging))
