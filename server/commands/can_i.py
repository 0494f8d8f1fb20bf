"""`openmcp-apiserver user can-i`: the roles' answer, without a server."""

import sys
from pathlib import Path

import click
from msgspec.structs import replace

from auth.policy import authorize_request
from auth.principal import Principal
from fleet.model.errors import ClusterNotFound, Forbidden
from fleet.model.request_info import RequestInfo
from server.commands.errors import examples
from server.commands.users import file_option, get_entry, load_entries


@click.command(
    "can-i",
    epilog=examples(
        "user can-i alice delete pods --cluster cluster1 --namespace shop --file users.yaml",
        "user can-i alice list nodes --cluster cluster1 --file users.yaml",
    ),
)
@click.argument("name")
@click.argument("verb")
@click.argument("resource")
@click.option("--cluster", required=True, help="In which cluster.")
@click.option("--namespace", help="In which namespace; left out: in all at once.")
@click.option("--group", "groups", multiple=True, help="A group that an issuer says the user is in; may be repeated.")
@click.option("--labels", default="", help="Labels of the cluster, such as env=prod, where rights go by them.")
@file_option
def can_i(
    name: str,
    verb: str,
    resource: str,
    cluster: str,
    namespace: str | None,
    groups: tuple[str, ...],
    labels: str,
    path: Path,
) -> None:
    """Say whether a user may do something to RESOURCE, such as pods, pods/exec or deployments.apps; exit 1 for no.

    By roles; with OPENMCP_AUTHORIZATION=impersonate the cluster's own rules decide besides.
    """
    users = load_entries(path)
    found = get_entry(users, name, path)
    entries = [found, *(get_entry(users, f"group {group}", path) for group in groups)]
    kind, _, group = resource.partition(".")
    kind, _, part = kind.partition("/")
    group, _, late_part = group.partition("/")
    part = part or late_part
    info = RequestInfo(verb.lower(), True, group, "v1", kind, part or None, namespace)
    own = dict(pair.split("=", 1) for pair in labels.split(",") if "=" in pair)
    parts = [
        Principal(each.name, each.scope.resolve({cluster: own}), each.groups, writes=each.writes) for each in entries
    ]
    try:
        authorize_request(replace(parts[0], apart=tuple(parts)), cluster, info)
    except Forbidden as error:
        click.echo(f"no: {error}")
        sys.exit(1)
    except ClusterNotFound:
        click.echo(f"no: user {name!r} does not reach cluster {cluster!r}")
        sys.exit(1)
    click.echo("yes")
