"""The command line. What a person gets wrong is one message and exit code 2.

Commands import what they run when they run it, so that the others, and messages about settings, come at once.
"""

import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import click

from fleet.model.errors import FleetError
from server.commands.can_i import can_i
from server.commands.check import check
from server.commands.config import config
from server.commands.errors import CliError, examples
from server.commands.login import kubeconfig, login
from server.commands.query import query
from server.commands.rights import rights
from server.commands.running import config_option, doubt_environment, load, run
from server.commands.tokens import token
from server.commands.users import user
from server.logs import configure_logging
from server.settings.clusters import ClusterSettings
from server.settings.environment import SettingsInvalid
from server.settings.groups import NO_SIGNING_KEY, PUBLISHED_SIGNING_KEY, Settings
from server.shared_state import OWN_HISTORY, keeps_own_history
from server.workers.peers import Worker

_log = logging.getLogger(__name__)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "check",
        "serve",
        "demo",
    ),
)
@click.version_option(package_name="openmcp-apiserver", message="%(version)s")
def main() -> None:
    """One GraphQL graph and the OpenMCP REST URLs in front of a federation of Kubernetes clusters."""


@main.command(
    epilog=examples(
        "serve --config openmcp.yaml",
        "serve --port 8443 --ops-port 9090",
    )
)
@config_option
@click.option("--host", help="Overrides OPENMCP_HOST.")
@click.option("--port", type=int, help="Overrides OPENMCP_PORT.")
@click.option("--ops-port", type=int, help="Overrides OPENMCP_OPS_PORT.")
def serve(config_file: Path | None, host: str | None, port: int | None, ops_port: int | None) -> None:
    """Run the server; all configuration is by environment or file."""
    given = {"OPENMCP_HOST": host, "OPENMCP_PORT": port, "OPENMCP_OPS_PORT": ops_port}
    settings = load(config_file, {name: str(value) for name, value in given.items() if value is not None})
    if settings.auth.signing_key is None:
        raise CliError(NO_SIGNING_KEY)
    from server.found import open_told_state
    from server.serve import run_server

    configure_logging(settings.logging)
    _check_kubeconfig(settings.clusters)
    _warn(settings)
    if settings.http.workers > 1:
        _serve_with_workers(settings)
    run(lambda: run_server(settings, open_told_state))


def _serve_with_workers(settings: Settings) -> NoReturn:
    from server.collecting import check_workers
    from server.found import open_told_state
    from server.lifespan import open_state
    from server.metric_file import open_metric_file
    from server.metric_store import prepare_metric_store
    from server.serve import run_server
    from server.workers.supervisor import run_workers

    if settings.state.state == "nats":
        import fleet.replication.replica  # noqa: F401 - before the fork, so that workers share it

    def serve_one(settings: Settings, worker: Worker, on_listening: Callable[[], None]) -> None:
        opens = open_told_state if worker.is_writer else partial(open_state, writes=False)
        try:
            run(lambda: run_server(settings, opens, worker=worker, on_listening=lambda _: on_listening()))
        except CliError as error:
            error.show()
            sys.exit(error.exit_code)

    try:
        check_workers(settings)
        with open_metric_file(settings) as placed:
            prepare_metric_store(placed)
            sys.exit(run_workers(placed, serve_one))
    except (SettingsInvalid, FleetError) as error:
        raise CliError(str(error)) from error


@main.command(
    epilog=examples(
        "demo",
        "demo --clusters 5 --pods 1000 --metrics prometheus",
    )
)
@click.option("--clusters", type=click.IntRange(1, 50), default=3, show_default=True, help="Members.")
@click.option("--pods", type=click.IntRange(1, 20_000), default=100, show_default=True, help="Pods of each member.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option(
    "--metrics",
    type=click.Choice(["embedded", "prometheus", "victoria-metrics"]),
    default="embedded",
    show_default=True,
    help="Where usage is kept: in the server's own store, or in one of these programs, where it is installed.",
)
def demo(clusters: int, pods: int, port: int, metrics: str) -> None:
    """Run a simulated fleet and the server in front of it, on loopback only."""
    from demo.run import run_demo

    run_demo(clusters, pods, port, metrics)


@main.command(
    epilog=examples(
        "schema > schema.graphql",
    )
)
def schema() -> None:
    """Print the GraphQL schema (SDL)."""
    from graph.schema import print_sdl

    click.echo(print_sdl().rstrip("\n"))


user.add_command(can_i)
for command in (check, config, rights, user, token, login, kubeconfig, query):
    main.add_command(command)


def _check_kubeconfig(clusters: ClusterSettings) -> None:
    """Names the files that are not there. Raises CliError where none is, which would be a server of no cluster."""
    missing = [path for path in clusters.kubeconfig if not os.access(path, os.F_OK)]
    needed = clusters.host_files or clusters.cluster_source == ("kubeconfig",)
    if len(missing) == len(clusters.kubeconfig) and needed:
        files = ", ".join(map(str, missing)) or "no file"
        raise CliError(f"the kubeconfig is not there: OPENMCP_KUBECONFIG (or KUBECONFIG) names {files}, must name one")
    for path in missing:
        _log.warning("kubeconfig %s is not there: the clusters of the other files are served", path)


def _warn(settings: Settings) -> None:
    """Says what is allowed but hardly meant."""
    for line in doubt_environment():
        _log.warning("%s", line)
    key = settings.auth.signing_key
    if key is not None and key.get_secret_value() == PUBLISHED_SIGNING_KEY:
        _log.warning(
            "the signing key is the one the platform publishes: whoever has read it can sign tokens for any user; "
            "`openssl rand -hex 32` prints another"
        )
    if settings.http.tls_cert_file is None and settings.http.host not in ("127.0.0.1", "::1", "localhost"):
        _log.warning("passwords and tokens pass in plain HTTP without OPENMCP_TLS_CERT_FILE and OPENMCP_TLS_KEY_FILE")
    if keeps_own_history(settings):
        _log.warning(OWN_HISTORY)
