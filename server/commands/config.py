"""`openmcp-apiserver config`: what the settings are, without starting anything."""

import os
from pathlib import Path

import click
import msgspec

from server.commands.errors import CliError, examples, format_table
from server.commands.running import config_option
from server.settings.effective import list_effective
from server.settings.environment import SettingsInvalid


@click.group(
    epilog=examples(
        "config show --changed",
    )
)
def config() -> None:
    """Look at the settings."""


@config.command(
    epilog=examples(
        "config show --changed",
        "config show --config openmcp.yaml --output json",
    )
)
@config_option
@click.option("--changed", is_flag=True, help="Only what is not the default.")
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def show(config_file: Path | None, output: str, *, changed: bool) -> None:
    """Print each setting that counts now and where it is from; secrets are masked."""
    try:
        found = [each for each in list_effective(os.environ, config_file) if not (changed and each.is_default)]
    except SettingsInvalid as error:
        raise CliError(str(error)) from error
    if output == "json":
        by_name = {each.name: {"value": each.value, "from": each.source} for each in found}
        click.echo(msgspec.json.format(msgspec.json.encode(by_name), indent=2).decode())
        return
    rows = [(each.name, each.value if isinstance(each.value, str) else ", ".join(each.value or "-")) for each in found]
    table = [(*row, each.source) for row, each in zip(rows, found, strict=True)]
    click.echo(format_table([("NAME", "VALUE", "FROM"), *table]))
