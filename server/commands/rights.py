"""`openmcp-apiserver rights`: the least that this server has to be allowed, as objects for `kubectl apply`."""

from pathlib import Path
from typing import get_args

import click
import yaml

from server.commands.errors import CliError, examples
from server.commands.running import config_option, load
from server.rights import Where, wanted
from server.roles import RBAC, build_roles

_NAME = "openmcp-apiserver-least"


@click.command(
    epilog=examples(
        "rights --user system:serviceaccount:openmcp:openmcp-apiserver | kubectl apply --server-side -f -",
        "rights --where host --where member --user openmcp > rights.yaml",
    )
)
@config_option
@click.option(
    "--where",
    "places",
    type=click.Choice(get_args(Where)),
    multiple=True,
    default=["member"],
    show_default=True,
    help="What kind of cluster it is for; a host that is a member too takes both.",
)
@click.option("--user", help="Whom the cluster takes this server for, as `kubectl auth whoami` says.")
@click.option("--group", help="The same, a group.")
def rights(config_file: Path | None, places: tuple[Where, ...], user: str | None, group: str | None) -> None:
    """Print the least rights that these settings take, as roles and bindings in YAML."""
    if (user is None) == (group is None):
        raise CliError("name whom the rights are for, by --user or by --group")
    settings = load(config_file, {})
    subject = {"apiGroup": RBAC, "kind": "User" if user else "Group", "name": user or group or ""}
    needed = [right for place in dict.fromkeys(places) for right in wanted(settings, place)]
    click.echo(yaml.safe_dump_all(build_roles(needed, _NAME, subject), sort_keys=False), nl=False)
