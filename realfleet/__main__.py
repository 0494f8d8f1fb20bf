"""`python -m realfleet build` and `python -m realfleet up`: what `make real` and `make fleet` call."""

import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click

from realfleet.build import build_servers
from realfleet.build_clients import build_clients, find_client
from realfleet.build_influx2 import build_influx2
from realfleet.build_metrics_server import build_metrics_server
from realfleet.build_nats import build_nats
from realfleet.build_otel_collector import build_otel_collector
from realfleet.cache import (
    MissingServersError,
    build_folder,
    find_influx2,
    find_metrics_server,
    find_nats,
    find_otel_collector,
    list_missing,
)
from realfleet.client import KubeError
from realfleet.fleet import Fleet, open_fleet
from realfleet.influx import InfluxError
from realfleet.kubeconfig import write_private
from realfleet.processes import FleetError
from server.progress import open_progress

_FOLDER = Path(".fleet")


@click.group()
def main() -> None:
    """Real servers for tests, benchmarks and a look by hand."""


@main.command()
@click.option("--check", is_flag=True, help="Only say what is missing; exit 1 if anything is.")
def build(*, check: bool) -> None:
    """Build the real servers into a cache outside the clone; a second call does nothing."""
    try:
        if check:
            if missing := list_missing(build_folder()):
                raise click.ClickException("\n".join(missing))
            find_influx2()
            find_nats()
            find_metrics_server()
            find_otel_collector()
            find_client("helm")
            return
        built = (
            build_servers(),
            build_influx2().parent,
            build_nats().parent,
            build_metrics_server().parent,
            build_otel_collector().parent,
            build_clients(),
        )
    except MissingServersError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"real servers and clients are in {', '.join(map(str, built))}")


def _build_all() -> list[Path]:
    """The folders that they are in. Minutes, the first time."""
    parts = {
        "kube-apiserver, etcd, kwok, kubectl and InfluxDB": build_servers,
        "InfluxDB 2": lambda: build_influx2().parent,
        "nats-server": lambda: build_nats().parent,
        "metrics-server": lambda: build_metrics_server().parent,
        "clients": build_clients,
    }
    built = []
    with open_progress() as say:
        for number, (name, build_part) in enumerate(parts.items(), 1):
            say(f"{number} of {len(parts)}: {name}")
            built.append(build_part())
    return built


@main.command()
@click.option("--members", type=click.IntRange(1, 15), default=3, show_default=True)
@click.option("--pods", type=click.IntRange(1), default=300, show_default=True, help="Of each member.")
@click.option("--nodes", type=click.IntRange(1, 250), default=3, show_default=True, help="Of each member.")
@click.option("--metrics-servers", is_flag=True, help="A metrics-server in each member, for `kubectl top`.")
def up(members: int, pods: int, nodes: int, *, metrics_servers: bool) -> None:
    """Run a fleet in the foreground until Ctrl-C; prints `ready` when pods run and metrics arrive."""
    signal.signal(signal.SIGTERM, _interrupt)
    click.echo(f"starting a host and {members} members with {pods} pods each")
    try:
        with ExitStack() as stack:
            with open_progress() as say:
                say(f"starting {members + 1} API servers, and waiting until all pods run and metrics arrive")
                fleet = stack.enter_context(open_fleet(members, pods, nodes, metrics_servers=metrics_servers))
            _hand_over(fleet)
    except KeyboardInterrupt:
        click.echo("stopped")
    except (FleetError, InfluxError, KubeError, MissingServersError) as error:
        raise click.ClickException(str(error)) from error


def _hand_over(fleet: Fleet) -> None:
    """Writes the fleet's files, says `ready`, and takes the files back when the fleet ends."""
    _FOLDER.mkdir(exist_ok=True)
    kubeconfig = _FOLDER / "kubeconfig"
    environment = _FOLDER / "env"
    try:
        write_private(kubeconfig, fleet.kubeconfig.read_text())
        variables = fleet.environment(kubeconfig.resolve())
        write_private(environment, "".join(f"export {name}='{value}'\n" for name, value in variables.items()))
        click.echo(f"kubectl --kubeconfig {kubeconfig} --context cluster1 get pods -A")
        command = Path(sys.executable).with_name("openmcp-apiserver")
        click.echo(f". {environment}; {command} serve")
        click.echo("ready")
        threading.Event().wait()
    finally:
        # They lead to servers that are about to end.
        for path in (kubeconfig, environment):
            path.unlink(missing_ok=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
