"""Readers of selections: a generated function for what is plain of an object, and what else has to be done for it."""

from collections.abc import Callable
from functools import cached_property

from graphql import GraphQLObjectType
from graphql.execution.collect_fields import GroupedFieldSet

from graph.compiled.calls import DirectField, Read
from graph.compiled.codegen import CodeWriter
from graph.compiled.fields import find_definition


class Reader:
    """A generated function and what it leaves to core.

    `read(source, run)` gives the answer's object, with None in the place of the fields in `direct` and `rest`; `run` is
    the executor. It raises anything at all where core has to look at the object itself. Fields are direct where all
    that are not plain can be: their order, and so that of their errors, stays the selection's.
    """

    def __init__(self, compiled: Callable[[], Read], direct: tuple[DirectField, ...], rest: GroupedFieldSet) -> None:
        self._compile = compiled
        self.direct = direct
        self.rest = rest

    @cached_property
    def read(self) -> Read:
        return self._compile()


def build_reader(kind: GraphQLObjectType, selection: GroupedFieldSet, writer: CodeWriter) -> Reader | None:
    """The reader of a selection, None where core has to do all of it."""
    definition = find_definition(kind)
    if definition is None:
        return None
    rest: GroupedFieldSet = {}
    name = writer.write_object(kind, selection, definition.origin, rest)
    direct = tuple(found for key, details in rest.items() if (found := writer.find_direct(kind, key, details)))
    if len(direct) == len(rest):
        return Reader(writer.finish(name), direct, {})
    if len(rest) == len(selection):
        return None
    return Reader(writer.finish(name), (), rest)


def find_root_fields(
    kind: GraphQLObjectType, selection: GroupedFieldSet, writer: CodeWriter
) -> tuple[DirectField, ...] | None:
    """All fields of a root as direct ones, None where core has to do one of them."""
    found = [writer.find_direct(kind, key, details) for key, details in selection.items()]
    direct = tuple(field for field in found if field is not None)
    return direct if len(direct) == len(found) else None
