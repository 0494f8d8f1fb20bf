"""Builds today's nats-server from the Go module proxy into the cache, once; Debian's is another, older one."""

from pathlib import Path

from realfleet.build import build_once, find_go, run_go
from realfleet.cache import NATS_VERSION, nats_folder


def build_nats() -> Path:
    """Builds nats-server if it is not there and gives the program. Raises MissingServersError.

    A minute from cold on two cores.
    """
    return build_once(nats_folder(), _build_into) / "nats-server"


def _build_into(staging: Path) -> None:
    print(f"building nats-server {NATS_VERSION}", flush=True)
    module = f"github.com/nats-io/nats-server/v2@v{NATS_VERSION}"
    run_go([find_go(), "install", "-trimpath", "-ldflags", "-s -w", module], cwd=staging, GOBIN=str(staging))
