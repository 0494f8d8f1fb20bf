"""`openmcp-apiserver login`, which kubectl runs too, and `openmcp-apiserver kubeconfig`."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from msgspec import Struct

from auth.errors import AuthError
from auth.oidc.issuer import Issuer, check_issuers
from fleet.model.request_info import survives_urls
from fleet.model.unreadable import UNREADABLE
from server.commands.errors import CliError, examples, password_option
from server.commands.kubeconfig import Client, ServerRefused, Trust, build_kubeconfig, parse_server
from server.commands.sessions import ByIssuer, ByPassword, Way, build_exec_credential, forget, sign_in
from server.own_command import NAME, own_command

_API_VERSION = "client.authentication.k8s.io/v1"
_HINT = "openmcp-apiserver signs in to {server}; install it with pip or pipx"

C = TypeVar("C", bound=Callable[..., Any])

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


class _ExecSpec(Struct):
    interactive: bool = True


class _ExecInfo(Struct, rename="camel"):
    """What kubectl tells a credential plugin, in KUBERNETES_EXEC_INFO."""

    api_version: str = _API_VERSION
    spec: _ExecSpec = msgspec.field(default_factory=_ExecSpec)


class Given(Struct, frozen=True):
    """The options by which a person signs in; `issuer` and `client_id` are found out where they are left out."""

    server: str
    user: str | None
    issuer: str | None
    client_id: str | None
    scope: str
    ca_file: Path | None
    issuer_ca_file: Path | None
    insecure: bool
    port: int
    no_browser: bool

    @property
    def client(self) -> Client:
        return Client(self.server, Trust(ca_file=self.ca_file, insecure=self.insecure))

    def find_way(self) -> Way:
        """Raises CliError, ServerRefused, IssuerInvalid, OSError."""
        if self.user is not None:
            if self.issuer is not None:
                raise CliError("--user is for a password of this server, --issuer for a browser: name one of them")
            return ByPassword(self.client, self.server, self.user, _may_ask())
        url, client_id, scope = self.issuer, self.client_id, self.scope
        if url is None or client_id is None:
            offers = [offer for offer in self.client.list_offers() if url in (None, offer["issuer"])]
            if len(offers) != 1:
                known = ", ".join(offer["issuer"] for offer in offers) or "none"
                raise CliError(f"the server's issuers are: {known}; name one by --issuer, or a user by --user")
            url, client_id, scope = offers[0]["issuer"], client_id or offers[0]["clientId"], scope or offers[0]["scope"]
        authority = self.issuer_ca_file.read_text() if self.issuer_ca_file else None
        issuer = Issuer(url, (client_id,), certificate_authority=authority, scope=scope)
        check_issuers([issuer])
        return ByIssuer(issuer, self.port, not self.no_browser)

    def as_arguments(self, way: Way) -> list[str]:
        """The same for `login`, without anything to be found out."""
        arguments = ["login", "--server", self.server]
        if isinstance(way, ByIssuer):
            issuer = way.issuer
            arguments += ["--issuer", issuer.url, "--client-id", issuer.audiences[0], "--scope", issuer.scope]
        files = (("--user", self.user), ("--ca-file", self.ca_file), ("--issuer-ca-file", self.issuer_ca_file))
        for name, value in files:
            if value is not None:
                arguments += [name, str(value.absolute() if isinstance(value, Path) else value)]
        if self.port:
            arguments += ["--port", str(self.port)]
        return arguments + [
            flag for flag, on in (("--insecure", self.insecure), ("--no-browser", self.no_browser)) if on
        ]


def sign_in_options(command: C) -> C:
    """All of `Given`."""
    for option in reversed(
        (
            click.option(
                "--server",
                required=True,
                envvar="OPENMCP_SERVER",
                show_envvar=True,
                help="URL of this server, such as https://openmcp.example.org:8080.",
            ),
            click.option("--user", help="A user with a password here; left out: who signs in at an issuer."),
            click.option("--issuer", help="OpenID Connect issuer; left out: the one that the server says."),
            click.option("--client-id", help="Client id at the issuer; left out: the one that the server says."),
            click.option("--scope", default="", help="What to ask the issuer for; left out: what is useful."),
            click.option("--ca-file", type=_file, help="CA of the server's certificate."),
            click.option("--issuer-ca-file", type=_file, help="CA of the issuer's certificate."),
            click.option("--insecure", is_flag=True, help="Do not verify the server's certificate."),
            click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where the browser is led back to."),
            click.option("--no-browser", is_flag=True, help="Only print the URL to sign in at."),
            password_option,
        )
    ):
        command = option(command)
    return command


@click.command(
    epilog=examples(
        "login --server https://openmcp.example.org:8080",
        "login --server https://openmcp.example.org:8080 --user alice --ca-file ca.crt",
        "login --server https://openmcp.example.org:8080 --user alice --forget",
    )
)
@sign_in_options
@click.option("--forget", "forgets", is_flag=True, help="Remove what is kept of the sign-in.")
def login(*, forgets: bool, **options: Any) -> None:
    """Sign in, keep it in a file of yours, and renew it without asking: a credential plugin of kubectl.

    Prints an ExecCredential where the output is no terminal. Asks for a password on the terminal, or takes
    OPENMCP_PASSWORD; or opens a browser.
    """
    way = call_server(lambda: read_given(options).find_way())
    if forgets:
        call_server(lambda: forget(way))
        return
    session = call_server(lambda: sign_in(way))
    if sys.stdout.isatty():
        click.echo(f"signed in until {time.strftime('%H:%M', time.localtime(session.times[1]))}, renewed as it is used")
        return
    click.echo(json.dumps(build_exec_credential(session, _read_exec_info().api_version)))


@click.command(
    epilog=examples(
        "kubeconfig --server https://openmcp.example.org:8080 --user alice --exec > ~/.kube/openmcp",
        "kubeconfig --server https://openmcp.example.org:8080 --ca-file ca.crt --prefix '' > kubeconfig",
    )
)
@sign_in_options
@click.option(
    "--prefix",
    default="openmcp-",
    show_default=True,
    help="What names of contexts, clusters and the user begin with, so that they take the place of none of yours.",
)
@click.option("--exec", "by_exec", is_flag=True, help="Let kubectl sign in by `login` whenever it has to.")
def kubeconfig(*, by_exec: bool, prefix: str, **options: Any) -> None:
    """Print a kubeconfig with a context a member; signs in as `login` does.

    With --exec it holds no token and goes on after an hour, wherever this command is installed.
    """
    given = read_given(options)

    def build() -> tuple[str, list[str]]:
        way, client = given.find_way(), given.client
        # A token that is printed is one of its own: what is kept may end sooner.
        token = way.begin().token if isinstance(way, ByPassword) and not by_exec else sign_in(way).token
        name, clusters = client.load_reach(token)
        credential: dict[str, Any] = {"token": token}
        if by_exec:
            credential = {"exec": _build_exec(given, way)}
        trust = Trust(ca_file=given.ca_file, insecure=given.insecure)
        return build_kubeconfig(given.server, name, credential, clusters, trust, prefix), clusters

    text, clusters = call_server(build)
    click.echo(text, nl=False)
    if not by_exec:
        click.echo(
            "the token in it ends as tokens do (an hour, unless the server says otherwise); --exec does not", err=True
        )
    for cluster in clusters:
        if not survives_urls(cluster):
            click.echo(
                f"kubectl can't be led to {cluster!r}: it cleans empty, '.' and '..' parts out of URLs", err=True
            )
    if given.server.startswith("http:"):
        # client-go drops every credential of a kubeconfig for such a server.
        click.echo("kubectl sends no token over plain http: it will be refused until the URL is an https one", err=True)


def _build_exec(given: Given, way: Way) -> dict[str, Any]:
    return {
        "apiVersion": _API_VERSION,
        "command": str(Path(sys.argv[0]).absolute()) if own_command() != NAME else NAME,
        "args": given.as_arguments(way),
        "interactiveMode": "IfAvailable",
        "installHint": _HINT.format(server=given.server),
    }


def read_given(options: dict[str, Any]) -> Given:
    try:
        return Given(**options | {"server": parse_server(options["server"])})
    except ValueError as error:
        raise CliError(str(error)) from error


T = TypeVar("T")


def call_server(work: Callable[[], T]) -> T:
    try:
        return work()
    except (ServerRefused, AuthError, ValueError, OSError) as error:
        raise CliError(str(error)) from error


def _may_ask() -> bool:
    """Whether kubectl, where it runs this, leaves the terminal to it."""
    return _read_exec_info().spec.interactive


def _read_exec_info() -> _ExecInfo:
    try:
        return msgspec.json.decode(os.environ.get("KUBERNETES_EXEC_INFO", "{}"), type=_ExecInfo)
    except UNREADABLE:
        return _ExecInfo()
