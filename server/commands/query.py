"""`openmcp-apiserver query`: the graph from a shell, signed in as `login` does it."""

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import click

from server.commands.errors import CliError, examples, format_table
from server.commands.login import call_server, read_given, sign_in_options
from server.commands.sessions import sign_in

Row = dict[str, Any]


@click.command(
    epilog=examples(
        "query --server https://openmcp.example.org:8080 '{ clusters { name health } }' --output table",
        "query --server https://openmcp.example.org:8080 --file pods.graphql -v first=5 -v name=web --output csv",
        "query --server https://openmcp.example.org:8080 --user ann --password-stdin '{ viewer { name } }' < password",
    )
)
@click.argument("document", required=False)
@sign_in_options
@click.option("--file", "-f", type=click.File("r", encoding="utf-8"), help="Of the document; - is standard input.")
@click.option(
    "--variable",
    "-v",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable, its value as JSON, or as text where it is none; may be repeated.",
)
@click.option("--operation", help="Which operation of the document is run, where it has several.")
@click.option(
    "--output",
    type=click.Choice(["json", "table", "csv"]),
    default="json",
    show_default=True,
    help="The answer's data; table and csv show the first list in it, a line an item.",
)
def query(
    document: str | None,
    file: TextIO | None,
    variables: tuple[str, ...],
    operation: str | None,
    output: str,
    **options: Any,
) -> None:
    """Ask the graph DOCUMENT, and print what it answers. Errors go to standard error, with exit status 1.

    Signs in as `login` does, once, and renews that as it is used.
    """
    if (document is None) == (file is None):
        raise CliError("give the document, such as '{ clusters { name health } }', or a file with it by --file")
    text = document if file is None else file.read()
    asked: Row = {"query": text, "variables": dict(map(_parse_variable, variables))}
    if operation is not None:
        asked["operationName"] = operation
    given = read_given(options)
    answer = call_server(lambda: given.client.ask_graph(asked, sign_in(given.find_way()).token))
    data = answer.get("data")
    if output == "json":
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    elif data is not None:
        click.echo(_format(_find_rows(data), output), nl=False)
    for error in answer.get("errors") or ():
        place = ".".join(map(str, error.get("path") or ()))
        click.echo(f"{place}: {error['message']}" if place else error["message"], err=True)
    sys.exit(bool(answer.get("errors")))


def _parse_variable(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign:
        raise CliError(f'--variable is {text!r}, must be NAME=VALUE, such as first=5 or name="web"')
    try:
        return name.strip().removeprefix("$"), json.loads(value)
    except ValueError:
        return name.strip().removeprefix("$"), value


def _find_rows(data: Any) -> list[Row]:
    """The objects of the first list, nearest to the root; where there is none, the data as one."""
    level = [data]
    while level:
        for value in level:
            if isinstance(value, list):
                return [item if isinstance(item, dict) else {"value": item} for item in value]
        level = [inner for value in level if isinstance(value, dict) for inner in value.values()]
    return [data]


def _flatten(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _flatten(inner, f"{before}{name}.")
        else:
            yield before + name, inner


def _format(rows: list[Row], output: str) -> str:
    flat = [dict(_flatten(row)) for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    cells = [columns, *([_show(row.get(name)) for name in columns] for row in flat)]
    if output == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(cells)
        return text.getvalue()
    return format_table([[" ".join(cell.split()) for cell in row] for row in cells]) + "\n" if columns else ""


def _show(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
