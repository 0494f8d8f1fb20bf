"""`openmcp-apiserver check`."""

import os
import shutil
import sys
from pathlib import Path

import click

from server.commands.errors import examples
from server.commands.running import config_option, doubt_environment, load, run
from server.logs import configure_logging
from server.progress import open_progress


@click.command(
    epilog=examples(
        "check",
        "check --config openmcp.yaml --strict",
        "check --output json",
    )
)
@config_option
@click.option("--strict", is_flag=True, help="Exit 1 for a cluster that can't be used, too.")
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people, or for programs: the form of JSON stays as docs/reference/check.md says.",
)
def check(config_file: Path | None, output: str, *, strict: bool) -> None:
    """Try the configuration, and say what is wrong and which command mends it. Nothing is written.

    Asks for: the signing key and users, issuers, ports, certificate, open files, audit log; which clusters there are,
    and of each whether it answers, its certificate, clock, rights, tokens and usage; the metric store, its points and
    their age; NATS.

    Exits 0 where `serve` is of use; 1 where something has to be mended first; 2 where the settings can't be read. A
    cluster that is ill is said, and is no reason for 1 (the server is made to serve without it) unless --strict is
    given, or no cluster takes this server's credential.
    """
    from server.check.rows import find_status, format_json, format_rows
    from server.check.run import run_checks

    settings = load(config_file, {})
    configure_logging(settings.logging.model_copy(update={"log_level": "error"}))
    for line in doubt_environment():
        click.echo(f"warning: {line}", err=True)
    with open_progress() as say:
        rows = run(lambda: run_checks(settings, say))
    status = find_status(rows, strict=strict)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    colours = False if os.environ.get("NO_COLOR") else None  # None: where it is a terminal
    click.echo(format_json(rows, status) if output == "json" else format_rows(rows, width), color=colours)
    ill = sum(row.is_member and not row.works for row in rows)
    if ill and not status:
        click.echo(f"{ill} of the clusters can't be used now; `serve` goes on without them", err=True)
    sys.exit(status)
