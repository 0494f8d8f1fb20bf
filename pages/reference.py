"""Pages of docs/reference/ that say what the code says: `python -m pages.reference` writes them, a test compares."""

from collections.abc import Callable, Iterator, Sequence

import click
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLUnionType,
    Undefined,
    ast_from_value,
    build_schema,
    get_named_type,
    is_introspection_type,
    is_specified_scalar_type,
    print_ast,
)

from fleet.aio.counts import BOUNDS
from fleet.model.unreadable import load_yaml
from pages.site import DOCS, ROOT
from server.commands.main import main as command_line
from server.figures.own import ROOMS

REFERENCE = DOCS / "reference"
METHODS = ("get", "post", "put", "patch", "delete")
HEAD = "<!-- Written by `make reference` from {}: change it there. -->\n"


def build_schema_page() -> str:
    """Every type of the graph with its fields, arguments, values and deprecations."""
    schema = build_schema((ROOT / "schema.graphql").read_text())
    named = [type_ for name, type_ in sorted(schema.type_map.items()) if not is_introspection_type(type_)]
    sections: list[tuple[str, type[GraphQLNamedType] | tuple[type[GraphQLNamedType], ...]]] = [
        ("Objects", (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType)),
        ("Inputs", GraphQLInputObjectType),
        ("Values", GraphQLEnumType),
        ("Scalars", GraphQLScalarType),
    ]
    parts = [
        "# The graph, field by field",
        HEAD.format("schema.graphql"),
        "A `!` behind a type: never null. [The cookbook](../how-to/cookbook.md) shows what to do with it.",
    ]
    roots = [root for root in (schema.query_type, schema.mutation_type, schema.subscription_type) if root]
    parts += [f"## {root.name}\n\n{_describe(root)}" for root in roots]
    for title, kinds in sections:
        found = [type_ for type_ in named if isinstance(type_, kinds) and type_ not in roots]
        parts += [f"## {title}", *(f"### {type_.name}\n\n{_describe(type_)}" for type_ in found if _is_ours(type_))]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _is_ours(type_: GraphQLNamedType) -> bool:
    return not is_specified_scalar_type(type_) and not type_.name.startswith("_")


def _describe(type_: GraphQLNamedType) -> str:
    lines = [type_.description or ""]
    if isinstance(type_, GraphQLUnionType):
        lines.append("One of " + ", ".join(_linked(member) for member in type_.types) + ".")
    if isinstance(type_, GraphQLEnumType):
        values = [
            (f"`{name}`", _said(value.description, value.deprecation_reason)) for name, value in type_.values.items()
        ]
        lines.append(_table("| Value | |", values))
    if isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType, GraphQLInputObjectType)):
        fields = [(f"`{name}`", _linked(field.type), _about(field)) for name, field in type_.fields.items()]
        lines.append(_table("| Field | Type | |", fields))
    return "\n\n".join(line for line in lines if line)


def _about(field: GraphQLField | GraphQLInputField) -> str:
    said = _said(field.description, field.deprecation_reason)
    if isinstance(field, GraphQLInputField):
        return said + _default(field)
    for name, argument in field.args.items():
        about = _said(argument.description, argument.deprecation_reason)
        said += f"<br>`{name}`: {_linked(argument.type)}{_default(argument)} {about}".rstrip()
    return said


def _default(value: GraphQLArgument | GraphQLInputField) -> str:
    if value.default_value is Undefined:
        return ""
    node = ast_from_value(value.default_value, value.type)
    return f" = `{print_ast(node)}`" if node else ""


def _said(description: str | None, deprecated: str | None) -> str:
    text = _in_cell(description or "")
    return f"**Deprecated:** {_in_cell(deprecated)} {text}".rstrip() if deprecated else text


def _in_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _linked(type_: object) -> str:
    named = get_named_type(type_)  # type: ignore[call-overload]  # any of graphql-core's types
    text = str(type_).replace("[", "\\[").replace("]", "\\]")
    return f"[{text}](#{named.name.lower()})" if _is_ours(named) else f"{text}"


def _table(head: str, rows: Sequence[tuple[str, ...]]) -> str:
    rule = "|" + "---|" * (head.count("|") - 1)
    return "\n".join([head, rule, *("| " + " | ".join(row) + " |" for row in rows)])


def build_commands_page() -> str:
    """Each command with what `--help` says of it."""
    parts = [
        "# The command line",
        HEAD.format("the commands themselves"),
        "In a clone the command is `.venv/bin/openmcp-apiserver`. What is wrong is one message and exit code 2.",
    ]
    for context in _list_commands(command_line, None):
        names = context.command_path.split()
        parts.append(f"## {' '.join(names[1:]) or names[0]}\n\n```text\n{context.get_help().rstrip()}\n```")
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _list_commands(command: click.Command, parent: click.Context | None) -> Iterator[click.Context]:
    name = command.name if parent else "openmcp-apiserver"
    context = click.Context(
        command, parent, info_name=name, terminal_width=100, max_content_width=100, **command.context_settings
    )
    if not command.hidden:
        yield context
        for below in getattr(command, "commands", {}).values():
            yield from _list_commands(below, context)


def build_urls_page() -> str:
    """Each URL with its methods, from what `/openapi.json` is made of."""
    document = load_yaml((ROOT / "server" / "openapi.yaml").read_text())
    parts = ["# URLs", HEAD.format("server/openapi.yaml"), document["info"]["description"].strip()]
    for tag in document["tags"]:
        methods = dict[tuple[str, str, str], list[str]]()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if method in METHODS and tag["name"] in operation["tags"]:
                    row = (path, _in_cell(operation["summary"]), _takes_token(operation.get("security")))
                    methods.setdefault(row, []).append(method.upper())
        rows = [(f"`{path}`", ", ".join(by), what, token) for (path, what, token), by in methods.items()]
        parts.append(f"## {tag['description']}\n\n" + _table("| URL | Method | What | Token |", rows))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _takes_token(security: list[dict[str, list[str]]] | None) -> str:
    if security == []:
        return "no"
    return "not for all" if security and {} in security else "yes"


_OF_FIGURES = """\
`/metrics` of the ops port tells Prometheus these, beside `process_...` and `python_gc_...` of its client library. With
several workers each sample has a label `worker`; counters of one that was started again begin at 0, as those of any
process do. What does not apply, such as replicas of a server alone, is missing.

Histograms are of seconds, with the bounds {bounds}. Rules and a dashboard are in `k8s/monitoring/`; what to do about
each alert is told in [Find out what is wrong](../troubleshooting.md).
"""


def build_figures_page() -> str:
    """Each figure of the ops port with its type, labels and meaning."""
    parts = [
        "# Figures",
        HEAD.format("server/figures/"),
        _OF_FIGURES.format(bounds=", ".join(f"{bound:g}" for bound in BOUNDS)),
    ]
    for title, figures in ROOMS.items():
        rows = [
            (f"`{figure.name}`", figure.kind, ", ".join(f"`{label}`" for label in figure.labels), figure.words)
            for figure in figures
        ]
        parts.append(f"## {title}\n\n" + _table("| Figure | Type | Labels | |", rows))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "schema.md": build_schema_page,
    "commands.md": build_commands_page,
    "urls.md": build_urls_page,
    "figures.md": build_figures_page,
}


if __name__ == "__main__":
    for name, write in PAGES.items():
        (REFERENCE / name).write_text(write())
