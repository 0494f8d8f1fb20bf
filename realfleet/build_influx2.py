"""Builds InfluxDB 2.7 from the Go module proxy and crates.io into the cache, once.

Its query engine (Flux) is Rust that a `pkg-config` of InfluxData's own builds while Go does. It pins a toolchain older
than today's and refuses today's warnings, so both are overruled: by rustup's own variable, and by a compiler wrapper,
since flags of the environment do not reach what Flux builds for its build.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from realfleet.build import build_once, run_go
from realfleet.cache import INFLUX2_VERSION, MissingServersError, influx2_folder

_MODULE = "github.com/influxdata/influxdb/v2"
# `go list -m -versions` does not name it; it is the newest that this server's go.mod asks for.
_PKG_CONFIG = "github.com/influxdata/pkg-config@v0.2.14"
_RUSTC = '#!/bin/sh\nexec "$@" --cap-lints warn\n'
_TAGS = "sqlite_foreign_keys,sqlite_json"  # without `assets`: no pages, no Node build


def build_influx2() -> Path:
    """Builds InfluxDB 2.7 if it is not there and gives the program; a second call does nothing.

    Five minutes from cold on two cores. Raises MissingServersError: a compiler is missing, or the build failed.
    """
    return build_once(influx2_folder(), _build_into) / "influxd"


def _build_into(staging: Path) -> None:
    go = _find_compilers()
    print(f"building InfluxDB {INFLUX2_VERSION}: minutes the first time", flush=True)
    run_go([go, "install", _PKG_CONFIG], cwd=staging, GOBIN=str(staging))
    wrapper = staging / "rustc"
    wrapper.write_text(_RUSTC)
    wrapper.chmod(0o755)
    options = ["-trimpath", "-ldflags", f"-s -w -X main.version=v{INFLUX2_VERSION}", "-tags", _TAGS]
    run_go(
        [go, "build", *options, "-o", str(staging / "influxd"), "./cmd/influxd"],
        cwd=_download(go, staging),
        CGO_ENABLED="1",
        PKG_CONFIG=str(staging / "pkg-config"),
        RUSTC_WRAPPER=str(wrapper),
        **_toolchain(staging),
    )


def _find_compilers() -> str:
    """Go's path. Raises MissingServersError that names what else is missing."""
    needed = {"go": "Go 1.26 or newer (https://go.dev/doc/install)", "cargo": "Rust 1.80 or newer (https://rustup.rs)"}
    needed |= {"gcc": "gcc", "pkg-config": "pkg-config"}
    missing = [text for program, text in needed.items() if shutil.which(program) is None]
    if missing:
        raise MissingServersError(f"InfluxDB {INFLUX2_VERSION} can't be built here: install {', '.join(missing)}")
    return str(shutil.which("go"))


def _download(go: str, staging: Path) -> Path:
    """Where the module's sources are, in Go's own module cache."""
    command = [go, "mod", "download", "-json", f"{_MODULE}@v{INFLUX2_VERSION}"]
    done = subprocess.run(command, cwd=staging, env=os.environ | {"GOWORK": "off"}, check=False, stdout=subprocess.PIPE)
    if done.returncode != 0:
        raise MissingServersError(f"{_MODULE} could not be downloaded: {done.stdout.decode(errors='replace')[-500:]}")
    return Path(json.loads(done.stdout)["Dir"])


def _toolchain(folder: Path) -> dict[str, str]:
    """The toolchain that is in use here, in place of the one that Flux pins; nothing where there is no rustup."""
    rustup = shutil.which("rustup")
    if rustup is None:
        return {}
    command = [rustup, "show", "active-toolchain"]
    shown = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True).stdout.split()
    return {"RUSTUP_TOOLCHAIN": shown[0]} if shown else {}
