"""`openmcp-apiserver rights`: the least that this server has to be allowed, as objects for `kubectl apply`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import click
import yaml

from server.commands.errors import CliError
from server.commands.running import config_option, load
from server.rights import Right, Where, wanted

_GROUP = "rbac.authorization.k8s.io"
_NAME = "openmcp-apiserver-least"


@click.command()
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
    subject = {"apiGroup": _GROUP, "kind": "User" if user else "Group", "name": user or group}
    needed = [right for place in dict.fromkeys(places) for right in wanted(settings, place)]
    click.echo(yaml.safe_dump_all(_build_objects(needed, subject), sort_keys=False), nl=False)


def _build_objects(needed: Iterable[Right], subject: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A role and its binding for all of the cluster, and one each for a namespace."""
    places: defaultdict[str | None, list[Right]] = defaultdict(list)
    for right in needed:
        places[right.namespace].append(right)
    for namespace, some in places.items():
        kind = "Role" if namespace else "ClusterRole"
        head = {"apiVersion": f"{_GROUP}/v1", "kind": kind}
        metadata = {"name": _NAME} | ({"namespace": namespace} if namespace else {})
        yield {**head, "metadata": metadata, "rules": [_build_rule(right) for right in some]}
        role = {"apiGroup": _GROUP, "kind": kind, "name": _NAME}
        yield {**head, "kind": f"{kind}Binding", "metadata": metadata, "roleRef": role, "subjects": [subject]}


def _build_rule(right: Right) -> dict[str, Any]:
    rule = {"apiGroups": [right.group], "resources": [right.resource], "verbs": list(right.verbs)}
    return rule | ({"resourceNames": list(right.names)} if right.names else {})
